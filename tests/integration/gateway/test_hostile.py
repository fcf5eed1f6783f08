"""What callers may send to do harm, and what comes of it: a clean refusal, bounded memory, nothing leaked."""

import asyncio
import gzip
import io
import logging
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract import world
from tests.contract.gateways import (
    KEY,
    Adapter,
    GatewayProcess,
    Stage,
    eventually,
    gateway_process,
    needs_proc,
)
from tests.integration.gateway.raw import CHAT, Answer, Caller, ask, body, calling, head, request

from smalt.emulator.testing import Handle
from smalt.gateway import http_protocol

JSON = "content-type: application/json"
CHUNKED = "transfer-encoding: chunked"
LENGTH = f"content-length: {len(body())}"
MB = 1 << 20


@pytest.fixture
def hot(stages: Mapping[Adapter, Stage], azure: Handle) -> Stage:
    """The protocol whose limits these are; under plain ASGI they are the server's business."""
    stages["hot"].play(world.settings(azure))
    return stages["hot"]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No traceback and no key in the log, whatever came."""
    yield
    for record in caplog.records:
        assert not record.exc_info, record.getMessage()
        assert record.levelno < logging.ERROR
        assert KEY not in record.getMessage()


def refused(answer: Answer, status: int) -> str:
    """What the error says; it has our shape and ends the connection."""
    assert answer.status == status
    assert answer.error["resolution"]
    assert answer.headers["x-should-retry"] == "false"
    told: str = answer.error["message"]
    return told


@dataclass(frozen=True, slots=True)
class Smuggled:
    """Bytes that two servers may read as different requests."""

    name: str
    sent: bytes


INNER = request(content=body(user="smuggled"))
SMUGGLED = (
    Smuggled("length and chunks", head(JSON, "content-length: 6", CHUNKED) + b"0\r\n\r\nX"),
    Smuggled("chunks and length", head(JSON, CHUNKED, "content-length: 6") + b"0\r\n\r\nX"),
    Smuggled("two lengths", head(JSON, "content-length: 0", LENGTH) + INNER),
    Smuggled("two equal lengths", head(JSON, LENGTH, LENGTH) + body()),
    Smuggled("two lengths in one", head(JSON, f"{LENGTH}, {len(body())}") + body()),
    Smuggled("a signed length", head(JSON, f"content-length: +{len(body())}") + body()),
    Smuggled("a negative length", head(JSON, "content-length: -1") + body()),
    Smuggled("a length in hex", head(JSON, "content-length: 0x10") + body()),
    Smuggled("a huge length", head(JSON, "content-length: 99999999999999999999") + body()),
    Smuggled("a space before the colon", head(JSON, f"content-length : {len(body())}") + body()),
    Smuggled("a folded header", head(JSON, "x-a: b\r\n content-length: 3", LENGTH) + body()),
    Smuggled(
        "chunked and then not", head(JSON, "transfer-encoding: chunked, identity") + b"0\r\n\r\n" + INNER
    ),
    Smuggled("chunked, almost", head(JSON, "transfer-encoding: xchunked") + b"0\r\n\r\n" + INNER),
    Smuggled("chunked twice", head(JSON, CHUNKED, "transfer-encoding: identity") + b"0\r\n\r\n" + INNER),
    Smuggled("a size that is no number", head(JSON, CHUNKED) + b"zz\r\n"),
    Smuggled("a negative size", head(JSON, CHUNKED) + b"-5\r\nabcde\r\n0\r\n\r\n"),
    Smuggled("a size with a prefix", head(JSON, CHUNKED) + b"0x5\r\nabcde\r\n0\r\n\r\n"),
    Smuggled("a size beyond 64 bits", head(JSON, CHUNKED) + b"f" * 17 + b"\r\n"),
    Smuggled("a chunk longer than its size", head(JSON, CHUNKED) + b"2\r\nabcde\r\n0\r\n\r\n"),
    Smuggled("a NUL in a header", head(JSON, "x-a: b\0c", LENGTH) + body()),
    Smuggled("a line end in a header", head(JSON, "x-a: b\rc", LENGTH) + body()),
    Smuggled("a name of a header with a space", head(JSON, "x a: b", LENGTH) + body()),
    Smuggled("no name of a header", head(JSON, ": b", LENGTH) + body()),
    Smuggled("a space in the target", request(target=f"{CHAT} /admin")),
    Smuggled("a target that is no URL", request(target="http://[/v1/chat/completions")),
    Smuggled("HTTP/2 in clear", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Smuggled("TLS where there is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 3),
    Smuggled("a tunnel", head(method="CONNECT", target="169.254.169.254:80")),
)


@pytest.mark.parametrize("smuggled", SMUGGLED, ids=lambda smuggled: smuggled.name)
def test_what_could_be_read_in_two_ways(hot: Stage, azure: Handle, smuggled: Smuggled) -> None:
    """One 400 in our shape, then the end; nothing behind it is taken for a request."""
    with calling(hot.url) as caller:
        caller.send(smuggled.sent)
        refused(caller.answer(), 400)
        caller.sock.shutdown(socket.SHUT_WR)
        assert caller.closed()
    assert azure.log() == []


@pytest.mark.parametrize("behind", [b"GARBAGE\r\n\r\n", head(JSON, CHUNKED) + b"zz\r\n", head("a b: c")])
def test_garbage_behind_a_request(hot: Stage, azure: Handle, behind: bytes) -> None:
    """It is not answered in the midst of the answer before: the connection breaks off."""
    azure.set("east", "up", token_ms=5)
    with calling(hot.url) as caller:
        caller.send(request(content=body(stream=True)))
        caller.until(b"data: ")
        caller.send(behind)
        assert b"HTTP/1.1 4" not in rest(caller)
    assert ask(hot.url, request()).status == 200


def rest(caller: Caller) -> bytes:
    """All that still comes."""
    read = b""
    with suppress(ConnectionResetError):
        while data := caller.sock.recv(65_536):
            read += data
    return read


HEADERS = "\r\n".join(f"x-{number}: y" for number in range(300))
FLOODS = {
    "one long line": head("x: " + "y" * 100_000),
    "a long target": head(target="/v1/" + "y" * 100_000),
    "an endless name": head()[:-2] + b"x" * 100_000,
    "many lines": head(HEADERS),
    "empty lines": b"\r\n" * 50_000,
    "an endless method": b"P" * 100_000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_of_headers(hot: Stage, flood: bytes) -> None:
    """In small pieces or at once, it is refused before it fills the memory."""
    for size in (4_000, len(flood)):
        with calling(hot.url) as caller:
            for start in range(0, len(flood), size):
                caller.send(flood[start : start + size])
                time.sleep(0.001)
            assert caller.answer().status in {400, 431}
    assert ask(hot.url, request()).status == 200


@pytest.mark.parametrize("behind", [b"x-a: " + b"b" * 100_000, b"x: y\r\n" * 20_000])
def test_a_flood_of_trailers(hot: Stage, azure: Handle, behind: bytes) -> None:
    """They are read by nobody, and not for ever."""
    with calling(hot.url) as caller:
        caller.send(head(JSON, CHUNKED) + b"%x\r\n%b\r\n0\r\n" % (len(body()), body()))
        for start in range(0, len(behind), 4_000):
            caller.send(behind[start : start + 4_000])
            time.sleep(0.001)
        refused(caller.answer(), 431)
    assert azure.log() == []


def test_a_flood_between_chunks(hot: Stage) -> None:
    """Extensions of a chunk count as well."""
    with calling(hot.url) as caller:
        caller.send(head(JSON, CHUNKED) + b"5;")
        for _ in range(25):
            caller.send(b"x" * 4_000)
            time.sleep(0.001)
        refused(caller.answer(), 431)


@pytest.mark.parametrize("sent", [head(method="GET", target="/live"), request(content=b"{}")])
def test_thousands_of_requests_in_one_packet(hot: Stage, sent: bytes) -> None:
    """Nobody waits behind so many: the connection breaks off."""
    with calling(hot.url) as caller:
        with suppress(ConnectionError):
            caller.send(sent * 2_000)
        assert rest(caller).count(b"HTTP/1.1 ") < 1_000
    assert ask(hot.url, request()).status == 200


def test_offers_of_http_2_one_behind_the_other(hot: Stage) -> None:
    """Each would be read anew with all that follows; a second one breaks the connection off."""
    offer = head("connection: upgrade", "upgrade: h2c", method="GET", target="/live")
    with calling(hot.url) as caller:
        caller.send(offer * 2_000)
        assert rest(caller).count(b"HTTP/1.1 ") < 2
    assert ask(hot.url, offer).status == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a head may take, and each part of a body."""
    monkeypatch.setattr(http_protocol, "PATIENCE_S", 0.3)
    return 0.3


