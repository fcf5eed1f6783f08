"""Our own connections to upstreams: HTTP/1.1 over asyncio and httptools.

It knows what client libraries hide: whether a request's bytes left, whether a kept-alive connection died
before the answer began, and how to drop a request at once. Theory of operation:

A connection is idle, busy with exactly one `Response`, or dead. It returns to the idle ones only when its
answer was read to the end, its request was written to the end and the upstream agrees to keep it; bytes
that nobody asked for kill it. A `Response` gathers its body (`whole`) or hands it on as it comes (`relay`);
when nobody takes the bytes reading pauses, so memory stays bounded. Cancelling whoever waits kills the
connection, unless the answer has ended: then it may already serve another request.
"""

import asyncio
import os
import socket
import ssl
from collections import defaultdict
from collections.abc import Callable

import httptools

from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

KEEP_ALIVE_S = 60  # TCP's own probes
IDLE_S = 55.0  # load balancers close idle connections after a minute or more; ours close first
LARGEST_HEAD = 64 * 1024  # bytes of headers, and of anything else between two pieces of a body
LARGEST_HELD = 256 * 1024  # bytes kept before reading pauses while nobody takes them

OnChunk = Callable[[bytes], None]
OnEnd = Callable[[SendFailed | None], None]


class Connections:
    """Connections of one event loop, kept alive by origin. Not for use by several loops."""

    def __init__(self, *, connect_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._connect_s = connect_s
        self._tls = tls
        self._idle: dict[Origin, dict[Connection, None]] = defaultdict(dict)  # in the order they came back
        self._all: set[Connection] = set()
        self._closed = False

    async def send(self, origin: Origin, head: bytes, body: bytes, *, limit_s: float) -> "Response":
        """Write one request and wait for the head of its answer. Raises SendFailed, also later while the
        body is awaited, when `limit_s` seconds have passed."""
        deadline_s = asyncio.get_running_loop().time() + limit_s
        connection = self._take(origin) or await self._connect(origin)
        response = connection.request(head, body)
        response.expire(deadline_s, limit_s)
        try:
            await response.head()
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """Drop every connection at once, and make no more."""
        self._closed = True
        for connection in tuple(self._all):
            connection.kill()

    def _take(self, origin: Origin) -> "Connection | None":
        """The one used last, so that those not needed grow old."""
        idle = self._idle[origin]
        now = asyncio.get_running_loop().time()
        while idle:
            connection, _ = idle.popitem()
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
                    lambda: Connection(origin, self._put_back, self._forget),
                    origin.host,
                    origin.port,
                    ssl=tls,
                    server_hostname=origin.host if tls else None,
                )
        except TimeoutError:
            text = f"connecting to {where} took longer than {self._connect_s:g} s"
            raise SendFailed(FailureKind.CONNECT, text) from None
        except (OSError, UnicodeError) as error:  # refused, unreachable, TLS; a host that is no name
            text = f"cannot connect to {where}: {_reason(error)}"
            raise SendFailed(FailureKind.CONNECT, text) from None
        if self._closed or not connection.is_open:
            connection.kill()
            by = "smalt is shutting down" if self._closed else "the connection was closed at once"
            raise SendFailed(FailureKind.CONNECT, f"cannot connect to {where}: {by}")
        self._all.add(connection)
        return connection

    def _put_back(self, connection: "Connection", now: float) -> None:
        idle = self._idle[connection.origin]
        idle[connection] = None
        oldest = next(iter(idle))
        if not oldest.usable(now):
            oldest.kill()

    def _forget(self, connection: "Connection") -> None:
        self._all.discard(connection)
        self._idle[connection.origin].pop(connection, None)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _reason(error: Exception) -> str:
    """In the system's words where it is the system's error: event loops have their own."""
    if not isinstance(error, OSError):
        return str(error)
    if isinstance(error, (ssl.SSLError, socket.gaierror)) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


