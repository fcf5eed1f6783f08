"""Serves model calls to any ASGI server, and everything else to the pages. How long a head may be, and how
slowly a request may come, is that server's business; for uvicorn `http_protocol` sees to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from smalt.dispatch.connections import Response
from smalt.errors import SmaltError
from smalt.gateway.exchange import LARGEST_BODY, Handler, Headers, body_too_large, inside_fault, refuse
from smalt.gateway.load import Load, Slots
from smalt.wire import paths

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("smalt.gateway")

LARGEST_UNSENT = 64 * 1024  # bytes waiting for a slow caller before the upstream is paused


class Gateway:
    """The ASGI application: model calls go to `handler`, as many as `load` admits, the rest to `pages`."""

    def __init__(self, handler: Handler, pages: AsgiApp, load: Load) -> None:
        self._handler = handler
        self._pages = pages
        self._load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        post = scope["type"] == "http" and scope["method"] == "POST"
        asked = paths.parse(_raw_path(scope)) if post else None
        if asked is None:
            await self._pages(_tidied(scope), receive, send)
            return
        exchange = AsgiExchange(asked, scope, send, self._load)
        try:
            if await exchange.read_body(receive):
                await self._serve(exchange, receive)
        finally:
            exchange.release()

    async def _serve(self, exchange: "AsgiExchange", receive: Receive) -> None:
        pump = asyncio.ensure_future(exchange.pump())
        handling = asyncio.ensure_future(_run(self._handler, exchange))
        watching = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({pump, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (handling, watching, pump):
                task.cancel()
            await asyncio.gather(handling, watching, pump, return_exceptions=True)


class AsgiExchange:
    """An `Exchange` over ASGI messages. Writing never waits: a pump sends, and pauses the upstream."""

    def __init__(self, asked: paths.Asked, scope: Scope, send: Send, load: Load) -> None:
        self.asked = asked
        self.headers: Headers = scope["headers"]
        self.body = b""
        self._slots: Slots | None = None
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self._load = load
        self._counted = False
        self._size = 0
        self._send = send
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._unsent = 0
        self._source: Response | None = None
        self._started = False

    async def read_body(self, receive: Receive) -> bool:
        """The whole body; False if the caller left or sent too much, and nothing more is to do."""
        declared = next((value for name, value in self.headers if name == b"content-length"), b"0")
        try:
            if int(declared) > LARGEST_BODY:
                raise body_too_large()
            self._load.require_room(int(declared))
            self._load.begin()
            self._counted = True
            return await self._receive_body(receive)
        except SmaltError as error:
            refuse(self, error)
            await self.pump()
            return False

    async def _receive_body(self, receive: Receive) -> bool:
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
            self.hold(len(parts[-1]))
            if self._size > LARGEST_BODY:
                raise body_too_large()
        self.body = b"".join(parts)
        return True

    def hold(self, count: int) -> None:
        self._size += count
        self._load.add(count)

    def occupy(self, slots: Slots) -> None:
        slots.take()
        self._slots = slots

    def release(self) -> None:
        """The request has ended."""
        if self._counted:
            self._load.end(self._size)
        if self._slots is not None:
            self._slots.give_back()

    async def pump(self) -> None:
        """Send what was written until the answer has ended."""
        while (message := await self._messages.get()) is not None:
            await self._send(message)
            self._unsent -= len(message.get("body", b""))
            if self._source is not None and self._unsent <= LARGEST_UNSENT:
                self._source.resume()

    def throttle(self, source: Response) -> None:
        self._source = source

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self._head(status, [*headers, (b"content-length", str(len(body)).encode())])
        self._put({"type": "http.response.body", "body": body, "more_body": False})
        self._messages.put_nowait(None)

    def start(self, status: int, headers: Headers) -> None:
        self._head(status, [*headers, (b"x-accel-buffering", b"no")])

    def write(self, data: bytes) -> None:
        if data:
            self._put({"type": "http.response.body", "body": data, "more_body": True})
            if self._source is not None and self._unsent > LARGEST_UNSENT:
                self._source.pause()

    def end(self) -> None:
        self._put({"type": "http.response.body", "body": b"", "more_body": False})
        self._messages.put_nowait(None)

    def abort(self) -> None:
        """Stop without the end of the answer: the server breaks the connection."""
        self._messages.put_nowait(None)

    def break_off(self) -> None:
        """The handler failed."""
        if self._started:
            self.abort()
        else:
            refuse(self, inside_fault())

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._started = True
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    def _put(self, message: Message) -> None:
        self._unsent += len(message.get("body", b""))
        self._messages.put_nowait(message)


async def _run(handler: Handler, exchange: AsgiExchange) -> None:
    try:
        await handler(exchange)
    except Exception:
        logger.exception("a request failed inside the gateway")
        exchange.break_off()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _tidied(scope: Scope) -> Scope:
    """Pages are found by the path alone."""
    path = scope.get("path", "")
    tidy = paths.tidy(path) or path
    return scope if tidy == path else {**scope, "path": tidy}


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0].decode("latin-1")
