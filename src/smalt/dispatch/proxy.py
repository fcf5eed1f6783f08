"""HTTP proxies: who they are, and the tunnel through one, whoever waits for it (RFC 9110, 9.3.6)."""

import asyncio
import re
import socket
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote_to_bytes, urlsplit

from smalt.confined import Confined

if TYPE_CHECKING:
    from smalt.dispatch.target import Origin

LARGEST_ANSWER: Final = 64 * 1024  # bytes
NOT_LET_IN: Final = "the proxy refuses the user and password in its URL, or wants some (407)"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([ -~]*))?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Proxy(Confined):
    """`host` without brackets. `authorization`: what it is shown, empty for nothing."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Of a checked URL."""
        parts = urlsplit(url)
        authorization = ""
        if parts.username is not None:
            words = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
            authorization = f"Basic {b64encode(words).decode()}"
        return cls(parts.hostname or "", parts.port or 80, authorization)


class Tunnel:
    """What is said to a proxy before the bytes of an origin flow. No credential of the origin is among it."""

    def __init__(self, origin: "Origin", proxy: Proxy) -> None:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"host: {host}:{origin.port}"]
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        self.request = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
        self._answer = b""

    def receive(self, data: bytes) -> bool:
        """Whether the tunnel is open now. Raises ConnectionError if the proxy refuses it; no data: it has
        closed the connection."""
        if not data:
            raise ConnectionError("the proxy closed the connection")
        self._answer += data
        end = _HEAD_END.search(self._answer)
        if end is None:
            if len(self._answer) > LARGEST_ANSWER:
                raise ConnectionError("the proxy's answer is too large")
            return False
        status = _STATUS.match(self._answer)
        if status is None:
            raise ConnectionError("the proxy's answer is not HTTP")
        if status[1] == b"407":
            raise ConnectionError(NOT_LET_IN)
        if not status[1].startswith(b"2"):
            raise ConnectionError(
                f"the proxy refuses it: {b' '.join(filter(None, status.groups())).decode()}"
            )
        if end.end() < len(self._answer):  # the origin speaks only when it is spoken to
            raise ConnectionError("the proxy sent something of its own into the tunnel")
        return True


def open_tunnel(sock: socket.socket, tunnel: Tunnel, deadline_s: float) -> None:
    """By a blocking socket, which is left the rest of the time. `deadline_s`: monotonic. Raises OSError."""
    sock.sendall(tunnel.request)
    while not tunnel.receive(sock.recv(LARGEST_ANSWER)):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(left_s)
    sock.settimeout(max(deadline_s - time.monotonic(), 0.001))


class Tunnelling(asyncio.Protocol):
    """The same for event loops. `opened`: fails with ConnectionError."""

    def __init__(self, tunnel: Tunnel, opened: "asyncio.Future[None]") -> None:
        self._tunnel = tunnel
        self.opened = opened

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.write(self._tunnel.request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        try:
            if self._tunnel.receive(data):
                self.opened.set_result(None)
        except ConnectionError as error:
            self.opened.set_exception(error)
            self.opened.exception()  # who was cancelled never asks, and asyncio would log that

    def connection_lost(self, _exc: Exception | None) -> None:
        self.data_received(b"")
