"""Whatever bytes come: each target takes some, and raises if what must hold does not.

The first byte says how the others are cut into pieces, or what stands around them.
"""

import asyncio
import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httptools
import msgspec
import uvicorn
from tests.integration.gateway import raw
from tests.unit.dispatch.fakes import OK, FakeTransport, Wired
from uvicorn.server import ServerState

from smalt.dispatch.run import SendFailed
from smalt.errors import InvalidRequest, SmaltError
from smalt.gateway.content import plain
from smalt.gateway.exchange import Exchange, refuse
from smalt.gateway.http_protocol import GatewayProtocol, protocol_class
from smalt.gateway.load import Load
from smalt.types import Operation
from smalt.wire.classify import LONGEST_TEXT, classify, classify_event, error_object
from smalt.wire.facts import read_facts
from smalt.wire.paths import Asked, Surface
from smalt.wire.sse import StreamWatch
from smalt.wire.usage import read_id, read_usage


@dataclass(frozen=True, slots=True)
class Target:
    """`seeds`: bytes that lead far in; the test run of the suite takes them, too."""

    take: Callable[[bytes], None]
    seeds: Sequence[bytes]


def pieces(data: bytes) -> Iterator[bytes]:
    """The first byte is the size of the others' pieces; 0: all at once."""
    size = data[0] if data and data[0] else len(data)
    rest = data[1:]
    yield from (rest[start : start + size] for start in range(0, len(rest), max(1, size)))


