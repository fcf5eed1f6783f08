"""Each way by each provider: who answers, and where the fault is."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.doctor.conftest import Azure
from tests.integration.doctor.test_command import run

from smalt.config.loading import from_data
from smalt.doctor.surroundings import Surroundings
from smalt.doctor.trials import PATHS, Conclusion, Trial, conclude, try_out
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import default_fleet
from smalt.emulator.testing import Handle, running


@pytest.fixture(scope="session")
def litellm_server() -> Iterator[Handle]:
    """A proxy of LiteLLM's kind: models by provider and name, keys as bearer tokens, all under /v1."""
    plan = default_fleet(0, latency_ms=0, token_ms=0)
    names = {"azure/gpt-4o": "gpt-4o", "openai/gpt-4o": "gpt-4o"}
    deployments = {name: Deployment(name, model, "Standard", 120) for name, model in names.items()}
    east = replace(plan.resources["east"], name="east", keys=("proxy-key",), deployments=deployments)
    with running(replace(plan, resources={"east": east}, identity=None, vaults={})) as handle:
        yield handle


@pytest.fixture
def litellm(litellm_server: Handle) -> Handle:
    litellm_server.reset()
    return litellm_server


def resources(azure: Azure, litellm: Handle, **proxy: Any) -> dict[str, Any]:
    """The same model straight and by a proxy, which leads to OpenAI, too."""
    behind = {"azure/gpt-4o": {"model": "gpt-4o"}, "openai/gpt-4o": {"model": "gpt-4o"}}
    return {
        "azure": {
            "endpoint": azure.handle.url("east"),
            "api_keys": ["east-key-1"],
            "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
        },
        "proxy": {
            "kind": "openai",
            "endpoint": f"{litellm.url('east')}/openai/v1",
            "api_keys": ["proxy-key"],
            "deployments": behind,
            **proxy,
        },
    }


def tried(told: Mapping[str, Any]) -> tuple[tuple[Trial, ...], Conclusion]:
    trials = try_out(from_data({"resources": told}), Surroundings(os.environ, timeout_s=5), PATHS)
    return trials, conclude(trials)


def test_req_4_7_no_fault(azure: Azure, litellm: Handle) -> None:
    """Each way by each provider gets the same question, answered in a few tokens."""
    trials, conclusion = tried(resources(azure, litellm))
    assert conclusion.where == "none"
    assert {(trial.path, trial.provider) for trial in trials} == {
        ("azure", "azure"),
        ("proxy", "azure"),
        ("proxy", "openai"),
    }
    (billed,) = azure.handle.bill()["entries"]
    assert billed["input_tokens"] + billed["output_tokens"] < 40
    assert len(litellm.bill()["entries"]) == 2


def test_req_4_7_the_proxy_fails_for_azure(azure: Azure, litellm: Handle) -> None:
    """Straight Azure answers, the proxy answers for OpenAI: its settings for Azure are at fault."""
    litellm.fault("error", error="missing_or_bad_token", deployment="azure/gpt-4o")
    _, conclusion = tried(resources(azure, litellm))
    assert conclusion.where == "proxy"
    assert (
        conclusion.why
        == "Azure answers straight, proxy/azure/gpt-4o fails: look at the proxy's settings for it"
    )


def test_req_4_7_azure_fails_behind_a_proxy_that_works(azure: Azure, litellm: Handle) -> None:
    """The plan of those who have no other way: OpenAI by the proxy answers, Azure by it does not."""
    litellm.fault("error", error="missing_or_bad_token", deployment="azure/gpt-4o")
    told = resources(azure, litellm)
    del told["azure"]
    _, conclusion = tried(told)
    assert conclusion.where == "azure"


def test_req_4_7_the_proxy_fails_for_all(azure: Azure, litellm: Handle) -> None:
    """Then it is the proxy, whatever stands behind it."""
    litellm.set("east", "error", error="server_error")
    told = resources(azure, litellm)
    assert tried(told)[1].where == "proxy"
    del told["azure"]
    assert tried(told)[1] == Conclusion("proxy", "whatever the proxy is asked for fails")


def test_req_4_7_azure_fails_on_both_ways(azure: Azure, litellm: Handle) -> None:
    """Then it is Azure's configuration."""
    azure.handle.set("east", disable_local_auth=True)
    litellm.fault("error", error="local_auth_disabled", deployment="azure/gpt-4o")
    _, conclusion = tried(resources(azure, litellm))
    assert conclusion.where == "azure"
    assert conclusion.why.endswith("straight at Azure and by the proxy")


def test_req_4_7_the_network(azure: Azure, litellm: Handle, closed_port: int) -> None:
    """What cannot be reached is nobody's configuration."""
    _, conclusion = tried(resources(azure, litellm, endpoint=f"http://127.0.0.1:{closed_port}/v1"))
    assert conclusion.where == "network"


def test_req_4_8_an_audience_refused_by_way_of_a_proxy(azure: Azure, litellm: Handle) -> None:
    """A 401 that names the audience: the key went as Bearer token, or the scope is wrong."""
    litellm.fault("error", error="missing_or_bad_token", deployment="azure/gpt-4o")
    trials, _ = tried(resources(azure, litellm))
    (failed,) = [trial.finding for trial in trials if not trial.answered]
    assert (failed.subject, failed.code) == ("proxy/azure/gpt-4o", "proxy_as_bearer")
    assert "audience is incorrect" in failed.found
    assert "its key is sent as Bearer token" in failed.cause
    assert "wrong scope" in failed.cause
    assert any("https://cognitiveservices.azure.com/.default" in step for step in failed.mend)


