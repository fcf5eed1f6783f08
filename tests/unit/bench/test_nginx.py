"""The yardstick where there is none, and the sizes of what is sent through it."""

import shutil
from pathlib import Path

import pytest
from bench import nginx


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def which(_program: str, path: str | None = None) -> None:
        pass

    monkeypatch.setattr(shutil, "which", which)
    monkeypatch.setattr(nginx, "UNPACKED", tmp_path)


@pytest.mark.usefixtures("nothing_installed")
def test_without_nginx_it_is_said_what_to_do() -> None:
    """Also where there is no Debian to take it from."""
    with pytest.raises(nginx.NoNginx, match=r"install nginx|on Linux only"):
        nginx.find()


def test_a_fetch_that_fails_says_why() -> None:
    """In the words of the program that failed, and what to do."""
    with pytest.raises(nginx.NoNginx, match=r"sh could not fetch it \(no route to host\); install nginx"):
        nginx.command("sh", "-c", "echo no route to host >&2; exit 100", cwd=".")


def test_a_chat_request_of_2_kb_and_an_answer_of_1_kb() -> None:
    """What is sent and answered has the sizes that are told."""
    assert len(nginx.REQUEST.partition(b"\r\n\r\n")[2]) == nginx.REQUEST_BYTES
    assert len(nginx.ANSWER) == nginx.ANSWER_BYTES
