"""`smalt config`: show, get, set, schema."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from smalt.cli import configuring
from smalt.config.schema import Settings
from smalt.errors import ConfigurationError

KEY = "a-secret-key"
TEXT = """\
resources:
  east:
    endpoint: https://contoso.openai.azure.com   # ours
    api_keys: ["${EAST_KEY}"]
    deployments: {gpt-4o-prod: {model: gpt-4o}}
models:
  gpt-4o: {strategy: round_robin}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """smalt.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EAST_KEY", KEY)
    path = tmp_path / "smalt.yaml"
    path.write_text(TEXT)
    return path


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    out = capsys.readouterr().out
    assert KEY not in out
    return out


@pytest.mark.usefixtures("file")
def test_show_says_what_is_in_effect_and_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside each value that is no default; in the shape of the file."""
    configuring.show(None, None, as_json=False)
    text = shown(capsys)
    assert text.startswith("# In effect. ")
    assert (
        "  east:\n"
        "    kind: azure\n"
        "    endpoint: https://contoso.openai.azure.com  # smalt.yaml:3\n"
        "    allow_http: false\n"
        "    api: auto\n"
        '    api_version: "2024-10-21"\n'
        '    api_keys: ["**********"]  # smalt.yaml:4, ${EAST_KEY}\n'
    ) in text
    assert "  gpt-4o: {strategy: round_robin}  # smalt.yaml:7\n" in text
    assert "retry: {max_attempts: 5, base_s: 1.0, cap_s: 32.0, jitter_s: 1.0, after_timeout: false}\n" in text
    assert YAML(typ="safe").load(text).keys() <= Settings.model_fields.keys()


@pytest.mark.usefixtures("file")
def test_show_speaks_to_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    """All settings, and where those are from that are no defaults."""
    configuring.show(None, None, as_json=True)
    data = json.loads(shown(capsys))
    assert data["resources"]["east"]["api_keys"] == ["**********"]
    assert data["retry"]["max_attempts"] == 5
    assert data["origins"]["resources.east.api_keys[0]"] == {
        "where": "smalt.yaml:4",
        "written": "${EAST_KEY}",
    }
    assert data["origins"]["models.gpt-4o.strategy"] == {"where": "smalt.yaml:7", "written": None}
    assert "retry.max_attempts" not in data["origins"]
    assert data.keys() - Settings.model_fields == {"origins"}


def test_req_0_4_show_prints_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of deployments and versions, too, with the environment alone; without any it names what is required."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        configuring.show(None, None, as_json=False)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == ["environment"] * 2
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_API_KEY",
    ]
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://contoso.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "gpt-4o")
    configuring.show(None, None, as_json=False)
    text = shown(capsys)
    assert '    api_version: "2024-10-21"\n' in text
    assert "    endpoint: https://contoso.openai.azure.com  # AZURE_OPENAI_ENDPOINT\n" in text
    assert "        weight: 1\n" in text


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("key", "line", "data"),
    [
        ("models.gpt-4o.strategy", "round_robin", "round_robin"),
        ("resources.east.deployments.gpt-4o-prod.weight", "1", 1),
        ("resources.east.api_keys[0]", "**********", "**********"),
        ("resources.east.deployments.gpt-4o-prod.sku", "null", None),
        ("adapt", "true", True),
        ("models.gpt-4o.fallbacks", "[]", []),
        ("breaker", '{"failures": 5, "open_s": 30.0}', {"failures": 5, "open_s": 30.0}),
    ],
)
def test_get_prints_one_line(key: str, line: str, data: object, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in effect; text as it is, all else as JSON."""
    configuring.get(key, None, None, as_json=False)
    assert shown(capsys) == f"{line}\n"
    configuring.get(key, None, None, as_json=True)
    assert json.loads(shown(capsys)) == data


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("models.gpt-4.strategy", "models.gpt-4 is not set; did you mean 'gpt-4o'?"),
        ("resources.east.api_keys[1]", "resources.east.api_keys[1] is not set"),
        ("resources.east.identity.kind", "resources.east.identity.kind is not set"),
        (
            "models.gpt-4o.strategie",
            "'models.gpt-4o.strategie' is no key of smalt.yaml; did you mean 'strategy'?",
        ),
    ],
)
def test_get_of_what_is_not_there(key: str, message: str) -> None:
    """It says what may have been meant."""
    with pytest.raises(ConfigurationError) as caught:
        configuring.get(key, None, None, as_json=False)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("models.gpt-4o.strategy", "weighted", "round_robin", "weighted"),
        ("models.gpt-4o.fallbacks", "[]", "round_robin", "round_robin, fallbacks: []"),
        ("retry.max_attempts", "3", "robin}\n", "robin}\nretry: {max_attempts: 3}\n"),
        ("adapt", "false", "robin}\n", "robin}\nadapt: false\n"),
        (
            "resources.east.region",
            "eastus",
            "prod: {model: gpt-4o}}\n",
            "prod: {model: gpt-4o}}\n    region: eastus\n",
        ),
        (
            "resources.east.api_version",
            "2025-04-01-preview",
            "gpt-4o}}\n",
            'gpt-4o}}\n    api_version: "2025-04-01-preview"\n',
        ),
        ("resources.east.api_keys[1]", "keyring:east", '_KEY}"]', '_KEY}", keyring:east]'),
        (
            "resources.east.deployments.gpt-4.1",
            "{model: gpt-4.1}",
            "gpt-4o}}",
            "gpt-4o}, gpt-4.1: {model: gpt-4.1}}",
        ),
    ],
)
def test_set_changes_one_place(
    key: str, value: str, old: str, new: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says which."""
    configuring.change(key, value, None)
    assert file.read_text() == TEXT.replace(old, new)
    said = shown(capsys)
    assert said.startswith("smalt.yaml:")
    assert f": {key}: is now " in said


def test_set_keeps_the_mode_and_leaves_nothing_behind(file: Path) -> None:
    """The file is replaced at once; a link to it stays a link."""
    file.chmod(0o640)
    link = file.parent / "link.yaml"
    link.symlink_to(file)
    configuring.change("retry.max_attempts", "3", Path("link.yaml"))
    assert link.is_symlink()
    assert "max_attempts: 3" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in file.parent.iterdir()) == ["link.yaml", "smalt.yaml"]


