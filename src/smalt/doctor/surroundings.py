"""What the doctor sees of the machine: the seam that tests put other machines into."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.util import find_spec

from smalt.config.network import Network

Resolve = Callable[[str], Sequence[str]]


@contextmanager
def naming(host: str) -> Iterator[None]:
    """What no name can be is told as one that does not exist: Python raises UnicodeError for `a..b`."""
    try:
        yield
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no host can have this name") from None


def addresses(host: str) -> Sequence[str]:
    """Of a host, in the order of the system. Raises socket.gaierror."""
    with naming(host):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_installed(module: str) -> bool:
    """Whether a module, with all it is part of, can be imported; imports its parents."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _now() -> datetime:
    return datetime.now(UTC)


def _today() -> date:
    return _now().date()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`timeout_s`: of each connection and each answer. `now`: wall time in UTC; `today`: what dates of models
    are held against. `network`: of the settings."""

    env: Mapping[str, str]
    timeout_s: float = 10.0
    now: Callable[[], datetime] = field(default=_now)
    today: Callable[[], date] = field(default=_today)
    network: Network = field(default=Network())
    resolve: Resolve = field(default=addresses)
    installed: Callable[[str], bool] = field(default=is_installed)
