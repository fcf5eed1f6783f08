"""What `smalt serve` makes of its arguments, and what it says."""

from pathlib import Path
from typing import Any

import pytest
import typer

from smalt.cli.serving import Source, announcement, example, lines, listening_at
from smalt.config import Settings
from smalt.errors import ConfigurationError
from smalt.gateway.server import Serving

KEY = "sk-fixed-and-secret"
TOLD: dict[str, Any] = {
    "url": "http://127.0.0.1:8000",
    "models": ["text-embedding-3-small", "gpt-4o"],
    "gateway_key": None,
    "admin_key": None,
    "emulator": None,
}


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"gateway": {"keys": [{"alias": "ci", "key": KEY}]}})


def test_listen_overrides_the_file(settings: Settings) -> None:
    """The command line wins; without it the file's address stays."""
    assert listening_at("0.0.0.0:9000", settings).gateway.address == ("0.0.0.0", 9000)
    assert listening_at(None, settings) is settings


def test_a_bad_address_is_a_usage_error(settings: Settings) -> None:
    """Told as a wrong option, not as a fault of the file."""
    with pytest.raises(typer.BadParameter, match="expected host:port"):
        listening_at("everywhere", settings)


def test_made_keys_are_shown_and_used_in_the_example(settings: Settings) -> None:
    """The only place where they can be read."""
    told = TOLD | {"gateway_key": "gw_made", "admin_key": "adm_made"}
    line = example(told, settings)
    shown = "\n".join(lines(told, line))
    assert "Bearer gw_made" in line
    assert '"model": "gpt-4o"' in line
    assert "gw_made   (made for this run)" in shown
    assert "adm_made   (made for this run)" in shown


def test_configured_keys_are_not_shown(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed key is named by its alias, or by the variable that holds it."""
    assert "<the key ci>" in example(TOLD, settings)
    monkeypatch.setenv("KEY_OF_CI", KEY)
    line = example(TOLD, settings)
    assert '-H "authorization: Bearer $KEY_OF_CI"' in line
    assert KEY not in "\n".join(lines(TOLD, line))


def test_the_emulator_is_named(settings: Settings) -> None:
    """Nobody should take made-up answers for Azure's."""
    told = TOLD | {"emulator": {"control_url": "http://127.0.0.1:1"}}
    assert "emulator of Azure, made up" in "\n".join(lines(told, example(told, settings)))


def test_scripts_get_the_names_callers_use() -> None:
    """The azure/ names of deployments are left out, as in /v1/models."""
    serving = Serving("http://127.0.0.1:1", ("gpt-4o", "azure/gpt-4o-prod"), None, "adm_x")
    assert announcement(serving) == {
        "url": "http://127.0.0.1:1",
        "models": ["gpt-4o"],
        "gateway_key": None,
        "admin_key": "adm_x",
    }


@pytest.mark.parametrize(
    ("source", "files", "env", "configured"),
    [
        (Source(None, None), {}, {}, False),
        (Source(Path("other.yaml"), None), {}, {}, True),
        (Source(None, "prod"), {}, {}, True),
        (Source(None, None), {"smalt.yaml": ""}, {}, True),
        (Source(None, None), {}, {"AZURE_OPENAI_ENDPOINT": "https://x"}, True),
        (Source(None, None), {}, {"AZURE_OPENAI_ENDPOINT": ""}, False),
        (Source(None, None), {".env": "AZURE_OPENAI_ENDPOINT=https://x\n"}, {}, True),
    ],
)
def test_the_emulator_stands_in_only_where_nothing_is_configured(
    source: Source, files: dict[str, str], env: dict[str, str], configured: bool, tmp_path: Path
) -> None:
    """A file, an overlay or an endpoint means a real Azure; a key alone does not."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert source.is_configured(env, tmp_path) is configured


def test_nothing_configured_comes_with_a_way_out(tmp_path: Path) -> None:
    """The newcomer learns how to try it without Azure."""
    with pytest.raises(ConfigurationError) as raised:
        Source(None, None).load(tmp_path)
    assert any("--emulate-if-unconfigured" in step for step in raised.value.resolution)


def test_what_should_be_mended_comes_with_the_settings(tmp_path: Path) -> None:
    """With its place in the file."""
    (tmp_path / "smalt.yaml").write_text(
        "resources: {e: {endpoint: 'https://c.azure.com', api_keys: [k], deployments: {d: {model: m}}}}"
    )
    _settings, advice = Source(None, None).load(tmp_path)
    assert len(advice) == 1
    assert advice[0].startswith(
        "smalt.yaml:1:61: resources.e.api_keys[0]: the secret itself stands in the file"
    )
