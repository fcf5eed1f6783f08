"""Connections for event loops: the gateway's, and those of the library's asynchronous clients.

A `Response` gathers its body (`whole`), gives it piece by piece, or hands it on as it comes (`relay`); when
nobody takes the bytes reading pauses, so memory stays bounded. Cancelling whoever waits kills the connection,
unless the answer has ended: then it may already serve another request.
"""

import asyncio
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from smalt.dispatch.connection import (
    CLOSED,
    Connection,
    Received,
    connecting,
    forwarded,
    not_connected,
    trust,
)
from smalt.dispatch.proxy import Proxy, Tunnel, Tunnelling
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

LARGEST_HELD: Final = 256 * 1024  # bytes kept before reading pauses while nobody takes them

OnChunk = Callable[[bytes], None]
OnEnd = Callable[[SendFailed | None], None]


class Connections:
    """Connections of one event loop, kept alive by origin. Not for use by several loops. `most_idle`: of all
    origins together; None for no limit, where the origins are few."""

    def __init__(
        self,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        *,
        most_idle: int | None = None,
    ) -> None:
        self._make_tls = tls
        self._most_idle = most_idle
        self._tls: dict[str, ssl.SSLContext] = {}  # by the certificates trusted besides the usual ones
        self._idle: dict[Origin, dict[Wire, None]] = defaultdict(dict)  # in the order they came back
        self._all: set[Wire] = set()
        self._closed = False

    async def send(
        self, origin: Origin, head: bytes, body: bytes, *, connect_s: float, limit_s: float
    ) -> "Response":
        """Write one request and wait for the head of its answer. Raises SendFailed, also later while the
        body is awaited, when `limit_s` seconds have passed."""
        started_s = asyncio.get_running_loop().time()
        connection = self._take(origin) or await self._connect(origin, connect_s)
        response = connection.request(head, body)
        response.expire(started_s + limit_s, limit_s)
        try:
            await response.head()
            forwarded(origin, response.status)
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """Drop every connection at once, and make no more."""
        self._closed = True
        for connection in tuple(self._all):
            connection.kill()

    def _take(self, origin: Origin) -> "Wire | None":
        """The one used last, so that those not needed grow old."""
        idle = self._idle[origin]
        now = time.monotonic()
        while idle:
            connection, _ = idle.popitem()
            if connection.usable(now):
                return connection
            connection.kill()
        return None

    def _sweep(self) -> None:
        """Those to origins that nobody asks any more are never looked at again."""
        now = time.monotonic()
        for connection in [one for idle in self._idle.values() for one in idle if not one.usable(now)]:
            connection.kill()
        for origin in [origin for origin, idle in self._idle.items() if not idle]:
            del self._idle[origin]

    async def _connect(self, origin: Origin, connect_s: float) -> "Wire":
        self._sweep()
        with connecting(origin, connect_s):
            async with asyncio.timeout(connect_s):
                if origin.proxy is not None and origin.tls:
                    connection = await self._tunnel(origin, origin.proxy)
                else:
                    _, connection = await asyncio.get_running_loop().create_connection(
                        partial(self._new, origin),
                        *origin.address,
                        ssl=self._tls_context(origin) if origin.tls else None,
                        server_hostname=origin.host if origin.tls else None,
                    )
        if self._closed or not connection.is_open:
            connection.kill()
            raise not_connected(origin, CLOSED if self._closed else "the connection was closed at once")
        self._all.add(connection)
        return connection

    async def _tunnel(self, origin: Origin, proxy: Proxy) -> "Wire":
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        tls, opened = self._tls_context(origin), loop.create_future()
        transport, _ = await loop.create_connection(
            lambda: Tunnelling(Tunnel(origin, proxy), opened), *origin.address
        )
        try:
            await opened
            connection = self._new(origin)
            secured = await loop.start_tls(transport, connection, tls, server_hostname=origin.host)
            if secured is None:
                raise ConnectionError("the connection was closed in the TLS handshake")
        except BaseException:
            transport.abort()
            raise
        connection.connection_made(secured)  # as the one who took over, start_tls does not say it
        return connection

    def _new(self, origin: Origin) -> "Wire":
        loop = asyncio.get_running_loop()
        return Connection(origin, partial(Response, loop), self._put_back, self._forget)

    def _put_back(self, connection: "Wire", now: float) -> None:
        idle = self._idle[connection.origin]
        idle[connection] = None
        oldest = next(iter(idle))
        if not oldest.usable(now):
            oldest.kill()
        if self._most_idle is not None:
            self._keep(self._most_idle)

    def _keep(self, most: int) -> None:
        """The one that has been idle longest goes, whatever its origin."""
        idle = [connection for of_one in self._idle.values() for connection in of_one if connection.is_open]
        if len(idle) > most:
            min(idle, key=lambda connection: connection.idle_since_s).kill()

    def _forget(self, connection: "Wire") -> None:
        self._all.discard(connection)
        self._idle[connection.origin].pop(connection, None)

    def _tls_context(self, origin: Origin) -> ssl.SSLContext:
        if origin.ca_pem not in self._tls:
            self._tls[origin.ca_pem] = trust(self._make_tls, origin.ca_pem)
        return self._tls[origin.ca_pem]