class Line(FakeTransport):
    """A caller's connection. What is written after its end is lost, as on a real one."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 9) if name in {"peername", "sockname"} else default

    def write(self, data: Any) -> None:
        if not self.closing:
            self.written += data

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Answers:
    """Reads what a caller was told: whole answers, one behind the other."""

    def __init__(self, written: bytes) -> None:
        self.statuses: list[int] = []
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(written)

    def on_headers_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())


async def page(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def answer(exchange: Exchange) -> None:
    """As a model call does, without the model."""
    try:
        facts = read_facts(exchange.asked, plain(exchange.headers, exchange.body))
    except SmaltError as error:
        refuse(exchange, error)
        return
    if not facts.stream:
        exchange.respond(200, [], b"{}")
        return
    exchange.start(200, [])
    exchange.write(b"data: [DONE]\n\n")
    exchange.end()


@cache
def served() -> tuple[asyncio.AbstractEventLoop, type[GatewayProtocol], uvicorn.Config]:
    config = uvicorn.Config(page, ws="none", lifespan="off", log_config=None, access_log=False)
    protocol: Any = protocol_class(answer, Load())
    return asyncio.new_event_loop(), protocol, config


def callers_bytes(data: bytes) -> None:
    """Only answers, each whole, and none of them a fault of ours; then nothing goes on."""
    loop, protocol_type, config = served()
    state, line = ServerState(), Line()

    async def call() -> None:
        protocol = protocol_type(config, state, {}, loop)
        protocol.connection_made(line)
        for piece in pieces(data):
            if line.closing:
                break
            protocol.data_received(piece)
            for _ in range(3):
                await asyncio.sleep(0)
        line.closing = True
        protocol.connection_lost(None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not state.tasks, state.tasks
        assert not state.connections
        assert (protocol.load.requests, protocol.load.bytes) == (0, 0)

    loop.run_until_complete(call())
    assert b"failed inside" not in line.written, line.written
    told = Answers(line.written).statuses
    assert set(told) <= {100, 200, 400, 404, 408, 413, 431}, told


def upstreams_bytes(data: bytes) -> None:
    """One end, whatever it is; the connection goes on only after a whole answer."""
    wired = Wired()
    response = wired.request()
    ends: list[SendFailed | None] = []
    ended = response.ended

    def note(failed: SendFailed | None) -> None:
        ends.append(failed)
        ended(failed)

    response.ended = note  # type: ignore[method-assign]
    for piece in pieces(data):
        if not wired.connection.is_open:
            break
        wired.receive(piece)
    kept = bool(wired.idle) and wired.connection.is_open
    if not kept:
        wired.lose()
    assert len(ends) == 1, ends
    assert not kept or ends[0] is None
    assert sum(map(len, response._held)) <= len(data)
    assert all(name == name.lower() for name, _ in response.headers)
    if kept:
        again = wired.request()
        wired.receive(OK)
        assert (again.status, b"".join(again._held)) == (200, b"ok")


def streams_bytes(data: bytes) -> None:
    """What is forwarded and known does not depend on the pieces; what is not hidden is forwarded as it is."""
    hide = bool(data and data[0] & 1)
    whole, cut = StreamWatch(hide_usage=hide), StreamWatch(hide_usage=hide)
    at_once = whole.feed(data[1:]) + whole.rest()
    in_pieces = b"".join([cut.feed(piece) for piece in pieces(data)]) + cut.rest()
    assert at_once == in_pieces
    assert hide or at_once == data[1:]
    assert _known(whole) == _known(cut)


def _known(watch: StreamWatch) -> tuple[object, ...]:
    return watch.usage, watch.ended, watch.content_seen, watch.error, watch.text, watch.output_tokens_estimate


def bodies_of_requests(data: bytes) -> None:
    """Facts, or the one error for what cannot be read."""
    for operation in Operation:
        try:
            facts = read_facts(Asked(Surface.OPENAI, operation), data)
        except InvalidRequest:
            continue
        assert facts.model
        assert 0 <= facts.prompt_bytes <= len(data)


STATUSES = (400, 401, 403, 404, 408, 409, 413, 424, 429, 431, 500, 502, 503, 504, 302)


def bodies_of_errors(data: bytes) -> None:
    """A failure for every status, with a text of bounded length and a wait that is none or a time."""
    first, _, body = data.partition(b"\n")
    headers = dict.fromkeys(("retry-after", "retry-after-ms", "date"), first.decode("latin-1"))
    found = [classify(status, headers, body) for status in STATUSES]
    found.append(classify_event(error_object(body)))
    for failure in found:
        assert 0 < len(failure.text) <= LONGEST_TEXT
        assert failure.wait_s is None or (failure.wait_s > 0 and math.isfinite(failure.wait_s))


def bodies_of_answers(data: bytes) -> None:
    """Usage or none, or the two errors that are told of; never what is no number."""
    read_id(data)
    try:
        usage = read_usage(data)
    except (ValueError, RecursionError):
        return
    if usage is not None:
        numbers = msgspec.structs.astuple(usage)[:5]
        assert all(type(number) is int and number >= 0 for number in numbers), usage


CHAT = raw.body()
PACKED = gzip.compress(CHAT)
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}\n\ndata: [DONE]\n\n'
)
TYPED = (
    b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
    b'event: response.output_text.delta\r\ndata: {"type":"response.output_text.delta","delta":"Hi"}\r\n\r\n'
    b'data: {"type":"response.failed","response":{"error":null}}\n\n'
    b'data: {"type":"error",\ndata: "code":"server_error","message":"x"}\n\n'
)
USAGE: dict[str, Any] = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
CHUNKED = b"5\r\nhello\r\n0\r\nx: y\r\n\r\n"


def _seeds(*texts: bytes) -> tuple[bytes, ...]:
    return tuple(first + text for text in texts for first in (b"\x00", b"\x01", b"\x11"))


TARGETS = {
    "callers": Target(
        callers_bytes,
        _seeds(
            raw.request(),
            raw.request() + raw.request(content=raw.body(stream=True)) + raw.request(version="1.0"),
            raw.request("content-encoding: gzip", content=PACKED),
            raw.head("transfer-encoding: chunked") + b"%x\r\n%b\r\n0\r\nx: y\r\n\r\n" % (len(CHAT), CHAT),
            raw.request("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AA"),
            raw.request("expect: 100-continue"),
            raw.request(target="/openai/deployments/a%2Fb/chat/completions?api-version=preview"),
            raw.head(target="/health", method="GET") + raw.request(),
        ),
    ),
    "upstreams": Target(
        upstreams_bytes,
        _seeds(
            OK,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKED,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 429 Slow\r\nretry-after: 1\r\n\r\nuntil the end",
            b"HTTP/1.1 101 No\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        ),
    ),
    "streams": Target(streams_bytes, _seeds(EVENTS, TYPED, EVENTS.replace(b"\n", b"\r"))),
    "requests": Target(
        bodies_of_requests,
        (
            CHAT,
            raw.body(stream=True, max_tokens=5, n=2, tools=[{}]),
            b'{"input":[1,2],"store":false,"model":"x"}',
        ),
    ),
    "errors": Target(
        bodies_of_errors,
        (
            b'2\n{"error":{"code":"429","message":"Retry after 7 seconds.","innererror":{"code":"x"}}}',
            b'Sat, 21 Nov 2026 10:00:00 GMT\n{"code":"403","message":"sk-abc"}',
            b"\n<html></html>",
        ),
    ),
    "answers": Target(
        bodies_of_answers,
        (
            json.dumps({"id": "x", "usage": USAGE, "service_tier": "flex"}).encode(),
            b'{"id":"resp_1","usage":{"input_tokens":1,"output_tokens":2,"input_tokens_details":null}}',
        ),
    ),
}