def test_a_slow_head(hot: Stage, impatient: float) -> None:
    """However steadily it drips, its time is over."""
    with calling(hot.url) as caller:
        started_s = time.monotonic()
        assert drip(caller, head("x: " + "y" * 1_000)) >= impatient
        assert "slowly" in refused(caller.answer(), 408)
        assert time.monotonic() - started_s < impatient + 2


def drip(caller: Caller, sent: bytes) -> float:
    """Byte by byte until something comes back; seconds it took."""
    started_s = time.monotonic()
    caller.sock.setblocking(False)
    for start in range(len(sent)):
        caller.sock.send(sent[start : start + 1])
        time.sleep(0.01)
        try:
            if caller.sock.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            continue
    caller.sock.settimeout(10)
    return time.monotonic() - started_s


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED])
def test_a_slow_body(hot: Stage, azure: Handle, impatient: float, framing: str) -> None:
    """A body that does not get on is not waited for, nor one that drips."""
    for content in (b"", b"1\r\nx\r\n" * 200):
        with calling(hot.url) as caller:
            caller.send(head(JSON, framing))
            drip(caller, content)
            assert "slowly" in refused(caller.answer(), 408)
    assert azure.log() == []


def test_a_body_to_a_page_that_never_ends(hot: Stage, impatient: float) -> None:
    """The page answers at once; the connection ends with the caller's time."""
    with calling(hot.url) as caller:
        caller.send(head("content-length: 100", target="/v1/files"))
        assert caller.answer().status == 400
        assert caller.closed()


