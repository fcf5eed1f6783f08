"""HTTP/1.1 on bare asyncio: full control of every socket, because faults are this server's trade.

A connection serves its requests one after the other in one task. It keeps reading while an answer is on its
way, so that a caller's hang-up (also a half-close) cancels that task within the same turn of the loop.
"""

import asyncio
import contextlib
import errno
import functools
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
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
LINGER_S = 1.0  # how long a refused caller may go on sending before its connection is closed


@dataclass(frozen=True, slots=True)
class Request:
    """`path`: as sent, still percent-encoded. `headers`: as sent, in order."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header called `name` (lower case)."""
        return next((value for key, value in self.headers if key.lower() == name), None)


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
        head = self._head(status, {**headers, "content-length": str(len(body))})
        self._connection.write(head if self._head_only else head + body)

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        framing = {"transfer-encoding": "chunked"} if self._chunked else {}
        self._keep_alive = self._keep_alive and self._chunked  # else only the close can tell the end
        self._connection.write(self._head(status, {**headers, **framing}))

    def write(self, data: bytes) -> None:
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def drained(self) -> None:
        """Wait while the caller reads too slowly."""
        await self._connection.drained()

    def end(self, data: bytes = b"") -> None:
        """Write `data` and the end of the answer in one piece, so that no caller can leave in between."""
        if self._chunked:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"
        self._connection.write(data)

    def cut(self) -> None:
        """Drop the connection instead of ending the answer; what was written still goes out."""
        self._connection.was_cut = True
        self._connection.close()

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        connection = {} if self._keep_alive else {"connection": "close"}
        return _head(status, {**headers, **connection})

    @property
    def closes(self) -> bool:
        return not self._keep_alive


Handler = Callable[[Request, Reply], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class _Message:
    request: Request
    http_1_1: bool
    keep_alive: bool


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

    def close(self) -> None:
        self._transport.close()

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
        if told.get("expect", "").lower() == "100-continue" and not self.task:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > BODY_LIMIT:
            self._give_up(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._body.append(data)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            method=self._parser.get_method().decode(),
            path=path,
            query=query,
            headers=tuple(self._headers),
            body=b"".join(self._body),
        )
        keep_alive = self._parser.should_keep_alive()
        self._waiting.append(_Message(request, self._parser.get_http_version() == "1.1", keep_alive))
        self._body = []
        if self.task is None:
            self.task = self._loop.create_task(self._serve())
            self.task.add_done_callback(self._served)
        else:
            self._transport.pause_reading()  # a pipelining caller waits; its hang-up is noticed later

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

    def __init__(self, owner: str, port: int, handler: Handler) -> None:
        self.port = port
        self.listening = False
        self.connections: set[Connection] = set()
        self._owner = owner
        self._handler = handler
        self._claim: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._lock = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def open(self) -> None:
        """Raises `ConfigurationError` if the port is taken. Harmless if open."""
        async with self._lock:
            if self._server:
                return
            sock, self._claim = self._claim or self._bind(), None
            make = functools.partial(Connection, self._handler, self)
            self.listening = True
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(make, sock=sock, backlog=2048)

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
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
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


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines: Iterable[str] = (f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")
