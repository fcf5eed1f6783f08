"""`smalt secrets` and `smalt config`, with a real keyring: that of keyrings.alt, in a folder of the test."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.integration.cli.commands import COMMAND_S, announced, end, running, smalt

from smalt.emulator.testing import running as emulating

SECRET = "k3y-of-the-east"
SMALT = (sys.executable, "-m", "smalt")
# What a login does: getpass asks the terminal of the session, whatever standard input is.
LOGIN = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.fixture(autouse=True)
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only one that the commands of a test see."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def put(name: str, secret: str, code: int = 0) -> str:
    """By standard input; what it says."""
    done = subprocess.run(
        [*SMALT, "secrets", "set", name],
        input=secret,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def test_req_1_40_secrets_are_kept_and_named_by_the_settings(tmp_path: Path) -> None:
    """From the keyring to the file, which only names the secret; no command shows it."""
    (tmp_path / "smalt.yaml").write_text(
        "resources:\n"
        "  east:\n"
        "    endpoint: https://contoso.openai.azure.com  # ours\n"
        "    deployments: {prod: {model: gpt-4o}}\n"
    )
    said = [
        put("east", f"{SECRET}\n"),
        smalt("config", "set", "resources.east.api_keys", "[keyring:east]", cwd=tmp_path),
        smalt("config", "get", "resources.east.api_keys[0]", cwd=tmp_path),
        smalt("config", "show", cwd=tmp_path),
        smalt("secrets", "list", cwd=tmp_path),
        smalt("check", cwd=tmp_path),
        (tmp_path / "smalt.yaml").read_text(),
    ]
    assert not [text for text in said if SECRET in text]
    assert said[0] == "'east' is kept by file PlaintextKeyring; in smalt.yaml it is  keyring:east\n"
    assert said[2] == "keyring:east\n"
    assert said[4] == "east\n"
    assert "# ours\n" in said[6]


def test_secrets_come_and_go(tmp_path: Path) -> None:
    """Scripts see the names."""
    assert "no secret is kept here yet" in smalt("secrets", "list", cwd=tmp_path)
    put("west", SECRET)
    put("east", SECRET)
    assert json.loads(smalt("secrets", "list", "--json", cwd=tmp_path)) == {"secrets": ["east", "west"]}
    assert smalt("secrets", "remove", "west", cwd=tmp_path) == "'west' is removed\n"
    assert smalt("secrets", "list", cwd=tmp_path) == "east\n"
    assert smalt("secrets", "remove", "west", cwd=tmp_path, code=1) == (
        "smalt: the keyring has no secret named 'west'; see: smalt secrets list\n"
    )


def test_a_secret_is_never_an_argument(tmp_path: Path) -> None:
    """The command has no place for one."""
    smalt("secrets", "set", "east", SECRET, cwd=tmp_path, code=2)
    assert put("east", "", code=1) == "smalt: the secret 'east' cannot be kept: it is empty\n"


def test_a_person_is_asked_without_an_echo(tmp_path: Path) -> None:
    """The terminal shows the question, and what was kept where; not what is typed."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", LOGIN, *SMALT, "secrets", "set", "east"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        os.close(follower)
        shown = _read_until(leader, "east: ")
        os.write(leader, f"{SECRET}\n".encode())
        shown += _read_until(leader, "keyring:east")
        assert process.wait(COMMAND_S) == 0
    os.close(leader)
    assert SECRET not in shown
    assert smalt("secrets", "list", cwd=tmp_path) == "east\n"


def _read_until(leader: int, word: str) -> str:
    shown = ""
    while word not in shown:
        shown += os.read(leader, 1024).decode()
    return shown


def test_a_machine_without_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with a way out."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    said = "smalt: no keyring is on this machine; give the secret by ${VAR} or file:/path instead\n"
    assert put("east", SECRET, code=1) == said
    assert smalt("secrets", "list", cwd=tmp_path, code=1) == said


def test_req_1_40_the_gateway_serves_with_a_key_of_the_keyring(tmp_path: Path) -> None:
    """Stored by one command, read by another; the file names it, nothing shows it."""
    with emulating() as azure:
        (tmp_path / "smalt.yaml").write_text(
            f"resources:\n  east:\n    endpoint: {azure.url('east')}\n"
            "    deployments: {gpt-4o-prod: {model: gpt-4o}}\n"
        )
        key = azure.key("east")
        put("east", key)
        smalt("config", "set", "resources.east.api_keys", "[keyring:east]", cwd=tmp_path)
        with running("serve", "--listen", "127.0.0.1:0", "--json", cwd=tmp_path) as gateway:
            told = announced(gateway)
            answer = httpx2.post(
                f"{told['url']}/v1/chat/completions",
                headers={"authorization": f"Bearer {told['gateway_key']}"},
                json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
                trust_env=False,
            )
            code, last_words = end(gateway)
    assert answer.status_code == 200, answer.text
    assert code == 0
    assert key not in last_words + answer.text + str(told)