def test_a_large_body_on_a_slow_line(hot: Stage, impatient: float) -> None:
    """Whoever gets on has time: several times that of a head."""
    content = body(user="x" * 130_000)
    with calling(hot.url) as caller:
        caller.send(head(JSON, f"content-length: {len(content)}"))
        for start in range(0, len(content), 12_000):  # one of these in each of its times is enough
            caller.send(content[start : start + 12_000])
            time.sleep(impatient / 4)
        assert "x-smalt-upstream" in caller.answer().headers


def test_an_answer_may_take_longer_than_a_request(hot: Stage, azure: Handle, impatient: float) -> None:
    """The caller's time is over with its request."""
    for region in world.REGIONS:
        azure.set(region, "up", latency_ms=1_000 * impatient * 3)
    with calling(hot.url) as caller:
        for _ in range(2):
            caller.send(request()[:-1])
            time.sleep(impatient / 3)
            caller.send(request()[-1:])
            assert caller.answer().status == 200


def test_a_request_that_we_do_not_read(hot: Stage, azure: Handle, impatient: float) -> None:
    """Behind requests that wait for their turn, or for their answer, the caller's time stands still."""
    for region in world.REGIONS:
        azure.set(region, "up", latency_ms=1_000 * impatient * 2)
    with calling(hot.url) as caller:
        caller.send(request() * 2 + request()[:30])
        assert [caller.answer().status for _ in range(2)] == [200, 200]
        caller.send(request()[30:])
        assert caller.answer().status == 200


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a connection may be idle."""
    made = http_protocol.GatewayProtocol.connection_made

    def connection_made(self: http_protocol.GatewayProtocol, transport: asyncio.Transport) -> None:
        self.timeout_keep_alive = 0.2  # type: ignore[assignment]
        made(self, transport)

    monkeypatch.setattr(http_protocol.GatewayProtocol, "connection_made", connection_made)
    return 0.2


def test_a_connection_without_a_request(hot: Stage, hasty: float) -> None:
    """It is closed like one that has had its answers; empty lines are no request, half a head is one."""
    with calling(hot.url) as silent, calling(hot.url) as blank, calling(hot.url) as half:
        blank.send(b"\r\n" * 3)
        half.send(request()[:20])
        assert silent.closed()
        assert blank.closed()
        time.sleep(hasty)
        half.send(request()[20:])
        assert half.answer().status == 200
        assert half.closed()


def test_a_request_that_began_during_an_answer(hot: Stage, azure: Handle, hasty: float) -> None:
    """Its connection is not idle, however long its own answer takes."""
    for region in world.REGIONS:
        azure.set(region, "up", latency_ms=2_000 * hasty)
    with calling(hot.url) as caller:
        caller.send(request() + request()[:30])
        assert caller.answer().status == 200
        caller.send(request()[30:])
        assert caller.answer().status == 200


NESTED = b'{"model": "gpt-4o", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BROKEN = {
    "nested 100,000 deep": NESTED,
    "objects nested 100,000 deep": b'{"model": "gpt-4o", "messages": ' + b'{"a":' * 100_000,
    "nested in a member nobody reads": b'{"model": "gpt-4o", "messages": [], "x": ' + b"[" * 100_000,
    "invalid UTF-8 in the model": b'{"model": "gpt-4o\xff", "messages": []}',
    "invalid UTF-8 in a message": body().replace(b"hello", b"hel\xff"),
    "an overlong encoding": body().replace(b"hello", b"\xc0\xaf"),
    "half a surrogate": body().replace(b"gpt-4o", b"\\ud800"),
    "NaN": b'{"model": "gpt-4o", "messages": [], "temperature": NaN}',
    "Infinity": b'{"model": "gpt-4o", "messages": [], "temperature": -Infinity}',
    "a number of a million digits": b'{"model": "gpt-4o", "max_tokens": ' + b"9" * 1_000_000 + b"}",
    "UTF-16": body().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "two values": body() + body(),
    "a NUL": body() + b"\0",
    "form data": b"model=gpt-4o&messages=hello",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_json_that_is_none(stage: Stage, azure: Handle, content: bytes) -> None:
    """A 4xx, on a connection that goes on."""
    with calling(stage.url) as caller:
        caller.send(request(content=content), request())
        answer = caller.answer()
        assert 400 <= answer.status < 500
        assert answer.error["message"]
        assert caller.answer().status == 200


def _bomb() -> bytes:
    """100 MB of JSON that are small only while they are compressed."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(b'{"model": "gpt-4o", "messages": [], "user": "')
        for _ in range(100):
            file.write(b"x" * MB)
        file.write(b'"}')
    return out.getvalue()