class Response(Received):
    """The answer to one request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: "Wire") -> None:
        super().__init__(connection)
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._held_bytes = 0
        self._may_hold = LARGEST_HELD
        self._paused = False
        self._on_chunk: OnChunk | None = None
        self._on_end: OnEnd | None = None
        self._last_data_s = 0.0
        self._timer: asyncio.TimerHandle | None = None  # for the whole answer; once relayed for its silence

    def expire(self, deadline_s: float, limit_s: float) -> None:
        """Fail at `deadline_s` of the loop's clock, unless ended or relayed by then."""
        self._timer = self._loop.call_at(deadline_s, self._time_out, "no answer within", limit_s)

    async def head(self) -> None:
        """Wait for status and headers. Raises SendFailed."""
        if not self.has_head and not self._done:
            await self._more()
        if self._failed is not None and not self.has_head:
            raise self._failed

    async def whole(self, limit_bytes: int) -> bytes | None:
        """The whole body, or None if it is larger than `limit_bytes`: then `relay` gives all of it."""
        self._may_hold = limit_bytes
        if self._held_bytes <= limit_bytes:
            self.resume()
        while not self._done and self._held_bytes <= limit_bytes:
            await self._more()
        if self._failed is not None:
            raise self._failed
        return b"".join(self._held) if self._held_bytes <= limit_bytes else None

    async def piece(self) -> bytes | None:
        """What has arrived since the last one, None at the end; `relay` gives the rest. Raises SendFailed."""
        if not self._held:
            self.resume()
        while not self._held and not self._done:
            await self._more()
        if self._failed is not None and not self._held:
            raise self._failed
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        return data or None

    async def pieces(self, idle_s: float) -> AsyncIterator[bytes]:
        """The rest of the body as it comes, for a reader who may take his time; a silence of `idle_s` seconds
        counts as a failure. Raises SendFailed."""
        self._stop_timer()
        while True:
            try:
                async with asyncio.timeout(None if self._held else idle_s):
                    data = await self.piece()
            except TimeoutError:
                self.close()
                text = f"the stream was silent for {idle_s:g} s"
                raise SendFailed(FailureKind.TIMEOUT, text) from None
            if data is None:
                return
            yield data

    def relay(self, on_chunk: OnChunk, on_end: OnEnd, *, idle_s: float) -> None:
        """Hand every body byte to `on_chunk` as it comes, then call `on_end` once; a silence of `idle_s`
        seconds counts as a failure."""
        held, self._held, self._held_bytes = self._held, [], 0
        for data in held:
            on_chunk(data)
        if self._done:
            on_end(self._failed)
            return
        self._on_chunk, self._on_end = on_chunk, on_end
        self._last_data_s = self._loop.time()
        self._stop_timer()
        self._timer = self._loop.call_later(idle_s, self._check_idle, idle_s)
        if not self._paused:  # what was held may already have been too much for the taker
            self.resume()

    def pause(self) -> None:
        self._paused = True
        if not self._done:
            self._connection.pause()

    def resume(self) -> None:
        self._paused = False
        if not self._done:
            self._last_data_s = self._loop.time()
            self._connection.resume()

    def break_off(self, why: str) -> None:
        """As if the upstream had failed."""
        self._connection.kill()
        self.ended(SendFailed(FailureKind.TIMEOUT, why))

    def close(self) -> None:
        """Stop caring; an answer that has not ended takes its connection with it."""
        self._on_chunk = self._on_end = None
        super().close()

    # what the connection calls

    def begun(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        super().begun(status, headers)
        self._wake()

    def arrived(self, data: bytes) -> None:
        if self._on_chunk is not None:
            self._last_data_s = self._loop.time()
            self._on_chunk(data)
            return
        super().arrived(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._may_hold:
            self._connection.pause()
        self._wake()

    def ended(self, failed: SendFailed | None) -> None:
        if self._done:
            return
        super().ended(failed)
        self._stop_timer()
        on_end, self._on_chunk, self._on_end = self._on_end, None, None
        if on_end is not None:
            on_end(failed)
        self._wake()

    def _more(self) -> "asyncio.Future[None]":
        """Done when something comes."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_idle(self, idle_s: float) -> None:
        silent_s = self._loop.time() - self._last_data_s
        if silent_s < idle_s:
            self._timer = self._loop.call_later(idle_s - silent_s, self._check_idle, idle_s)
            return
        what = "the caller took nothing for" if self._paused else "the stream was silent for"
        self._time_out(what, idle_s)

    def _time_out(self, what: str, seconds: float) -> None:
        self.break_off(f"{what} {seconds:g} s")


Wire = Connection[Response]
