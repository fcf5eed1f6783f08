"""Where a gateway can be reached: sockets and TLS."""

import errno
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smalt.config.listening import UNIX, Address, Tls, load_certificate
from smalt.errors import ConfigurationError

BACKLOG = 2048
MOST_FILES = 1 << 20


def listen(address: Address) -> socket.socket:
    """A listening socket. Raises ConfigurationError."""
    if isinstance(address, Path):
        return _on_path(address)
    host, port = address
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} on {host} is in use; stop the other program or choose another port: "
                f"smalt serve --listen {host}:{port + 1}"
            ) from None
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}") from None
    return listener


@contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """The same; the file of a unix socket goes at the end, unless somebody has put another one there."""
    listener = listen(address)
    try:
        own = _identity(address) if isinstance(address, Path) else None
        yield listener
    finally:
        listener.close()
        if isinstance(address, Path) and own is not None and _identity(address) == own:
            address.unlink(missing_ok=True)


def url(listener: socket.socket, *, tls: bool) -> str:
    """What callers connect to; of a unix socket `unix:/path`."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    host, port = name[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or newer. Raises ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, tls)
    return context


def allow_many_files() -> None:
    """A request takes two sockets, and systems let a process have 1,024 files unless it asks for more."""
    import resource  # noqa: PLC0415  not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _on_path(path: Path) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {UNIX}{path}: {error.strerror}") from None
    return listener


def _remove_stale(path: Path) -> None:
    """What a gateway that was killed has left behind. Raises ConfigurationError for anything else."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing there, or binding says what is wrong
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"cannot listen on {UNIX}{path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return
        else:
            raise ConfigurationError(f"{UNIX}{path} is in use; stop the other program or choose another path")


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.lstat(path)
        return found.st_dev, found.st_ino
    return None
