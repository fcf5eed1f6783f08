"""HTTP/1.1 on bare asyncio: full control of every socket, because faults are this server's trade.

A connection serves its requests one after the other in one task. It keeps reading while an answer is on its
way, so that a caller's hang-up (also a half-close) cancels that task within the same turn of the loop.
"""

import asyncio
import contextlib
import errno
import functools
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

from smalt.errors import ConfigurationError, MissingExtra

try:
    import httptools
except ImportError as error:
    raise MissingExtra("the emulator", "emulator") from error

HOST = "127.0.0.1"
HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 32 * 1024 * 1024
SLOW_BUFFER = 4_096  # bytes the system holds of a body that is read slowly
LINGER_S = 1.0  # how long a refused caller may go on sending before its connection is closed

_AT_ONCE = struct.pack("ii", 1, 0)  # linger not at all


@dataclass(frozen=True, slots=True)
class Request:
    """`path`: as sent, still percent-encoded. `headers`: as sent, in order."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def target(self) -> str:
        """Path and query, as sent."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str | None:
        """The first header called `name` (lower case)."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class Welcome:
    """How a request is treated from its head on.

    `closed`: the connection is closed instead. `bytes_per_s`: how fast its body is read; None: at once.
    """

    closed: bool = False
    bytes_per_s: float | None = None


class Reply:
    """Writes the one answer of a request: either `send`, or `start`, `write`... and `end`."""

    __slots__ = ("_chunked", "_connection", "_head_only", "_keep_alive")

    def __init__(self, connection: "Connection", message: "_Message") -> None:
        self._connection = connection
        self._chunked = message.http_1_1
        self._keep_alive = message.keep_alive
        self._head_only = message.request.method == "HEAD"

    @property
    def was_cut(self) -> bool:
        return self._connection.was_cut

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.start(status, {**headers, "content-length": str(len(body))})
        self.end(body)

    def start(
        self, status: int, headers: Mapping[str, str], *, version: str = "1.1", part: bool = False
    ) -> None:
        """Without a `content-length` the answer is chunked, or ends with the connection.

        `version`: 1.0 knows neither chunks nor kept connections. `part`: only half of the head is written.
        """
        sized, old = "content-length" in headers, version == "1.0"
        self._chunked = self._chunked and not sized and not old
        self._keep_alive = self._keep_alive and not old and (sized or self._chunked)
        framing = {"transfer-encoding": "chunked"} if self._chunked else {}
        connection = {} if self._keep_alive else {"connection": "close"}
        dated = {"date": formatdate(usegmt=True), **headers}
        head = _head(status, {**dated, **framing, **connection}, version)
        self._connection.write(head[: len(head) // 2] if part else head)

    def write(self, data: bytes) -> None:
        if not self._head_only and data:  # an empty chunk would be the end
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def drained(self) -> None:
        """Wait while the caller reads too slowly."""
        await self._connection.drained()

    def end(self, data: bytes = b"") -> None:
        """Write `data` and the end of the answer in one turn, so that no caller can leave in between."""
        self.write(data)
        if self._chunked and not self._head_only:
            self._connection.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Drop the connection instead of ending the answer; what was written still goes out."""
        self._connection.was_cut = True
        self._connection.close()

    async def reset(self) -> None:
        """As `cut`, but the caller sees its connection reset, not closed."""
        await self._connection.flushed()
        self._connection.reset()

    @property
    def closes(self) -> bool:
        return not self._keep_alive


Handler = Callable[[Request, Reply], Coroutine[Any, Any, None]]
Greeter = Callable[[Request, bool], Welcome]


@dataclass(frozen=True, slots=True)
class _Message:
    request: Request
    http_1_1: bool
    keep_alive: bool
    due_s: float  # not served before, on the loop's clock


