"""Our own connections to upstreams: HTTP/1.1 over asyncio and httptools.

It knows what client libraries hide: whether a request's bytes left, whether a kept-alive connection died
before the answer began, and how to drop a request at once. Theory of operation:

A connection is idle, busy with exactly one `Response`, or dead. It returns to the idle ones only when its
answer was read to the end and the upstream agrees to keep it; bytes that nobody asked for kill it. A
`Response` gathers its body (`whole`) or hands it on as it comes (`relay`); when nobody takes the bytes
reading pauses, so memory stays bounded. Cancelling whoever waits kills the connection.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable

import httptools

from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

IDLE_S = 55.0  # load balancers close idle connections after a minute or more; ours close first
LARGEST_HEAD = 64 * 1024
LARGEST_HELD = 256 * 1024  # bytes kept before reading pauses while nobody takes them

OnChunk = Callable[[bytes], None]
OnEnd = Callable[[SendFailed | None], None]


class Connections:
    """Connections of one event loop, kept alive by origin. Not for use by several loops."""

    def __init__(self, *, connect_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._connect_s = connect_s
        self._tls = tls
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)
        self._all: set[Connection] = set()

    async def send(self, origin: Origin, head: bytes, body: bytes) -> "Response":
        """Write one request and wait for the head of its answer. Raises SendFailed."""
        connection = self._take(origin)
        if connection is None:
            connection = await self._connect(origin)
        response = connection.request(head, body)
        try:
            await response.head()
        except BaseException:
            connection.kill()
            raise
        return response

    def close(self) -> None:
        """Drop every connection at once."""
        for connection in tuple(self._all):
            connection.kill()

    def _take(self, origin: Origin) -> "Connection | None":
        idle = self._idle[origin]
        now = asyncio.get_running_loop().time()
        while idle:
            connection = idle.pop()
            if connection.usable(now):
                return connection
            connection.kill()
        return None

    async def _connect(self, origin: Origin) -> "Connection":
        where = f"{origin.host}:{origin.port}"
        loop = asyncio.get_running_loop()
        tls = self._tls_context() if origin.tls else None
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(origin, self._put_back, self._all.discard),
                    origin.host,
                    origin.port,
                    ssl=tls,
                    server_hostname=origin.host if tls else None,
                )
        except TimeoutError:
            text = f"connecting to {where} took longer than {self._connect_s:g} s"
            raise SendFailed(FailureKind.CONNECT, text) from None
        except OSError as error:  # refused, unreachable, unknown host, TLS
            text = f"cannot connect to {where}: {error.strerror or error}"
            raise SendFailed(FailureKind.CONNECT, text) from None
        self._all.add(connection)
        return connection

    def _put_back(self, connection: "Connection") -> None:
        self._idle[connection.origin].append(connection)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class Connection(asyncio.Protocol):
    """One socket. See the module's text for its states."""

    def __init__(
        self,
        origin: Origin,
        put_back: Callable[["Connection"], None],
        forget: Callable[["Connection"], None],
    ) -> None:
        self.origin = origin
        self._put_back = put_back
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: Response | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._interim = False
        self._until_eof = False
        self._reused = False
        self._surplus = False
        self._idle_since_s = 0.0

    def usable(self, now: float) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing() and now - self._idle_since_s < IDLE_S

    def request(self, head: bytes, body: bytes) -> "Response":
        """Write a request; the connection is busy until its answer has ended."""
        if self._transport is None or self._response is not None:
            raise RuntimeError("this connection cannot take a request")
        self._headers, self._head_bytes, self._until_eof = [], 0, False
        response = self._response = Response(self._loop, self)
        self._transport.write(head + body)
        return response

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def kill(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            self.kill()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")
        except httptools.HttpParserUpgrade:
            self._fail("the upstream wants to change the protocol")
        if self._surplus:
            self.kill()
        else:
            self._limit_head(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        response, self._response = self._response, None
        self._transport = None
        self._forget(self)
        if response is None:
            return
        if response.has_head and self._until_eof and exc is None:
            response.ended(None)
        elif response.has_head:
            response.ended(SendFailed(FailureKind.TRUNCATED, "the connection broke in the answer"))
        elif self._reused and self._head_bytes == 0:
            response.ended(SendFailed(FailureKind.STALE, "the kept-alive connection was closed"))
        else:
            response.ended(SendFailed(FailureKind.RESET, "the connection broke before the answer"))

    # what httptools calls

    def on_message_begin(self) -> None:
        self._surplus = self._response is None

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._response is None:
            return
        self._interim = status < 200
        if self._interim:  # 100 Continue, 103 Early Hints
            self._headers = []
            return
        names = {name for name, _ in self._headers}
        self._until_eof = not names & {b"content-length", b"transfer-encoding"}
        self._response.begun(status, self._headers)

    def on_body(self, data: bytes) -> None:
        if self._response is not None:
            self._response.arrived(data)

    def on_message_complete(self) -> None:
        if self._interim or self._response is None:
            return
        response, self._response = self._response, None
        if self._parser.should_keep_alive():
            self.resume()
            self._reused, self._idle_since_s = True, self._loop.time()
            self._put_back(self)
        else:
            self.kill()
        response.ended(None)

    def _limit_head(self, arrived_bytes: int) -> None:
        if self._response is not None and not self._response.has_head:
            self._head_bytes += arrived_bytes
            if self._head_bytes > LARGEST_HEAD:
                self._fail("the answer's head is too large")

    def _fail(self, text: str) -> None:
        response, self._response = self._response, None
        self.kill()
        if response is not None:
            kind = FailureKind.TRUNCATED if response.has_head else FailureKind.RESET
            response.ended(SendFailed(kind, text))


class Response:
    """The answer to one request. `status` and `headers` hold once `head` has returned."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._loop = loop
        self._connection = connection
        self._waiter: asyncio.Future[None] | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._may_hold = LARGEST_HELD
        self._done = False
        self._failed: SendFailed | None = None
        self._on_chunk: OnChunk | None = None
        self._on_end: OnEnd | None = None
        self._last_data_s = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def has_head(self) -> bool:
        return self.status != 0

    async def head(self) -> None:
        """Wait for status and headers. Raises SendFailed."""
        if not self.has_head:
            await self._wait()

    async def whole(self, limit_bytes: int) -> bytes | None:
        """The whole body, or None if it is larger than `limit_bytes`: then `relay` gives all of it."""
        self._may_hold = limit_bytes
        self.resume()
        while not self._done and self._held_bytes <= limit_bytes:
            await self._wait()
        if self._failed is not None:
            raise self._failed
        return b"".join(self._held) if self._held_bytes <= limit_bytes else None

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
        self._idle_timer = self._loop.call_later(idle_s, self._check_idle, idle_s)
        self.resume()

    def pause(self) -> None:
        if not self._done:
            self._connection.pause()

    def resume(self) -> None:
        if not self._done:
            self._last_data_s = self._loop.time()
            self._connection.resume()

    def close(self) -> None:
        """Stop caring; an answer that has not ended takes its connection with it."""
        self._on_chunk = self._on_end = None
        if not self._done:
            self._connection.kill()

    # what the connection calls

    def begun(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status, self.headers = status, headers
        self._wake()

    def arrived(self, data: bytes) -> None:
        if self._on_chunk is not None:
            self._last_data_s = self._loop.time()
            self._on_chunk(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._may_hold:
            self._connection.pause()
            self._wake()

    def ended(self, failed: SendFailed | None) -> None:
        if self._done:
            return
        self._done, self._failed = True, failed
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        on_end, self._on_chunk, self._on_end = self._on_end, None, None
        if on_end is not None:
            on_end(failed)
        self._wake()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter
        if self._failed is not None:
            raise self._failed

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_idle(self, idle_s: float) -> None:
        silent_s = self._loop.time() - self._last_data_s
        if silent_s < idle_s:
            self._idle_timer = self._loop.call_later(idle_s - silent_s, self._check_idle, idle_s)
            return
        self._connection.kill()
        self.ended(SendFailed(FailureKind.TIMEOUT, f"the stream was silent for {idle_s:g} s"))
