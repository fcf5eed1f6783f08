"""Secrets in a real keyring: that of keyrings.alt, whose file is in a folder of the test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring as library
import pytest
from keyring.backends import chainer, fail, null
from keyring.errors import KeyringLocked
from keyrings.alt.file import PlaintextKeyring  # type: ignore[import-untyped]

from smalt.auth import keyring
from smalt.errors import ConfigurationError


@pytest.fixture(autouse=True)
def backend(tmp_path: Path) -> Iterator[PlaintextKeyring]:
    """The keyring in use, as if the machine had no other."""
    before = library.get_keyring()
    file = PlaintextKeyring()
    file.file_path = str(tmp_path / "data" / "keyring.cfg")
    library.set_keyring(file)
    yield file
    library.set_keyring(before)


def refusal(act: object, *arguments: str) -> str:
    assert callable(act)
    with pytest.raises(ConfigurationError) as caught:
        act(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_put_there_is_found() -> None:
    """Under its name; a second time in place of the first."""
    assert keyring.put("east", "s3cret") == "file PlaintextKeyring"
    keyring.put("east", "an0ther")
    assert keyring.get("east") == "an0ther"


def test_it_stands_under_the_service_smalt() -> None:
    """Where other tools of the machine see it, and may put it."""
    keyring.put("east", "s3cret")
    assert library.get_password("smalt", "east") == "s3cret"
    library.set_password("smalt", "by hand", "0ther")
    assert keyring.get("by hand") == "0ther"


def test_the_names_are_listed() -> None:
    """In order; the list itself is none of them."""
    assert keyring.names() == []
    for name in ("west", "east", "west"):
        keyring.put(name, "s3cret")
    assert keyring.names() == ["east", "west"]


def test_what_is_removed_is_gone() -> None:
    """The secret and its name; the others stay."""
    keyring.put("east", "s3cret")
    keyring.put("west", "0ther")
    keyring.remove("east")
    assert keyring.names() == ["west"]
    assert "no secret named 'east'" in refusal(keyring.get, "east")
    assert keyring.get("west") == "0ther"


def test_what_another_tool_removed_or_put_there_can_be_removed() -> None:
    """The list follows."""
    keyring.put("east", "s3cret")
    library.delete_password("smalt", "east")
    keyring.remove("east")
    assert keyring.names() == []
    library.set_password("smalt", "west", "0ther")
    keyring.remove("west")
    assert library.get_password("smalt", "west") is None


def test_a_secret_that_is_not_there_says_how_to_put_it_there() -> None:
    """The command as it is typed."""
    assert refusal(keyring.get, "east") == (
        "the keyring has no secret named 'east'; put it there: smalt secrets set east"
    )
    assert (
        refusal(keyring.remove, "east") == "the keyring has no secret named 'east'; see: smalt secrets list"
    )


@pytest.mark.parametrize("name", ["", "two words", "a/b", "#names", ".hidden", "x" * 65])
def test_a_name_that_settings_could_not_write(name: str) -> None:
    """It is refused before anything is kept."""
    assert refusal(keyring.put, name, "s3cret").startswith(f"'{name}' cannot name a secret: ")
    assert keyring.names() == []


@pytest.mark.parametrize("secret", ["", "two words", "k\u00f6y", "@Microsoft.KeyVault(SecretUri=https://v)"])
def test_a_secret_that_could_not_be_sent(secret: str) -> None:
    """It is refused without being shown."""
    said = refusal(keyring.put, "east", secret)
    assert said.startswith("the secret 'east' cannot be kept: ")
    assert not secret or secret not in said


def test_a_list_that_somebody_else_wrote_counts_as_empty() -> None:
    """The secrets themselves are not lost."""
    keyring.put("east", "s3cret")
    for text in ("no json", "7"):
        library.set_password("smalt", "#names", text)
        assert keyring.names() == []
    keyring.put("west", "0ther")
    assert keyring.names() == ["west"]
    assert keyring.get("east") == "s3cret"


@pytest.mark.parametrize("nothing", [null.Keyring, chainer.ChainerBackend])
def test_a_keyring_that_keeps_nothing(nothing: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for "no keyring" takes every secret and forgets it; that is noticed."""
    monkeypatch.setattr(chainer.ChainerBackend, "backends", ())
    library.set_keyring(nothing())
    assert "keeps nothing; give the secret by ${VAR} or file:/path instead" in refusal(
        keyring.put, "east", "s3cret"
    )


def test_a_machine_without_keyring() -> None:
    """One line with a way out, whatever is asked."""
    library.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    said = "no keyring is on this machine; give the secret by ${VAR} or file:/path instead"
    assert refusal(keyring.get, "east") == said
    assert refusal(keyring.put, "east", "s3cret") == said
    assert refusal(keyring.remove, "east") == said
    assert refusal(keyring.names) == said


def test_a_locked_keyring(backend: PlaintextKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person has to unlock it."""

    def locked(_service: str, _username: str) -> str:
        raise KeyringLocked("Failed to unlock the collection!")

    monkeypatch.setattr(backend, "get_password", locked)
    assert refusal(keyring.get, "east") == "the keyring is locked; unlock it and try again"


def test_a_keyring_that_cannot_be_written(backend: PlaintextKeyring) -> None:
    """The reason is the machine's."""
    Path(backend.file_path).mkdir(parents=True)
    assert refusal(keyring.put, "east", "s3cret").startswith("the keyring cannot be used: ")


def test_a_keyring_that_does_not_exist() -> None:
    """A wrong PYTHON_KEYRING_BACKEND is one line."""
    code = "from smalt.auth import keyring; keyring.get('east')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHON_KEYRING_BACKEND": "nowhere.Keyring"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == (
        "smalt.errors.ConfigurationError: the keyring cannot be used: No module named 'nowhere'; "
        "give the secret by ${VAR} or file:/path instead"
    )


def test_without_the_package_one_line_names_the_extra() -> None:
    """And importing the module takes nothing."""
    code = (
        "import sys; sys.modules['keyring'] = None\n"
        "from smalt.auth import keyring\n"
        "try: keyring.get('east')\n"
        "except Exception as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "the keyring needs an optional part of smalt: pip install 'smalt[azure]'\n"
