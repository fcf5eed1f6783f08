"""Who a caller is behind proxies, and a warning about callers whose keys are refused."""

import ipaddress
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence

from smalt.config.listening import TrustedNetwork
from smalt.gateway.exchange import Exchange, Headers

MOST_HOPS = 32
WARN_EVERY_S = 60.0
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[\d.]+):\d+")

logger = logging.getLogger("smalt.gateway")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def caller_address(peer: str, headers: Headers, trusted: Sequence[TrustedNetwork]) -> str:
    """The address of who asked first: `peer`, or where that is trusted, what it and other trusted ones added
    on the right of `x-forwarded-for`. What anybody else has written there is not believed.

    `peer`: the other end of the connection; empty for a unix socket, which only this machine can use. Empty
    if nobody knows.
    """
    if not trusted:
        return peer
    known = peer
    for hop in (peer, *_hops(headers)) if peer else _hops(headers):
        address = _address(hop)
        if address is None:
            return known
        known = str(address)
        if not any(address in network for network in trusted):
            return known
    return known


class RefusedKeys:
    """Warns of requests with missing or unknown keys, with the address of the last, at most once a minute.
    `trusted`: proxies. `clock`: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.trusted: Sequence[TrustedNetwork] = ()
        self._clock = clock
        self._untold = 0
        self._next_s = clock()

    def note(self, exchange: Exchange) -> None:
        self._untold += 1
        now = self._clock()
        if now >= self._next_s:
            caller = caller_address(exchange.peer, exchange.headers, self.trusted) or "a unix socket"
            logger.warning("requests without a known gateway key: %d, the last from %s", self._untold, caller)
            self._untold, self._next_s = 0, now + WARN_EVERY_S


def _hops(headers: Headers) -> Iterator[str]:
    """From the nearest on."""
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    hops = b",".join(lines).decode("latin-1").rsplit(",", MOST_HOPS)
    yield from (hop.strip() for hop in reversed(hops[-MOST_HOPS:]))


def _address(text: str) -> IpAddress | None:
    match = _WITH_PORT.fullmatch(text)
    if "%" in text:  # a zone may hold anything, and means nothing on another machine
        return None
    try:
        address = ipaddress.ip_address((match["six"] or match["four"]) if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
