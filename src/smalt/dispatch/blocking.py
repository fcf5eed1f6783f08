"""Connections for threads: whoever waits for an answer reads it himself."""

import asyncio
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from smalt.dispatch.connection import (
    CLOSED,
    Connection,
    Received,
    connecting,
    forwarded,
    not_connected,
    trust,
)
from smalt.dispatch.proxy import Tunnel, open_tunnel
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

READ_BYTES: Final = 64 * 1024
LONGEST_S: Final = 1e6  # for a socket
ResultT = TypeVar("ResultT")


class BlockingConnections:
    """Kept alive by origin. Safe for threads."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._make_tls = tls
        self._tls: dict[str, ssl.SSLContext] = {}  # by the certificates trusted besides the usual ones
        self._lock = threading.RLock()
        self._idle: dict[Origin, list[Plug]] = defaultdict(list)  # in the order they came back
        self._all: set[Plug] = set()
        self._closed = False

    def send(
        self, origin: Origin, head: bytes, body: bytes, *, connect_s: float, limit_s: float
    ) -> "BlockingResponse":
        """Write one request and wait for the head of its answer. Raises SendFailed, also later while the body
        is awaited, when `limit_s` seconds have passed."""
        deadline_s = time.monotonic() + limit_s
        plug = self._take(origin) or self._connect(origin, connect_s)
        plug.allow(limit_s, deadline_s)
        response = plug.connection.request(head, body)
        try:
            response.head()
            forwarded(origin, response.status)
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """Drop every connection at once, and make no more."""
        with self._lock:
            self._closed = True
            plugs = tuple(self._all)
        for plug in plugs:
            plug.connection.kill()

    def _take(self, origin: Origin) -> "Plug | None":
        """The one used last, so that those not needed grow old."""
        while True:
            with self._lock:
                if not self._idle[origin]:
                    return None
                plug = self._idle[origin].pop()
            if plug.connection.usable(time.monotonic()) and plug.is_quiet():
                return plug
            plug.connection.kill()

    def _sweep(self) -> None:
        """Those to origins that nobody asks any more are never looked at again."""
        now = time.monotonic()
        with self._lock:
            old = [plug for idle in self._idle.values() for plug in idle if not plug.connection.usable(now)]
        for plug in old:
            plug.connection.kill()

    def _connect(self, origin: Origin, connect_s: float) -> "Plug":
        self._sweep()
        with connecting(origin, connect_s):
            sock = self._open(origin, connect_s)
        plug = Plug(sock, origin, self._put_back, self._forget)
        with self._lock:
            self._all.add(plug)
        if self._closed:
            plug.connection.kill()
            raise not_connected(origin, CLOSED)
        return plug

    def _open(self, origin: Origin, connect_s: float) -> socket.socket:
        """For each address of the host the time begins anew, and once more for a tunnel and TLS."""
        if self._closed:
            raise OSError(CLOSED)
        sock = socket.create_connection(origin.address, connect_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.tls:
                if origin.proxy is not None:
                    open_tunnel(sock, Tunnel(origin, origin.proxy), time.monotonic() + connect_s)
                sock = self._tls_context(origin).wrap_socket(sock, server_hostname=origin.host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _put_back(self, plug: "Plug") -> None:
        with self._lock:
            idle = self._idle[plug.connection.origin]
            idle.append(plug)
            if not idle[0].connection.usable(time.monotonic()):
                idle[0].connection.kill()

    def _forget(self, plug: "Plug") -> None:
        with self._lock:
            self._all.discard(plug)
            idle = self._idle[plug.connection.origin]
            if plug in idle:
                idle.remove(plug)

    def _tls_context(self, origin: Origin) -> ssl.SSLContext:
        with self._lock:
            if origin.ca_pem not in self._tls:
                self._tls[origin.ca_pem] = trust(self._make_tls, origin.ca_pem)
            return self._tls[origin.ca_pem]


class Plug(asyncio.Transport):
    """A blocking socket, in the shape that a connection knows from event loops."""

    def __init__(
        self,
        sock: socket.socket,
        origin: Origin,
        put_back: Callable[["Plug"], None],
        forget: Callable[["Plug"], None],
    ) -> None:
        super().__init__()
        self._sock = sock
        self._limit_s = 0.0
        self._deadline_s: float | None = None
        self._waits = self._unsent = self._closed = False
        self.connection: Connection[BlockingResponse] = Connection(
            origin,
            partial(BlockingResponse, self),
            lambda _connection, _now: put_back(self),
            lambda _connection: forget(self),
        )
        self.connection.connection_made(self)

    def allow(self, limit_s: float, deadline_s: float | None = None) -> None:
        """How long reading and writing may take from now on: up to the deadline, or else each time."""
        self._limit_s, self._deadline_s = limit_s, deadline_s

    def is_quiet(self) -> bool:
        """Whether nothing has come while nobody read: neither an end nor bytes that nobody asked for."""
        try:
            self._sock.settimeout(0)
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def read(self, response: "BlockingResponse") -> None:
        """Wait for the next bytes, and let the connection deal with them."""
        try:
            data = self._in_time(lambda: self._sock.recv(READ_BYTES))
        except TimeoutError:
            response.ended(SendFailed(FailureKind.TIMEOUT, f"no answer within {self._limit_s:g} s"))
            self.connection.kill()
        except OSError as error:
            self._lose(error)
        else:
            self.connection.data_received(data) if data else self.connection.eof_received()

    # what the connection calls

    def write(self, data: Any) -> None:
        """What cannot be written may have been answered already: `read` finds out, also that time is up."""
        try:
            self._in_time(lambda: self._sock.sendall(data))
        except OSError as error:
            self._unsent = True
            if isinstance(error, TimeoutError):
                self._deadline_s = time.monotonic()

    def abort(self) -> None:
        """From any thread. One that waits is woken and closes the socket itself, so that it never waits for
        another one of the same number."""
        with suppress(OSError):  # not that of TLS, which would go on in clear text
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        if not self._waits:
            self._lose(None)

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        return int(self._unsent)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._sock if name == "socket" else default

    def pause_reading(self) -> None:
        """Nobody reads who does not want to."""

    def resume_reading(self) -> None:
        """The same."""

    def _in_time(self, action: Callable[[], ResultT]) -> ResultT:
        """Raises TimeoutError."""
        limit_s = self._limit_s
        if self._deadline_s is not None:
            limit_s = self._deadline_s - time.monotonic()
            if limit_s <= 0:
                raise TimeoutError
        self._sock.settimeout(min(limit_s, LONGEST_S))
        self._waits = True
        try:
            return action()
        finally:
            self._waits = False

    def _lose(self, error: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self._sock.close()
            self.connection.connection_lost(error)


class BlockingResponse(Received):
    """The answer to one request. For one thread at a time; `close` may come from another."""

    def __init__(self, plug: Plug, connection: "Connection[BlockingResponse]") -> None:
        super().__init__(connection)
        self._plug = plug

    def go_on(self, idle_s: float) -> None:
        """From now on only the silence between two pieces is limited."""
        if not self._done:
            self._plug.allow(idle_s)

    def head(self) -> None:
        """Wait for status and headers. Raises SendFailed."""
        while not (self.has_head or self._done):
            self._plug.read(self)
        if not self.has_head and self._failed is not None:
            raise self._failed

    def whole(self) -> bytes:
        """The whole body. Raises SendFailed."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The rest of the body as it comes. Raises SendFailed."""
        while True:
            while not (self._held or self._done):
                self._plug.read(self)
            if self._held:
                data, self._held = b"".join(self._held), []
                yield data
            elif self._failed is not None:
                raise self._failed
            else:
                return
