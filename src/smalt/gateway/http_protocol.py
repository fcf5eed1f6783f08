"""Serves model calls inside uvicorn's own HTTP protocol, without ASGI between (docs/decisions/0003).

uvicorn keeps the sockets, TLS, keep-alive, pipelining and shutdown; this class only takes over the requests
that `paths.parse` knows, and bounds what callers may send, and how slowly. It relies on these names of
uvicorn's HttpToolsProtocol, whose version is pinned: `cycle`, `pipeline`, `flow`, `parser`, `url`, `headers`,
`timeout_keep_alive`, `timeout_keep_alive_task`, `timeout_keep_alive_handler`, `_start_asgi_task`,
`_should_upgrade`, `_unset_keepalive_if_required`, `handle_websocket_upgrade`, and of a cycle: `run_asgi`,
`disconnected`, `response_complete`, `keep_alive`, `message_event`.
"""

import asyncio
import logging
from collections import deque
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from smalt.dispatch.connections import Response
from smalt.errors import InvalidRequest, Overloaded, SmaltError
from smalt.gateway.exchange import LARGEST_BODY, Handler, Headers, body_too_large, inside_fault, refuse
from smalt.gateway.load import AGAIN_S, Load, Slots, stopping
from smalt.wire import paths
from smalt.wire.error_body import error_body, error_headers

logger = logging.getLogger("smalt.gateway")

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 200
MOST_QUEUED = 32  # requests sent without waiting for the answers before
# How far such requests are read: some way, for who does not read cannot see that a caller leaves.
MOST_AHEAD = 8
MOST_AHEAD_BYTES = 64 * 1024
PATIENCE_S = 20.0  # for a whole head; a body must bring LEAST_BYTES each time
LEAST_BYTES = 10_000
_SPEAK = "Speak HTTP/1.1 to this address, or https if it has TLS."
_PACE = f"Send a head within {PATIENCE_S:.0f} s, and at least {LEAST_BYTES:,} bytes of a body in that time."
LINGER_S = 5.0  # how long the rest of a refused request is heard out: a reset would take the answer with it


