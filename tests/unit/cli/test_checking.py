"""`smalt check` and `smalt config`."""

import json
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from smalt.cli import checking
from smalt.errors import ConfigurationError

KEY = "a-secret-key"
TEXT = f"""
resources:
  east:
    endpoint: https://contoso.privatelink.openai.azure.com
    api_keys: [{KEY}]
    deployments:
      gpt-4o-ptu: {{model: gpt-4o, sku: ProvisionedManaged}}
      gpt-4o-prod: {{model: gpt-4o}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "smalt.yaml"
    file.write_text(TEXT)
    return file


def test_check_sums_up(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, who serves what in which order, and warnings."""
    checking.check(path, None, as_json=False)
    shown = capsys.readouterr().out
    assert "ok: 1 resources, 2 deployments" in shown
    assert "gpt-4o  east/gpt-4o-ptu, then east/gpt-4o-prod" in shown
    assert "warning: resources.east.endpoint: a privatelink host" in shown


def test_check_speaks_to_scripts(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as a document."""
    checking.check(path, None, as_json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["ok"]
    assert summary["routes"]["gpt-4o"] == [["east/gpt-4o-ptu"], ["east/gpt-4o-prod"]]
    assert len(summary["warnings"]) == 1


def test_every_problem_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One entry for each; the exit code says that there are some."""
    path.write_text(TEXT.replace("api_keys", "api_kes") + "gateway: {listen: everywhere}\n")
    with pytest.raises(typer.Exit) as over:
        checking.check(path, None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert over.value.exit_code == 1
    assert not told["ok"]
    assert len(told["problems"]) == 2
    with pytest.raises(ConfigurationError):
        checking.check(path, None, as_json=False)


@pytest.mark.parametrize("as_json", [False, True])
def test_show_hides_secrets(as_json: bool, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in effect, defaults included; never a key."""
    checking.show(path, None, as_json=as_json)
    shown = capsys.readouterr().out
    data = json.loads(shown) if as_json else YAML(typ="safe").load(shown)
    assert KEY not in shown
    assert data["resources"]["east"]["api_keys"] == ["**********"]
    assert data["retry"]["max_attempts"] == 5


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors can read it."""
    checking.print_schema()
    assert "resources" in json.loads(capsys.readouterr().out)["properties"]
