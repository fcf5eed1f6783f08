"""Sockets by address, and what is left of them."""

import socket
from pathlib import Path

import pytest

from smalt.errors import ConfigurationError
from smalt.gateway.listening import listening, url


def test_a_port() -> None:
    """The address told is the one to connect to."""
    with listening(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert url(listener, tls=False) == f"http://127.0.0.1:{port}"
        assert url(listener, tls=True) == f"https://127.0.0.1:{port}"


def test_a_port_in_use() -> None:
    """Another one is suggested."""
    with listening(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"in use; .* --listen 127.0.0.1:{port + 1}"),
            listening(("127.0.0.1", port)),
        ):
            pass


def test_a_unix_socket_is_removed_at_the_end(tmp_path: Path) -> None:
    """By who made it."""
    path = tmp_path / "smalt.sock"
    with listening(path) as listener:
        assert url(listener, tls=False) == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """Nobody listens on it any more."""
    path = tmp_path / "smalt.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with listening(path):
        pass
    assert not path.exists()


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    """And goes on working."""
    path = tmp_path / "smalt.sock"
    with listening(path):
        with pytest.raises(ConfigurationError, match="is in use"), listening(path):
            pass
        assert path.exists()


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    """A wrong path must not cost anybody a file."""
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="a file that is no socket"), listening(path):
        pass
    assert path.read_text() == "precious"


def test_the_socket_of_a_successor_stays(tmp_path: Path) -> None:
    """Whoever took the path over meanwhile keeps it."""
    path = tmp_path / "smalt.sock"
    with listening(path):
        path.unlink()
        successor = socket.socket(socket.AF_UNIX)
        successor.bind(str(path))
    with successor:
        assert path.exists()
