from collections.abc import Callable
from pathlib import Path

import pytest

from smalt.emulator.identity.spec import Tls
from smalt.emulator.identity.tls import TlsEnd
from smalt.errors import ConfigurationError


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    """The second start finds it and changes nothing."""
    first = TlsEnd(Tls(tmp_path)).ca_file.read_bytes()
    assert TlsEnd(Tls(tmp_path)).ca_file.read_bytes() == first


def test_without_a_folder_it_goes_with_its_owner() -> None:
    """Nothing is left behind, and no private key is written at all."""
    end = TlsEnd(Tls())
    folder = end.ca_file.parent
    assert [file.name for file in folder.iterdir()] == ["ca.pem"]
    del end
    assert not folder.exists()


def no_key(folder: Path) -> None:
    (folder / "ca.key").write_text("none")


def other_key(folder: Path) -> None:
    TlsEnd(Tls(folder / "other"))
    (folder / "other" / "ca.key").rename(folder / "ca.key")


@pytest.mark.parametrize(("spoil", "told"), [(no_key, "can be read"), (other_key, "do not fit")])
def test_a_spoilt_folder_is_told(tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    """Rather than to serve with what nobody trusts."""
    TlsEnd(Tls(tmp_path))
    spoil(tmp_path)
    with pytest.raises(ConfigurationError, match=told):
        TlsEnd(Tls(tmp_path))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """In one line with its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"tls\.folder: .*/file/ca cannot be used: Not a directory"):
        TlsEnd(Tls(tmp_path / "file" / "ca"))
