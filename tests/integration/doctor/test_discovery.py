"""`smalt init --from-azure`: a file that works, made of what ARM tells."""

import json

import pytest
from tests.integration.doctor.conftest import Azure
from tests.integration.doctor.test_command import run

from smalt.config import load


@pytest.fixture
def operator(azure: Azure) -> Azure:
    """Somebody who may read the whole subscription, known by the environment."""
    azure.known_as("app")
    return azure


def test_what_is_deployed_becomes_settings(operator: Azure) -> None:
    """Endpoints, regions, ids, deployments with model, type and quota; an identity and no key."""
    told = run("init", "--from-azure", cwd=operator.folder)
    assert told.returncode == 0, told.stderr
    settings = load(operator.folder / "smalt.yaml", env={}, cwd=operator.folder)
    assert list(settings.resources) == ["east", "sweden"]
    east = settings.resources["east"]
    assert (east.endpoint, east.region) == (operator.handle.url("east"), "eastus")
    assert east.azure_id == operator.id("east")
    assert east.identity is not None
    assert (east.identity.kind, east.api_keys) == ("default", ())
    prod, ptu = east.deployments["gpt-4o-prod"], east.deployments["gpt-4o-ptu"]
    assert (prod.model, prod.sku, prod.quota_tpm) == ("gpt-4o", "Standard", 120_000)
    assert (ptu.sku, ptu.ptu, ptu.quota_tpm) == ("ProvisionedManaged", 50, None)
    assert "Next: smalt check" in told.stdout


def test_the_file_passes_the_doctor(operator: Azure) -> None:
    """The same identity asks, and every deployment answers."""
    run("init", "--from-azure", cwd=operator.folder)
    done = run("doctor", "--json", cwd=operator.folder)
    findings = json.loads(done.stdout)["findings"]
    assert [one for one in findings if one["verdict"] == "fault"] == []
    served = [one for one in findings if (one["area"], one["verdict"]) == ("deployment", "ok")]
    assert len(served) == 8


@pytest.mark.parametrize("which", ["default", "id"])
def test_one_subscription(which: str, operator: Azure) -> None:
    """By name or by id."""
    wanted = operator.id("east").split("/")[2] if which == "id" else which
    assert run("init", "--from-azure", "--subscription", wanted, cwd=operator.folder).returncode == 0
    told = run("init", "--from-azure", "--subscription", "nothing", "--force", cwd=operator.folder)
    assert told.returncode == 1
    assert told.stderr.startswith("smalt: there is no subscription nothing; those that can be read: default")


def test_nobody_is_logged_in(azure: Azure) -> None:
    """One line, and what to do."""
    azure.known_as("app")
    azure.patch.setenv("AZURE_CLIENT_SECRET", "wrong")
    told = run("init", "--from-azure", cwd=azure.folder)
    assert told.returncode == 1
    assert "AADSTS7000215" in told.stderr
    assert "az ad app credential reset" in told.stderr
    assert not (azure.folder / "smalt.yaml").exists()


def test_a_file_that_is_there_stays(operator: Azure) -> None:
    """Azure is not even asked."""
    (operator.folder / "smalt.yaml").write_text("resources: {}\n")
    told = run("init", "--from-azure", "--json", cwd=operator.folder)
    assert told.returncode == 1
    assert "--force" in told.stderr
    assert operator.handle.log("arm") == []
