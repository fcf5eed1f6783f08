"""`smalt check`."""

import json
from pathlib import Path

import pytest
import typer

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
ROUTES = """
resources:
  east:
    endpoint: https://east.openai.azure.com
    region: eastus
    api_keys: ['keyring:k']
    deployments:
      gpt-4o-ptu: {model: gpt-4o, sku: ProvisionedManaged, ptu: 50}
      gpt-4o-prod: {model: gpt-4o, sku: Standard}
      mini: {model: gpt-4o-mini, sku: Standard}
  sweden:
    endpoint: https://sweden.openai.azure.com
    region: swedencentral
    api_keys: ['keyring:k']
    deployments: {gpt-4o-prod: {model: gpt-4o, sku: Standard}, mini: {model: gpt-4o-mini, sku: Standard}}
models:
  gpt-4o: {strategy: least_latency, fallbacks: [gpt-4o-mini], residency: eu}
  "gpt-5*": {route: [east, sweden/mini]}
residency: {eu: [swedencentral]}
agents: {guide: {model: gpt-4o, needs: [vision, tools]}, mini: {model: gpt-4o-mini}}
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
    assert f"warning: {path}:4:5: resources.east.endpoint: a privatelink host" in shown
    assert f"warning: {path}:5:16: resources.east.api_keys[0]: the secret itself stands in the file" in shown
    assert KEY not in shown


def test_check_speaks_to_scripts(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as a document."""
    checking.check(path, None, as_json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["ok"]
    assert summary["routes"]["gpt-4o"]["tiers"] == [["east/gpt-4o-ptu"], ["east/gpt-4o-prod"]]
    assert summary["routes"]["azure/gpt-4o-ptu"]["tiers"] == [["east/gpt-4o-ptu"]]
    assert len(summary["warnings"]) == 3


def test_check_shows_how_each_name_is_served(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is not as usual has a line, and who residency shuts out has a reason."""
    path.write_text(ROUTES)
    checking.check(path, None, as_json=False)
    _counts, *lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "  gpt-4o       sweden/gpt-4o-prod",
        "               strategy least_latency",
        "               fallbacks gpt-4o-mini",
        "               residency eu",
        "               without east/gpt-4o-ptu: eastus is not in eu",
        "               without east/gpt-4o-prod: eastus is not in eu",
        "               without east/mini: eastus is not in eu",
        "  gpt-4o-mini  east/mini, sweden/mini",
        "  gpt-5*       east/<name>, then sweden/mini",
        "  agent/guide  as gpt-4o",
        "               needs tools, vision",
        "               fallbacks gpt-4o-mini",
        "  agent/mini   as gpt-4o-mini",
    ]


def test_check_tells_scripts_how_each_name_is_served(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as data; names of deployments too."""
    path.write_text(ROUTES)
    checking.check(path, None, as_json=True)
    routes = json.loads(capsys.readouterr().out)["routes"]
    assert routes["gpt-4o"] == {
        "model": "gpt-4o",
        "tiers": [["sweden/gpt-4o-prod"]],
        "strategy": "least_latency",
        "fallbacks": ["gpt-4o-mini"],
        "needs": [],
        "residency": "eu",
        "excluded": {
            "east/gpt-4o-ptu": "eastus is not in eu",
            "east/gpt-4o-prod": "eastus is not in eu",
            "east/mini": "eastus is not in eu",
        },
    }
    assert routes["agent/guide"] == routes["gpt-4o"] | {"needs": ["tools", "vision"]}
    assert routes["azure/gpt-4o-ptu"]["tiers"] == []
    assert routes["azure/gpt-4o-prod"]["tiers"] == [["sweden/gpt-4o-prod"]]
    assert routes["gpt-5*"]["tiers"] == [["east"], ["sweden/mini"]]


def test_a_pool_that_is_left_empty(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then the fallbacks serve alone."""
    path.write_text(ROUTES.replace("gpt-4o-prod: {model: gpt-4o, sku: Standard}, ", ""))
    checking.check(path, None, as_json=False)
    assert "  gpt-4o       its fallbacks alone" in capsys.readouterr().out


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


def test_req_3_5_check_rejects_a_literal_key_in_production(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its place, without the key, and exit code 1; elsewhere it is a warning."""
    (tmp_path / "smalt.yaml").write_text(TEXT)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text("retry: {max_attempts: 3}\n")
    with pytest.raises(typer.Exit) as over:
        checking.check(tmp_path / "smalt.yaml", "prod", as_json=True)
    out = capsys.readouterr().out
    assert over.value.exit_code == 1
    assert KEY not in out
    (problem,) = json.loads(out)["problems"]
    assert problem.endswith(
        "smalt.yaml:5:16: resources.east.api_keys[0]: the secret itself stands in the file; put ${NAME} or "
        "file:/path in its place; --env prod refuses it"
    )