class Connection(asyncio.Protocol):
    """One socket. See the module's text for its states."""

    def __init__(
        self,
        origin: Origin,
        put_back: Callable[["Connection", float], None],
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
        self._bare_bytes = 0  # arrived since the request or the last piece of a body
        self._interim = False
        self._until_eof = False
        self._reused = False
        self._surplus = False
        self._killed = False
        self._idle_since_s = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def usable(self, now: float) -> bool:
        return self.is_open and now - self._idle_since_s < IDLE_S

    def request(self, head: bytes, body: bytes) -> "Response":
        """Write a request; the connection is busy until its answer has ended."""
        if self._transport is None or self._response is not None:
            raise RuntimeError("this connection cannot take a request")
        self._bare_bytes, self._until_eof = 0, False
        response = self._response = Response(self._loop, self)
        self._transport.write(head + body)
        return response

    def pause(self) -> None:
        if self._transport is not None and self.is_open:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self.is_open:
            self._transport.resume_reading()

    def kill(self) -> None:
        self._killed = True
        if self._transport is not None:
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        _keep_alive(transport)

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            self.kill()  # nobody asked
            return
        self._bare_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")
        except httptools.HttpParserUpgrade:
            self._fail("the upstream wants to change the protocol")
        if self._surplus:
            self.kill()
        elif self._bare_bytes > LARGEST_HEAD:  # a head or a trailer without end
            self._fail("the answer's head is too large")

    def eof_received(self) -> None:
        if self._transport is not None:
            self._transport.abort()  # a rest of the request to write would keep it for ever

    def connection_lost(self, exc: Exception | None) -> None:
        response, self._response = self._response, None
        self._transport = None
        self._forget(self)
        if response is None:
            return
        if response.has_head and self._until_eof and exc is None and not self._killed:
            response.ended(None)
        elif response.has_head:
            response.ended(SendFailed(FailureKind.TRUNCATED, "the connection broke in the answer"))
        elif self._reused and self._bare_bytes == 0:
            response.ended(SendFailed(FailureKind.STALE, "the kept-alive connection was closed"))
        else:
            response.ended(SendFailed(FailureKind.RESET, "the connection broke before the answer"))

    # what httptools calls

    def on_message_begin(self) -> None:
        self._surplus = self._response is None
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._response is None:
            return
        headers, self._headers = self._headers, []  # a new list: trailers must not pass for headers
        if self._bare_bytes > LARGEST_HEAD and _size(headers) > LARGEST_HEAD:
            self._fail("the answer's head is too large")
            return
        if status < 100:
            self._fail(f"the answer is not HTTP: status {status}")
            return
        self._interim = status < 200  # 100 Continue, 103 Early Hints
        if self._interim:
            return
        names = {name for name, _ in headers}
        self._until_eof = not names & {b"content-length", b"transfer-encoding"}
        self._response.begun(status, headers)

    def on_body(self, data: bytes) -> None:
        self._bare_bytes = 0
        if self._response is not None:
            self._response.arrived(data)

    def on_message_complete(self) -> None:
        if self._interim or self._response is None:
            return
        response, self._response = self._response, None
        if self._parser.should_keep_alive() and self._written():
            self.resume()
            self._reused, self._idle_since_s = True, self._loop.time()
            self._put_back(self, self._idle_since_s)
        else:
            self.kill()
        response.ended(None)

    def _written(self) -> bool:
        """Nothing of the request is left to send: an early answer must not hold up the next request."""
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def _fail(self, text: str) -> None:
        response, self._response = self._response, None
        self.kill()
        if response is not None:
            kind = FailureKind.TRUNCATED if response.has_head else FailureKind.RESET
            response.ended(SendFailed(kind, text))


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _keep_alive(transport: asyncio.Transport) -> None:
    """Long answers stay silent for minutes; what lies between drops such connections without a word."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # not on macOS
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)


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
        self._paused = False
        self._done = False
        self._failed: SendFailed | None = None
        self._on_chunk: OnChunk | None = None
        self._on_end: OnEnd | None = None
        self._last_data_s = 0.0
        self._timer: asyncio.TimerHandle | None = None  # for the whole answer; once relayed for its silence

    @property
    def has_head(self) -> bool:
        return self.status != 0

    def expire(self, deadline_s: float, limit_s: float) -> None:
        """Fail at `deadline_s` of the loop's clock, unless ended or relayed by then."""
        self._timer = self._loop.call_at(deadline_s, self._time_out, "no answer within", limit_s)

    async def head(self) -> None:
        """Wait for status and headers. Raises SendFailed."""
        if not self.has_head:
            await self._wait()

    async def whole(self, limit_bytes: int) -> bytes | None:
        """The whole body, or None if it is larger than `limit_bytes`: then `relay` gives all of it."""
        self._may_hold = limit_bytes
        if self._held_bytes <= limit_bytes:
            self.resume()
        while not self._done and self._held_bytes <= limit_bytes:
            await self._wait()
        if self._failed is not None:
            raise self._failed
        return b"".join(self._held) if self._held_bytes <= limit_bytes else None

    async def piece(self) -> bytes | None:
        """What has arrived since the last one, None at the end; `relay` gives the rest. Raises SendFailed."""
        self._may_hold = 0
        if not self._held:
            self.resume()
        while not self._held and not self._done:
            await self._wait()
        if self._failed is not None:
            raise self._failed
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        return data or None

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
        if self._timer is not None:
            self._timer.cancel()
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
        if self._timer is not None:
            self._timer.cancel()
        on_end, self._on_chunk, self._on_end = self._on_end, None, None
        if on_end is not None:
            on_end(failed)
        self._wake()

    async def _wait(self) -> None:
        if not self._done:
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
            self._timer = self._loop.call_later(idle_s - silent_s, self._check_idle, idle_s)
            return
        what = "the caller took nothing for" if self._paused else "the stream was silent for"
        self._time_out(what, idle_s)

    def _time_out(self, what: str, seconds: float) -> None:
        self._connection.kill()
        self.ended(SendFailed(FailureKind.TIMEOUT, f"{what} {seconds:g} s"))