BOMB = _bomb()
SQUEEZED = {
    "a bomb": ("gzip", BOMB, 413),
    "a bomb within a bomb": ("gzip", gzip.compress(BOMB), 400),
    "cut off": ("gzip", gzip.compress(body())[:-9], 400),
    "something behind": ("gzip", gzip.compress(body()) + b"x", 400),
    "two members": ("gzip", gzip.compress(body()[:9]) + gzip.compress(body()[9:]), 400),
    "a wrong checksum": ("gzip", gzip.compress(body())[:-8] + b"\0" * 8, 400),
    "none at all": ("gzip", b"\x1f\x8b\x08nothing", 400),
    "twice": ("gzip, gzip", gzip.compress(gzip.compress(body())), 400),
    "another encoding": ("br", b"\x8b\x00\x80", 400),
    "one that is not told": ("identity", gzip.compress(body()), 400),
}


@pytest.mark.parametrize(("encoding", "content", "status"), SQUEEZED.values(), ids=SQUEEZED)
def test_a_compressed_body_that_is_none(
    stage: Stage, azure: Handle, encoding: str, content: bytes, status: int
) -> None:
    """A 4xx that says what is wrong, and no upstream hears of it."""
    refused(ask(stage.url, request(f"content-encoding: {encoding}", content=content)), status)
    assert azure.log() == []


def test_a_bomb_without_a_key(stage: Stage) -> None:
    """Not even looked at."""
    refused(ask(stage.url, request("content-encoding: gzip", content=BOMB, key=None)), 401)


@pytest.fixture(scope="module")
def process(shared_azure: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    shared_azure.reset()
    folder: Path = tmp_path_factory.mktemp("hostile")
    with gateway_process(folder, world.written(shared_azure)) as process:
        yield process
    assert "Traceback" not in process.said
    assert process.said.count("\n") < 50


@needs_proc
@pytest.mark.parametrize(
    ("sent", "piece", "pieces"),
    [
        (head(JSON, f"content-length: {100 * MB}") + b'{"model": "gpt-4o", "user": "', b"x" * MB, 100),
        (head(JSON, CHUNKED), b"%x\r\n%b\r\n" % (MB, b"x" * MB), 100),
        (b"", request("content-encoding: gzip", content=BOMB), 10),
        (b"", request(content=NESTED), 20),
        (head(JSON, f"content-length: {30 * MB}") + b'{"model": "gpt-4o", "x": [', b"[]," * 10_000, 1_000),
        (head(JSON, CHUNKED), b"1\r\nx\r\n" * 10_000, 50),
        (head()[:-2] + b"x: ", b"y" * MB, 10),
    ],
    ids=["100 MB", "100 MB in chunks", "bombs", "nested", "a long list", "tiny chunks", "a huge head"],
)
def test_memory_stays_bounded(process: GatewayProcess, sent: bytes, piece: bytes, pieces: int) -> None:
    """Whatever is sent, the gateway takes little more than one body at a time, and goes on serving."""
    ask(process.url, request())
    before_kb = process.memory_kb()
    with calling(process.url) as caller, suppress(ConnectionError):
        caller.send(sent)
        for _ in range(pieces):
            caller.send(piece)
            assert process.memory_kb() - before_kb < 120 * 1024
    eventually(lambda: ask(process.url, request()).status == 200)


@needs_proc
def test_hundreds_of_slow_callers(process: GatewayProcess) -> None:
    """Each costs little, and others are served meanwhile."""
    before_kb = process.memory_kb()
    callers = [socket.create_connection(_address(process)) for _ in range(300)]
    try:
        for number, caller in enumerate(callers):
            caller.sendall((head(JSON, LENGTH) + body())[: 20 + number % 200])
        assert ask(process.url, request()).status == 200
        assert process.memory_kb() - before_kb < 300 * 40
    finally:
        for caller in callers:
            caller.close()


def _address(process: GatewayProcess) -> tuple[str, int]:
    host, port = process.url.removeprefix("http://").split(":")
    return host, int(port)