class Connection(asyncio.Protocol):
    """One caller. The `on_...` methods are called by the parser."""

    def __init__(self, handler: Handler, listener: "Listener") -> None:
        self.was_cut = False
        self.task: asyncio.Task[None] | None = None
        self._handler = handler
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[_Message] = deque()
        self._used = False
        self._flow: asyncio.Future[None] | None = None
        self._fault = HTTPStatus.BAD_REQUEST
        self._deaf = False
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._listener.connections.add(self)
        if not self._listener.listening:  # it came while the port was being shut
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        if self.task:
            self.task.cancel()

    def eof_received(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        earlier = self._headers
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(self._fault)
        else:
            if self._headers is earlier and not self._head_done:  # the parser itself has no limit
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_LIMIT:
                    self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            if self._due_s > self._loop.time() and not self._complete:
                self._transport.pause_reading()
                self._loop.call_at(self._due_s, self._read_on)

    def pause_writing(self) -> None:
        self._flow = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._flow and not self._flow.done():
            self._flow.set_result(None)
        self._flow = None

    async def drained(self) -> None:
        if self._flow:
            await self._flow

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def flushed(self) -> None:
        """Wait until what was written is with the system."""
        await asyncio.sleep(0)  # uvloop writes at the end of its turn
        if self._transport.get_write_buffer_size():
            self._transport.set_write_buffer_limits(1, 0)  # with 0, uvloop's TLS would never resume
            await self.drained()

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        """Close without the courtesy of TCP: the caller's next read or write fails."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.was_cut = True
        self._transport.abort()

    def cut(self) -> None:
        """Drop the connection at once; the request on it dies unanswered."""
        self.was_cut = True
        self._transport.abort()
        if self.task:
            self.task.cancel()

    # the parser's callbacks

    def _reset(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._head_done = False
        self._complete = False
        self._welcome = Welcome()

    def on_message_begin(self) -> None:
        self._reset()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._head_done = True
        if self._parser.should_upgrade():
            self._give_up(HTTPStatus.NOT_IMPLEMENTED)
        if len(self._url) + sum(len(n) + len(v) for n, v in self._headers) > HEAD_LIMIT:
            self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        told = {name.lower(): value for name, value in self._headers}
        if int(told.get("content-length", "0")) > BODY_LIMIT:
            self._give_up(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if self._listener.greeter:
            self._welcome = self._listener.greeter(self._request(b""), self._used)
            if self._welcome.closed:
                self._deaf = True
                self.cut()
            elif self._welcome.bytes_per_s:
                self._slow_down()
        if told.get("expect", "").lower() == "100-continue" and not self.task:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > BODY_LIMIT:
            self._give_up(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        self._complete = self._used = True
        message = _Message(
            self._request(b"".join(self._body)),
            http_1_1=self._parser.get_http_version() == "1.1",
            keep_alive=self._parser.should_keep_alive(),
            due_s=self._due_s,
        )
        self._waiting.append(message)
        self._body = []
        if self.task is None:
            self.task = self._loop.create_task(self._serve())
            self.task.add_done_callback(self._served)
        else:
            self._transport.pause_reading()  # a pipelining caller waits; its hang-up is noticed later

    def _request(self, body: bytes) -> Request:
        path, _, query = self._url.decode("latin-1").partition("?")
        return Request(self._parser.get_method().decode(), path, query, tuple(self._headers), body)

    @property
    def _due_s(self) -> float:
        """When, on the loop's clock, what there is of the body should have come; 0: it may come at once."""
        rate = self._welcome.bytes_per_s
        return self._began_s + self._body_bytes / rate if rate else 0

    def _slow_down(self) -> None:
        self._began_s = self._loop.time()
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)  # else the system reads ahead

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _give_up(self, status: HTTPStatus) -> None:
        self._fault = status
        raise ValueError(status)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what cannot be parsed, and hear nothing more.

        The connection stays half open for a moment: closed with data unread, it would be reset and the
        answer lost.
        """
        self._deaf = True
        if self.task:
            self.cut()
            return
        text = f"{status.value} {status.phrase}".encode()
        headers = {"content-type": "text/plain", "content-length": str(len(text)), "connection": "close"}
        self.write(_head(status, headers) + text)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_S, self._transport.close)

    async def _serve(self) -> None:
        while self._waiting:
            message = self._waiting.popleft()
            if message.due_s:
                await asyncio.sleep(message.due_s - self._loop.time())
            reply = Reply(self, message)
            await self._handler(message.request, reply)
            if reply.closes:
                self.close()
                break
            self._transport.resume_reading()
        self.task = None

    def _served(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.cut()
            context = {"message": "the emulator failed to answer a request", "exception": error}
            self._loop.call_exception_handler(context)


class Listener:
    """One port of the emulator, which can be shut and opened again.

    The port stays bound while it is shut, so that callers are refused and nobody else can take it.
    """

    def __init__(
        self,
        owner: str,
        port: int,
        handler: Handler,
        tls: ssl.SSLContext | None = None,
        greeter: Greeter | None = None,
    ) -> None:
        """`greeter`: asked at the head of each request, with its connection having served others or not."""
        self.port = port
        self.greeter = greeter
        self.listening = False
        self.connections: set[Connection] = set()
        self._owner = owner
        self._handler = handler
        self._tls = tls
        self._claim: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._lock = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{HOST}:{self.port}"

    async def open(self) -> None:
        """Raises `ConfigurationError` if the port is taken. Harmless if open."""
        async with self._lock:
            if self._server:
                return
            sock, self._claim = self._claim or self._bind(), None
            make = functools.partial(Connection, self._handler, self)
            self.listening = True
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(make, sock=sock, backlog=2048, ssl=self._tls)

    def shut(self) -> None:
        """Refuse new callers and cut the present ones."""
        self.listening = False
        if self._server:
            self._server.close()
            self._server = None
            self._claim = self._bind()
        for connection in list(self.connections):
            connection.cut()

    async def close(self) -> None:
        """Give the port back and wait until every request has ended."""
        server, tasks = self._server, [c.task for c in self.connections if c.task]
        self.shut()
        await asyncio.gather(*tasks, return_exceptions=True)
        if server:
            await server.wait_closed()
        if self._claim:
            self._claim.close()
            self._claim = None

    def _bind(self) -> socket.socket:
        # with the protocol named, else asyncio leaves Nagle's algorithm on, and chunks wait for each other
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, self.port))
        except OSError as error:
            sock.close()
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
            raise ConfigurationError(
                f"port {self.port} of {self._owner} {why}; "
                "stop what holds it, or choose another port (0: any free one)"
            ) from error
        self.port = sock.getsockname()[1]
        return sock


def event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop, uvloop's where it is installed. For `asyncio.Runner(loop_factory=event_loop)`."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415  # optional

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def _head(status: int, headers: Mapping[str, str], version: str = "1.1") -> bytes:
    lines: Iterable[str] = (f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/{version} {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")