def test_req_4_9_another_model_answers_than_is_configured(azure: Azure, litellm: Handle) -> None:
    """The settings, the proxy and the deployment must mean the same; who disagrees is named."""
    told = resources(azure, litellm, deployments={"azure/gpt-4o": {"model": "gpt-4.1"}})
    told["azure"]["deployments"] = {"cheap": {"model": "gpt-4o"}}
    trials, _ = tried(told)
    found = {trial.finding.subject: trial.finding for trial in trials}
    assert {finding.code for finding in found.values()} == {"other_model"}
    assert found["azure/cheap"].found == "gpt-4o is configured, gpt-4o-mini-2024-07-18 answers"
    assert found["proxy/azure/gpt-4o"].found == "gpt-4.1 is configured, gpt-4o-2024-11-20 answers"


def test_req_4_11_each_failure_has_its_own_advice(azure: Azure, litellm: Handle, closed_port: int) -> None:
    """A refused connection, a 401, a 404 and a silence are four different things."""
    litellm.fault("hang", deployment="azure/gpt-4o")
    url = litellm.url("east")
    proxies: dict[str, dict[str, Any]] = {
        "refused": {"endpoint": f"http://127.0.0.1:{closed_port}/v1"},
        "unauthorized": {"api_keys": ["another-key"]},
        "unknown": {"deployments": {"azure/nowhere": {"model": "gpt-4o"}}},
        "silent": {"deployments": {"azure/gpt-4o": {"model": "gpt-4o"}}},
        "pathless": {"endpoint": f"{url}/openai"},
    }
    told = {name: resources(azure, litellm, **proxy)["proxy"] for name, proxy in proxies.items()}
    around = Surroundings(os.environ, timeout_s=0.5)
    trials = try_out(from_data({"resources": told}), around, ["proxy"])
    found = {trial.finding.subject.partition("/")[0]: trial.finding for trial in trials}
    assert {name: finding.code for name, finding in found.items()} == {
        "refused": "connection_refused",
        "unauthorized": "key_refused",
        "unknown": "unknown_deployment",
        "silent": "answer_timeout",
        "pathless": "missing_v1",
    }
    advice = [finding.mend for finding in found.values()]
    assert all(advice)
    assert len(set(advice)) == len(advice)


def test_req_4_11_the_commands(azure: Azure, litellm: Handle) -> None:
    """`smalt test` takes one way, `--matrix` all; both say where the fault is and end accordingly."""
    (azure.folder / "smalt.yaml").write_text(json.dumps({"resources": resources(azure, litellm)}))
    good = run("test", "azure", cwd=azure.folder)
    assert (good.returncode, "no fault" in good.stdout) == (0, True), good.stdout + good.stderr
    litellm.fault("error", error="missing_or_bad_token", deployment="azure/gpt-4o")
    bad = run("test", "proxy", "--json", cwd=azure.folder)
    told = json.loads(bad.stdout)
    assert (bad.returncode, told["where"]) == (1, "azure")
    matrix = run("doctor", "--matrix", cwd=azure.folder)
    assert matrix.returncode == 1
    assert "The fault is in the proxy config: Azure answers straight" in matrix.stdout
    missing = run("test", "openai", cwd=azure.folder)
    assert missing.returncode == 1
    assert missing.stderr.startswith("smalt: OpenAI itself is not configured")


def test_an_old_key_before_a_good_one(azure: Azure, litellm: Handle) -> None:
    """Calls get answers by the second: so are the deployments asked."""
    told = resources(azure, litellm)
    told["azure"]["api_keys"] = ["an-old-key", "east-key-1"]
    trials, conclusion = tried(told)
    assert [trial.answered for trial in trials] == [True, True, True]
    assert conclusion.where == "none"


def test_openai_itself_is_a_way_of_its_own(azure: Azure) -> None:
    """Known by its host; here it plays a part in another's name."""
    told = {
        "openai": {
            "kind": "openai",
            "endpoint": "https://api.openai.com/v1",
            "api_keys": ["sk-example"],
            "deployments": {"gpt-4o": {"model": "gpt-4o"}},
        }
    }
    around = Surroundings(os.environ, timeout_s=1, resolve=lambda _: ["127.0.0.2"])
    (trial,) = try_out(from_data({"resources": told}), around, ["openai"])
    assert (trial.path, trial.provider, trial.finding.code) == ("openai", "openai", "connection_refused")


def test_a_fault_of_smalt_itself_accuses_nobody_else(azure: Azure, litellm: Handle) -> None:
    """The other ways are tried all the same."""

    def resolve(host: str) -> Sequence[str]:
        if host == "localhost":
            raise LookupError("nobody thought of this")
        return ["127.0.0.1"]

    told = resources(azure, litellm)
    told["azure"]["endpoint"] = f"https://localhost:{azure.port('east')}"
    around = Surroundings(os.environ, timeout_s=5, resolve=resolve)
    trials = try_out(from_data({"resources": told}), around, PATHS)
    assert [trial.finding.code for trial in trials] == ["doctor_failed", "", ""]
    assert conclude(trials) == Conclusion(
        "smalt", "azure could not be tried to the end; what was tried answers"
    )
