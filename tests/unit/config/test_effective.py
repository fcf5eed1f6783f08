"""What is in effect, and where it comes from."""

import json
from pathlib import Path
from typing import Any

import pytest

from smalt.config.check import check
from smalt.config.document import Document, dotted
from smalt.config.effective import Effective, effective
from smalt.config.loading import read
from smalt.config.schema import Settings
from smalt.redact import HIDDEN

KEY = "s3cret"
TEXT = """\
resources:
  east:
    endpoint: https://contoso.openai.azure.com
    region: "${REGION}"
    api_keys: ["${NONE:-}", "${KEY}", keyring:east]
    deployments:
      "${NAME}": {model: gpt-4o, sku: Standard}
  west:
    endpoint: https://fabrikam.openai.azure.com
    identity: cli
    deployments: {d: {model: gpt-4o}}
models:
  gpt-4o: {route: [east, [west/d]]}
gateway: {keys: [{alias: ci, key: "file:key"}], listen: ""}
prices: {gpt-4o: {input_usd: 1.5, output_usd: 2}}
"""
ENV = {"KEY": KEY, "REGION": "eastus", "NAME": "prod"}


@pytest.fixture
def view(tmp_path: Path) -> Effective:
    (tmp_path / "smalt.yaml").write_text(TEXT)
    (tmp_path / "key").write_text(f"{KEY}-of-the-gateway")
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text(
        "retry:\n  max_attempts: 3\nresources:\n  west:\n    region: x\n"
    )
    document = read(env=ENV, overlay="prod", cwd=tmp_path)
    return effective(check(document), document, whole=False)


def origins(view: Effective) -> dict[str, str]:
    return {dotted(path): str(origin) for path, origin in view.origins.items()}


def test_secrets_are_hidden_and_references_are_not(view: Effective) -> None:
    """What only says where a secret is kept helps to find it."""
    assert view.data["resources"]["east"]["api_keys"] == [HIDDEN, "keyring:east"]
    assert view.data["gateway"]["keys"] == [{"alias": "ci", "key": HIDDEN}]
    assert KEY not in repr(view)


def test_every_value_that_is_no_default_says_where_it_is_from(view: Effective) -> None:
    """File and line, of the overlay too, and what is written there if that is something else."""
    assert origins(view) == {
        "resources.east.endpoint": "smalt.yaml:3",
        "resources.east.region": "smalt.yaml:4, ${REGION}",
        "resources.east.api_keys[0]": "smalt.yaml:5, ${KEY}",
        "resources.east.api_keys[1]": "smalt.yaml:5",
        "resources.east.deployments.prod.model": "smalt.yaml:7",
        "resources.east.deployments.prod.sku": "smalt.yaml:7",
        "resources.west.endpoint": "smalt.yaml:9",
        "resources.west.region": "environments/prod.yaml:5",
        "resources.west.identity.kind": "smalt.yaml:10",
        "resources.west.deployments.d.model": "smalt.yaml:11",
        "models.gpt-4o.route[0][0]": "smalt.yaml:13",
        "models.gpt-4o.route[1][0]": "smalt.yaml:13",
        "gateway.keys[0].alias": "smalt.yaml:14",
        "gateway.keys[0].key": "smalt.yaml:14, file:key",
        "prices.gpt-4o.input_usd": "smalt.yaml:15",
        "prices.gpt-4o.output_usd": "smalt.yaml:15",
        "retry.max_attempts": "environments/prod.yaml:2",
    }


def test_defaults_are_there(view: Effective) -> None:
    """Those that say something and are built."""
    assert view.data["retry"] == {
        "max_attempts": 3,
        "base_s": 1.0,
        "cap_s": 32.0,
        "jitter_s": 1.0,
        "after_timeout": False,
    }
    assert view.data["resources"]["west"]["api_version"] == "2024-10-21"
    assert view.data["gateway"]["listen"] == "127.0.0.1:8000"
    assert "azure_id" not in view.data["resources"]["east"]
    assert not {"store", "agents"} & view.data.keys()


def test_the_whole_has_every_key(tmp_path: Path) -> None:
    """As a program would dump the settings, but for prices as text and secrets."""
    (tmp_path / "smalt.yaml").write_text(TEXT.replace("file:key", "${KEY}"))
    document = read(env=ENV, cwd=tmp_path)
    settings = check(document)
    whole = effective(settings, document, whole=True).data
    dumped: Any = settings.model_dump(mode="json")
    dumped["resources"]["east"]["api_keys"][1] = "keyring:east"
    assert json.loads(json.dumps(whole)) == dumped


def test_an_environment_names_its_variables(tmp_path: Path) -> None:
    """Where there is no file."""
    env = {
        "AZURE_OPENAI_ENDPOINT": "https://contoso.openai.azure.com",
        "AZURE_API_KEY": KEY,
        "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME": "prod",
    }
    document = read(env=env, cwd=tmp_path)
    view = effective(check(document), document, whole=False)
    assert origins(view) == {
        "resources.default.endpoint": "AZURE_OPENAI_ENDPOINT",
        "resources.default.api_keys[0]": "AZURE_API_KEY",
        "resources.default.deployments.prod.model": "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME",
    }


@pytest.mark.parametrize("password", ["s3cret", "s3c@ret", "@"])
def test_a_password_in_a_url_is_hidden(password: str) -> None:
    """Wherever it stands, and all of it."""
    store, proxy = f"postgresql://smalt:{password}@db/smalt", f"http://user:{password}@proxy:3128"
    settings = Settings.model_validate({"store": store, "network": {"proxy": proxy}})
    view = effective(settings, Document(), whole=False)
    assert view.data["store"] == f"postgresql://{HIDDEN}@db/smalt"
    assert view.data["network"] == {"proxy": f"http://{HIDDEN}@proxy:3128"}