def protocol_class(handler: Handler, load: Load) -> type[HttpToolsProtocol]:
    """uvicorn builds protocols itself, so what they share travels as class attributes."""
    shared = {"handler": staticmethod(handler), "load": load}
    return type("BoundGatewayProtocol", (GatewayProtocol,), shared)


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a caller.

    `_live`: its model calls in order; more than one only when pipelined. `_receiving`: the one whose body is
    coming. `_told`: the parser understood something of what came last; `_untold_bytes`: what came since. The
    parser has no limits of its own: heads, trailers and the space between chunks could go on for ever.
    """

    handler: Handler
    load: Load

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._live: deque[HotCycle] = deque()
        self._receiving: HotCycle | None = None
        self._in_head = self._in_body = self._told = self._deaf = False
        self._untold_bytes = self._body_bytes = self._ahead_bytes = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        if len(self.connections) > self.load.limits.connections:
            self.refuse(Overloaded("too many connections are open here", retry_after_s=AGAIN_S))

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, InvalidRequest("the request is not valid HTTP", resolution=(_SPEAK,)))
        else:
            if self._told:
                self._told, self._untold_bytes = False, 0
            else:
                self._limit_untold(len(data))
            if self.pipeline and not self._deaf:
                self._limit_ahead(len(data))
            if self._patience is None and (self._in_head or self._in_body):
                self._patience = self.loop.call_later(PATIENCE_S, self._check_pace)

    def on_message_begin(self) -> None:
        """uvicorn's own makes the scope of ASGI as well, which only pages need."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._unset_keepalive_if_required()
        self._in_head = True

    def on_headers_complete(self) -> None:
        if self.timeout_keep_alive_task is not None:  # an answer ended during this head
            self._unset_keepalive_if_required()
        if self._patience is not None:
            self._end_patience()
        self._told = True
        if self._deaf or len(self.headers) > MOST_HEADERS:
            self._refuse_head()
            return
        upgrade = self.parser.should_upgrade()
        if upgrade and not self._should_upgrade():
            return  # it comes again without the offer
        raw_path = self.url.partition(b"?")[0].decode("latin-1")
        asked = paths.parse(raw_path) if self.parser.get_method() == b"POST" else None
        if asked is None:
            self._open_page()
        else:
            self._open(asked)
        self._in_head, self._in_body, self._body_bytes = False, True, 0
        if not upgrade:
            self.headers = []  # the request has its own; what still comes is trailers, which nobody reads
        if len(self.pipeline) > MOST_QUEUED:
            self._refuse(400, InvalidRequest("too many requests wait on one connection"))

    def on_body(self, body: bytes) -> None:
        self._told = True
        self._body_bytes += len(body)
        if self._receiving is not None:
            self._receiving.take(body)
        elif not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = self._in_body = False
        if self._patience is not None:
            self._end_patience()
        cycle, self._receiving = self._receiving, None
        if cycle is None:
            if not self._deaf and not self.parser.should_upgrade():
                super().on_message_complete()
            return
        cycle.message_event.set()
        if not cycle.queued:
            self._start_asgi_task(cycle, self.app)  # type: ignore[arg-type]

    def shutdown(self) -> None:
        """uvicorn's name for: close after what is under way. A request that has begun to come is."""
        if not self._in_head:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._end_patience()
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

    def refuse(self, error: SmaltError) -> None:
        """The request that comes."""
        self._refuse(error.http_status or 500, error)

    def cut(self) -> None:
        """End what is under way: the gateway has waited long enough."""
        self.pipeline.clear()
        if self._receiving is not None:
            self.refuse(stopping())
        for cycle in tuple(self._live):
            cycle.cut()

    def completed(self, cycle: "HotCycle") -> None:
        self._live.remove(cycle)
        self._ahead_bytes = 0
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _open_page(self) -> None:
        """The request is uvicorn's."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope has this list
        super().on_headers_complete()
        if self.load.closing:
            self.cycle.keep_alive = False

    def _open(self, asked: paths.Asked) -> None:
        """The request is ours: uvicorn's cycle for it is one of us."""
        unanswered = self._unanswered()
        load = self.load
        try:
            if load.bytes + LARGEST_BODY > load.limits.bytes_in_flight:  # it is not sure that there is room
                load.require_room(self._declared_bytes())
            load.begin()
        except Overloaded as error:
            self.refuse(error)
            return
        cycle = self._receiving = HotCycle(self, asked)
        self.cycle = cycle  # type: ignore[assignment]
        self._live.append(cycle)
        if unanswered:  # uvicorn starts this one, and reads on, when the one before has ended
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]
            cycle.queued = True
        elif self.expect_100_continue:
            if self._declared_bytes() > LARGEST_BODY:
                self.refuse(body_too_large())
            else:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Take the request once more without its offer, such as that of HTTP/2 by Java's client: the parser
        skips the body of such a request. `rest`: what followed its head. Each time costs the whole rest, so
        nobody may offer while an answer is still to come."""
        method = self.parser.get_method()
        if method == b"CONNECT" or self._unanswered():
            self._refuse(400, InvalidRequest("this is no proxy", resolution=(_SPEAK,)))
            return
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b\r\n" % (method, self.url, version)]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join([*lines, b"\r\n", rest]))

    def _declared_bytes(self) -> int:
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def _limit_untold(self, arrived_bytes: int) -> None:
        self._untold_bytes += arrived_bytes
        if self._untold_bytes > LARGEST_HEAD:
            self._refuse_head()

    def _limit_ahead(self, arrived_bytes: int) -> None:
        self._ahead_bytes += arrived_bytes
        if self._ahead_bytes > MOST_AHEAD_BYTES or len(self.pipeline) >= MOST_AHEAD:
            self.flow.pause_reading()

    def _check_pace(self) -> None:
        """The time for a head, or for the next part of a body, is over. It does not count while we do not
        read, or still answer what came before."""
        self._patience = None
        comes = self._body_bytes >= LEAST_BYTES if self._in_body else self._unanswered()
        if comes or self.flow.read_paused:
            self._body_bytes = 0
            self._patience = self.loop.call_later(PATIENCE_S, self._check_pace)
        else:
            self._refuse(408, InvalidRequest("the request came too slowly", resolution=(_PACE,)))

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None

    def _refuse_head(self) -> None:
        error = f"the head of the request exceeds {LARGEST_HEAD:,} bytes or {MOST_HEADERS} lines"
        self._refuse(431, InvalidRequest(error, resolution=("Send fewer or shorter headers.",)))

    def _unanswered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, error: SmaltError) -> None:
        """The last answer on this connection; none where it could be taken for that of another request."""
        if self._deaf:
            return
        self._deaf = True
        self._end_patience()
        receiving, self._receiving = self._receiving, None
        if receiving is not None and not receiving.queued:
            receiving.response_complete = True
            receiving.release()
            self._live.remove(receiving)
        elif self._in_body or self._unanswered():
            self.transport.abort()
            return
        body = error_body(error)
        lines = [b"%b: %b\r\n" % header for header in error_headers(error)]
        framing = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(b"".join([STATUS_LINE[status], *lines, framing, body]))
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
        self._chunked = protocol.parser.get_http_version() != "1.0"
        self.keep_alive = self._chunked and protocol.parser.should_keep_alive()
        self.message_event = asyncio.Event()
        self.queued = False
        self._slots: Slots | None = None
        self._protocol = protocol
        self._parts: list[bytes] = []
        self._size = 0
        self._counted = True
        self._cut = False
        self._started = False
        self._task: asyncio.Task[Any] | None = None

    @property
    def peer(self) -> str:
        client = self._protocol.client
        return client[0] if client else ""

    def take(self, data: bytes) -> None:
        """Some of the request's body."""
        try:
            self.hold(len(data))
            if self._size > LARGEST_BODY:
                raise body_too_large()
            self._parts.append(data)
        except SmaltError as error:
            self._parts.clear()
            self._protocol.refuse(error)

    def hold(self, count: int) -> None:
        self._size += count
        self._protocol.load.add(count)

    def occupy(self, slots: Slots) -> None:
        slots.take()
        self._slots = slots

    def release(self) -> None:
        """The request has ended, in whatever way; told again it does nothing."""
        if self._counted:
            self._counted = False
            self._protocol.load.end(self._size)
            if self._slots is not None:
                self._slots.give_back()

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
            if self._cut:
                self._break_off(stopping())
            elif not self.disconnected:
                raise
        except Exception:
            logger.exception("a request failed inside the gateway")
            self._break_off(inside_fault())

    def cut(self) -> None:
        """It has not ended in time."""
        if self.source is not None:
            self.source.break_off("the gateway is being stopped")
        elif self._task is not None and not self.response_complete:
            self._cut = True
            self._task.cancel()

    def leave(self) -> None:
        """The caller has gone."""
        self.disconnected = True
        self.release()
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

    def _break_off(self, error: SmaltError) -> None:
        if self._started:
            self.abort()
        else:
            refuse(self, error)

    def _head(self, status: int, headers: Headers, framing: bytes) -> bytes:
        self._started = True
        if self._protocol.load.closing and not self._protocol.pipeline:
            self.keep_alive = False
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
        self.release()
        self._protocol.completed(self)