def test_set_keeps_the_byte_order_mark(file: Path) -> None:
    """Some editors of Windows write one."""
    file.write_text(TEXT, encoding="utf-8-sig")
    configuring.change("adapt", "false", None)
    assert file.read_bytes() == f"\ufeff{TEXT}adapt: false\n".encode()


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_changes_at_once_are_all_made(file: Path) -> None:
    """Each reads what the last one wrote: four processes, four changes."""
    keys = ("timeouts.connect_s", "retry.max_attempts", "breaker.failures", "timeouts.total_s")
    setting = "import sys; from smalt.cli.configuring import change; change(sys.argv[1], '3', None)"
    running = [subprocess.Popen([sys.executable, "-c", setting, key]) for key in keys]
    assert [one.wait(timeout=60) for one in running] == [0] * 4
    data = YAML(typ="safe").load(file.read_text())
    assert data["timeouts"] == {"connect_s": 3, "total_s": 3}
    assert (data["retry"], data["breaker"]) == ({"max_attempts": 3}, {"failures": 3})


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (
            "models.gpt-4o.strategy",
            "weigthed",
            (
                "smalt.yaml:7:12: models.gpt-4o.strategy: expected 'least_loaded', 'round_robin', "
                "'weighted', 'random' or 'least_latency', got 'weigthed'; did you mean 'weighted'?"
            ),
        ),
        (
            "models.gpt-4o.fallbacks",
            "gpt-4o-mini",
            "smalt.yaml:7:35: models.gpt-4o.fallbacks: expected a list such as [a, b], got text",
        ),
        (
            "models.gpt-4o.fallbacks",
            "[gpt-4o-mini]",
            (
                "smalt.yaml:7:47: models.gpt-4o.fallbacks[0]: no model is named 'gpt-4o-mini'; "
                "did you mean 'gpt-4o'?"
            ),
        ),
    ],
)
def test_set_refuses_what_would_be_wrong(key: str, value: str, problem: str, file: Path) -> None:
    """With the problems it would have; the file is untouched."""
    with pytest.raises(ConfigurationError) as caught:
        configuring.change(key, value, None)
    assert caught.value.message.startswith("smalt.yaml is left as it was; with that it would be wrong:")
    assert caught.value.problems == (problem,)
    assert file.read_text() == TEXT


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resources.east.api_keys[0]", "sk-literal"),
        ("resources.east.api_keys", "[sk-literal]"),
        ("resources.east.identity", "{kind: client_secret, client_secret: sk-literal}"),
        ("gateway.admin_key", "sk-literal"),
        ("network.proxy", "http://user:sk-literal@proxy:3128"),
    ],
)
def test_set_refuses_to_write_a_secret(key: str, value: str, file: Path) -> None:
    """It says the better ways, and not the secret."""
    with pytest.raises(ConfigurationError, match="is a secret and does not belong in a file") as caught:
        configuring.change(key, value, None)
    assert "smalt secrets set NAME" in str(caught.value)
    assert "sk-literal" not in str(caught.value)
    assert file.read_text() == TEXT


def test_set_mends_a_file_that_is_wrong_elsewhere(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was wrong before, or is unset only here, is no reason; a new blank is told."""
    monkeypatch.delenv("EAST_KEY")
    file.write_text(TEXT.replace("endpoint: https://contoso.openai.azure.com", "endpoint:"))
    configuring.change("resources.east.region", "${EAST_REGION}", None)
    assert capsys.readouterr().out == (
        "smalt.yaml:6:5: resources.east.region: is now ${EAST_REGION}\n"
        "still missing: smalt.yaml:6:5: resources.east.region: "
        "the environment variable EAST_REGION is not set\n"
    )
    configuring.change("resources.east.endpoint", "https://fabrikam.openai.azure.com", None)
    assert "endpoint: https://fabrikam.openai.azure.com   # ours" in file.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "smalt.yaml: no such file; make one: smalt init --output smalt.yaml"),
        (b"\xff", "smalt.yaml is not UTF-8 text"),
        (b"a: [", "smalt.yaml cannot be used:\nsmalt.yaml:1:5: not valid YAML: a value is missing"),
    ],
)
def test_set_of_a_file_that_cannot_be_read(content: bytes | None, message: str, file: Path) -> None:
    """One line."""
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        configuring.change("adapt", "true", None)
    assert str(caught.value).startswith(message)


@pytest.mark.usefixtures("file")
def test_set_of_a_value_that_is_no_yaml() -> None:
    """Shells eat quotes and brackets."""
    with pytest.raises(
        ConfigurationError, match=r"the value for models\.gpt-4o\.fallbacks is not valid YAML"
    ):
        configuring.change("models.gpt-4o.fallbacks", "[a", None)


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors can read it."""
    configuring.print_schema()
    assert "resources" in json.loads(capsys.readouterr().out)["properties"]
