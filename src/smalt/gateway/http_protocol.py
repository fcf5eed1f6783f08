"""Serves model calls inside uvicorn's own HTTP protocol, without ASGI between (docs/decisions/0003).

uvicorn keeps the sockets, TLS, keep-alive, pipelining and shutdown; this class only takes over the requests
that `paths.parse` knows. It relies on these names of uvicorn's HttpToolsProtocol, whose version is pinned:
`cycle`, `pipeline`, `flow`, `parser`, `url`, `headers`, `_start_asgi_task`, `_should_upgrade`,
`_unset_keepalive_if_required`, `handle_websocket_upgrade`, `send_400_response`, and of a cycle: `run_asgi`,
`disconnected`, `response_complete`, `keep_alive`, `message_event`.
"""

import asyncio
import logging
from collections import deque
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from smalt.dispatch.connections import Response
from smalt.errors import InvalidRequest
from smalt.gateway.exchange import LARGEST_BODY, Handler, Headers, refuse_body, refuse_fault
from smalt.wire import paths
from smalt.wire.error_body import error_body, error_headers

logger = logging.getLogger("smalt.gateway")

LARGEST_HEAD = 64 * 1024
LINGER_S = 5.0  # how long the rest of a refused body is heard out: a reset would take the answer with it


def protocol_class(handler: Handler) -> type[HttpToolsProtocol]:
    """uvicorn builds protocols itself, so the handler travels as a class attribute."""
    return type("BoundGatewayProtocol", (GatewayProtocol,), {"handler": staticmethod(handler)})


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a caller. `_live`: its model calls in order; more than one only when pipelined."""

    handler: Handler

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._live: deque[HotCycle] = deque()
        self._receiving: HotCycle | None = None
        self._in_head = False
        self._head_bytes = 0
        self._lingers = False
        self._deaf = False

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        headers = self.headers
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        else:
            if self._in_head and self.headers is headers:  # the parser itself has no limit
                self._limit_head(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._offers_upgrade():
            return  # it comes again without the offer
        raw_path = self.url.partition(b"?")[0].decode("latin-1")
        asked = paths.parse(raw_path) if self.parser.get_method() == b"POST" else None
        if asked is None:
            super().on_headers_complete()
            return
        before: RequestResponseCycle | None = self.cycle
        cycle = self._receiving = HotCycle(self, asked)
        self.cycle = cycle  # type: ignore[assignment]
        self._live.append(cycle)
        if before is not None and not before.response_complete:
            self.flow.pause_reading()  # uvicorn starts this one when the one before has ended
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]
            cycle.queued = True
        elif self.expect_100_continue:
            if self._declared_bytes() > LARGEST_BODY:
                self.refuse(cycle)
            else:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._receiving is not None:
            self._receiving.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        cycle, self._receiving = self._receiving, None
        if cycle is None:
            if self._lingers:
                self.transport.close()
            elif not self._offers_upgrade():
                super().on_message_complete()
            return
        cycle.message_event.set()
        if not cycle.queued and not cycle.response_complete:
            self._start_asgi_task(cycle, self.app)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for cycle in self._live:
            cycle.leave()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._live and self._live[0].source is not None:
            self._live[0].source.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._live and self._live[0].source is not None:
            self._live[0].source.resume()

    def refuse(self, cycle: "HotCycle") -> None:
        """Its body is too large."""
        self._receiving = None
        if cycle.queued:
            self.transport.abort()
            return
        cycle.keep_alive, self._lingers = False, True
        refuse_body(cycle)

    def completed(self, cycle: "HotCycle") -> None:
        self._live.remove(cycle)
        if self._lingers:
            self.loop.call_later(LINGER_S, self.transport.close)
        elif not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _offers_upgrade(self) -> bool:
        """An upgrade nobody here wants, such as the one to HTTP/2 that Java's client offers. The parser skips
        the body of such a request."""
        return self.parser.should_upgrade() and not self._should_upgrade()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Take the request once more without its offer; `rest`: what followed its head."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("This is no proxy.")
            return
        lines = [b"%b %b HTTP/1.1\r\n" % (method, self.url)]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join([*lines, b"\r\n", rest]))

    def _declared_bytes(self) -> int:
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def _limit_head(self, arrived_bytes: int) -> None:
        self._head_bytes += arrived_bytes
        if self._head_bytes <= LARGEST_HEAD:
            return
        if self._live:
            self.transport.abort()
            return
        error = InvalidRequest(f"the head of the request exceeds {LARGEST_HEAD:,} bytes")
        body = error_body(error)
        lines = [b"%b: %b\r\n" % header for header in error_headers(error)]
        framing = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(b"".join([STATUS_LINE[431], *lines, framing, body]))
        self._deaf = True
        self.loop.call_later(LINGER_S, self.transport.close)


class HotCycle:
    """An `Exchange` in the place of uvicorn's request-response cycle."""

    def __init__(self, protocol: GatewayProtocol, asked: paths.Asked) -> None:
        self.asked = asked
        self.headers: Headers = protocol.headers
        self.body = b""
        self.source: Response | None = None
        self.disconnected = False
        self.response_complete = False
        self.keep_alive = protocol.parser.get_http_version() != "1.0" and protocol.parser.should_keep_alive()
        self.message_event = asyncio.Event()
        self.queued = False
        self._chunked = protocol.parser.get_http_version() != "1.0"
        self._protocol = protocol
        self._parts: list[bytes] = []
        self._size = 0
        self._started = False
        self._task: asyncio.Task[Any] | None = None

    def take(self, data: bytes) -> None:
        """Some of the request's body."""
        self._size += len(data)
        if self._size <= LARGEST_BODY:
            self._parts.append(data)
        else:
            self._parts.clear()
            self._protocol.refuse(self)

    async def run_asgi(self, _app: object) -> None:
        """uvicorn's name for the task of a request."""
        self._task = asyncio.current_task()
        try:
            await self.message_event.wait()
            if not self.disconnected:
                self.body = b"".join(self._parts)
                self._parts.clear()
                await self._protocol.handler(self)
        except asyncio.CancelledError:
            if not self.disconnected:
                raise
        except Exception:
            logger.exception("a request failed inside the gateway")
            self._break_off()

    def leave(self) -> None:
        """The caller has gone."""
        self.disconnected = True
        self.message_event.set()
        if self._task is not None and not self.response_complete:
            self._task.cancel()

    def throttle(self, source: Response) -> None:
        self.source = source
        if self._protocol.flow.write_paused:
            source.pause()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        length = b"content-length: %d\r\n" % len(body)
        self._put(self._head(status, headers, length) + body)
        self._complete()

    def start(self, status: int, headers: Headers) -> None:
        if not self._chunked:
            self.keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._put(self._head(status, headers, b"x-accel-buffering: no\r\n" + framing))

    def write(self, data: bytes) -> None:
        if data:
            self._put(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        if self._chunked:
            self._put(b"0\r\n\r\n")
        self._complete()

    def abort(self) -> None:
        self.response_complete = True
        self._protocol.transport.abort()

    def _break_off(self) -> None:
        if self._started:
            self.abort()
        else:
            refuse_fault(self)

    def _head(self, status: int, headers: Headers, framing: bytes) -> bytes:
        self._started = True
        parts = [STATUS_LINE[status]]
        for name, value in (*self._protocol.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(framing)
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def _put(self, data: bytes) -> None:
        if not self.disconnected:
            self._protocol.transport.write(data)

    def _complete(self) -> None:
        self.source = None
        self.response_complete = True
        self._protocol.completed(self)
