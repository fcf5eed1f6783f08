"""Programs that are not here, and cannot be fetched."""

import shutil
from pathlib import Path

import pytest
from bench import debian


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def which(_program: str, path: str | None = None) -> None:
        pass

    monkeypatch.setattr(shutil, "which", which)
    monkeypatch.setattr(debian, "ENVIRONMENT", tmp_path)


@pytest.mark.usefixtures("nothing_installed")
def test_without_a_program_it_is_said_what_to_do() -> None:
    """Where there is no Debian to take it from."""
    with pytest.raises(debian.Missing, match="no apt-get to fetch Debian's; install nginx"):
        debian.find("nginx", ["nginx"])


def test_a_fetch_that_fails_says_why() -> None:
    """In the words of the program that failed, and what to do."""
    with pytest.raises(debian.Missing, match=r"no wrk here, and sh .* it \(no route to host\); install wrk"):
        debian.command("wrk", "sh", "-c", "echo no route to host >&2; exit 100", cwd=".")


def test_an_unpacked_program_finds_its_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One of this machine needs no help."""
    monkeypatch.setattr(debian, "ENVIRONMENT", tmp_path)
    program = tmp_path / "wrk/usr/bin/wrk"
    folder = tmp_path / "wrk/usr/lib/x86_64-linux-gnu"
    folder.mkdir(parents=True)
    assert debian.libraries(program)["LD_LIBRARY_PATH"] == str(folder)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    assert "LD_LIBRARY_PATH" not in debian.libraries(Path("/usr/bin/wrk"))
