"""How a connection reads answers."""

import socket

import pytest
from tests.unit.dispatch.fakes import OK, FakeTransport, Wired, failure_of

from smalt.dispatch.connection import LARGEST_HEAD, MOST_HEADERS, MOST_TINY, TINY
from smalt.dispatch.connections import Response, Wire
from smalt.types import FailureKind

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
UNTIL_EOF = b"HTTP/1.0 200 OK\r\n\r\n"


async def test_an_answer_is_read_and_the_connection_goes_back() -> None:
    """Status, headers with lower-case names, the body; then the connection is idle."""
    wired = Wired()
    response = wired.request()
    assert wired.transport.written == b"HEADBODY"
    wired.receive(OK)
    await response.head()
    assert (response.status, response.headers) == (200, [(b"x-region", b"East"), (b"content-length", b"2")])
    assert await response.whole(100) == b"ok"
    assert wired.idle == [wired.connection]
    assert not wired.transport.closing


async def test_any_splits_give_the_same_answer() -> None:
    """An answer that comes byte by byte is the same answer."""
    wired = Wired()
    response = wired.request()
    wired.receive(*(OK[i : i + 1] for i in range(len(OK))))
    await response.head()
    assert (response.status, await response.whole(100)) == (200, b"ok")


async def test_a_connection_serves_one_request_after_the_other() -> None:
    """Nothing of an answer is left when the next one comes."""
    wired = Wired()
    for body in (b"one", b"twelve"):
        response = wired.request()
        wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        assert await response.whole(100) == body
        assert len(response.headers) == 1
    assert wired.idle == [wired.connection] * 2


async def test_a_busy_connection_takes_no_second_request() -> None:
    """One request at a time: pipelining would mix answers up."""
    wired = Wired()
    wired.request()
    with pytest.raises(RuntimeError):
        wired.request()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"2;note=x\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
    ],
)
async def test_answers_that_keep_the_connection(answer: bytes, body: bytes) -> None:
    """Bodiless statuses, chunks and interim answers end where they say, and the connection lives on."""
    wired = Wired()
    response = wired.request()
    wired.receive(answer)
    assert await response.whole(100) == body
    assert wired.idle == [wired.connection]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_answers_that_end_the_connection(answer: bytes) -> None:
    """A server that will not keep the connection is believed."""
    wired = Wired()
    response = wired.request()
    wired.receive(answer)
    assert await response.whole(100) == b"ok"
    assert wired.transport.closing
    assert not wired.idle


async def test_headers_of_interim_answers_are_not_the_answers_headers() -> None:
    """What 103 announces belongs to 103."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK)
    assert b"link" not in dict(response.headers)


async def test_trailers_do_not_pass_for_headers() -> None:
    """What comes behind a body cannot change what was said before it."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED + b"2\r\nok\r\n0\r\nretry-after: 9\r\n\r\n")
    assert response.headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    "surplus", [OK, b"H", b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"garbage", b"\x00\xff"]
)
async def test_bytes_behind_an_answer_kill_the_connection(surplus: bytes) -> None:
    """Surplus bytes could be taken for the answer to the next request."""
    wired = Wired()
    response = wired.request()
    wired.receive(OK + surplus)
    assert await response.whole(100) == b"ok"
    assert wired.transport.closing
    assert not wired.connection.usable(wired.clock.now)


async def test_bytes_while_idle_kill_the_connection() -> None:
    """Nobody asked."""
    wired = Wired()
    wired.request()
    wired.receive(OK)
    wired.receive(b"\r\n")
    assert wired.transport.closing


async def test_bytes_before_any_request_kill_the_connection() -> None:
    """A greeting is not HTTP."""
    wired = Wired()
    wired.receive(OK)
    assert not wired.connection.is_open


async def test_an_early_answer_ends_the_connection() -> None:
    """With a rest of its request still to be sent it would hold up the next one."""
    wired = Wired()
    response = wired.request()
    wired.transport.unsent = 1_000_000
    wired.receive(OK)
    assert await response.whole(100) == b"ok"
    assert wired.transport.closing
    assert not wired.idle


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 99 X\r\n\r\n",
        b"HTTP/1.1 000 X\r\ncontent-length: 2\r\n\r\nxx" + OK,
        b"HTTP/1.1 099 X\r\ncontent-length: 2\r\n\r\nxx" + OK,
        b"HTTP/1.1 2000 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
async def test_what_is_not_http_fails_the_attempt(answer: bytes) -> None:
    """Broken or ambiguous framing is never guessed at: the connection dies with the attempt."""
    wired = Wired()
    response = wired.request()
    wired.receive(answer)
    kind, _ = await failure_of(response.head())
    assert kind is FailureKind.RESET
    assert wired.transport.closing
    assert not wired.idle


@pytest.mark.parametrize(
    "chunks", [b"zz\r\nok\r\n", b"-1\r\nok\r\n", b"fffffffffffffffff\r\nok", b"2\r\nokX\r\n", b"2\nok\n"]
)
async def test_bad_chunks_truncate_the_answer(chunks: bytes) -> None:
    """Where a chunk ends must be beyond doubt."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED)
    await response.head()
    wired.receive(chunks)
    kind, text = await failure_of(response.whole(100))
    assert kind is FailureKind.TRUNCATED
    assert text.startswith("the answer is not HTTP")


@pytest.mark.parametrize("size", [100, 2_000, 100_000])
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x-flood: 0123456789\r\n" * 3_500 + b"content-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"v" * LARGEST_HEAD + b"\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"v" * LARGEST_HEAD,
        b"HTTP/1.1 200 " + b"v" * 3 * LARGEST_HEAD,
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3_000,
    ],
)
async def test_heads_are_limited(head: bytes, size: int) -> None:
    """A head beyond 64 KiB is refused, however it is split."""
    wired = Wired()
    response = wired.request()
    wired.receive(*(head[i : i + size] for i in range(0, len(head), size)))
    assert await failure_of(response.head()) == (FailureKind.RESET, "the answer's head is too large")
    assert wired.transport.closing


async def test_headers_are_counted() -> None:
    """However short: whoever they are passed on to has a limit, too."""
    for count in (MOST_HEADERS, MOST_HEADERS + 1):
        wired = Wired()
        response = wired.request()
        wired.receive(b"HTTP/1.1 204 No Content\r\n" + b"x: y\r\n" * count + b"\r\n")
        if count > MOST_HEADERS:
            assert (await failure_of(response.head()))[1] == "the answer's head is too large"
        else:
            await response.head()


async def test_tiny_pieces_without_end() -> None:
    """They would take many times their size, and the time of others."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED + b"2\r\nxy\r\n" * (MOST_TINY + 1))
    kind, text = await failure_of(response.whole(1 << 20))
    assert (kind, text) == (FailureKind.TRUNCATED, "the answer comes in too many tiny pieces")
    assert wired.transport.closing


async def test_tiny_pieces_among_others() -> None:
    """A blank line that is flushed by itself is no harm; each answer counts anew."""
    wired = Wired()
    line = b"data: " + b"x" * TINY
    for _ in range(2):
        response = wired.request()
        wired.receive(CHUNKED, (b"%x\r\n%b\r\n1\r\n\n\r\n" % (len(line), line)) * 1_000)
        wired.receive(b"1\r\n\n\r\n" * (MOST_TINY - 1), b"0\r\n\r\n")
        assert await response.whole(1 << 30) == (line + b"\n") * 1_000 + b"\n" * (MOST_TINY - 1)


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity"])
async def test_a_coding_of_the_transfer_that_is_not_undone(coding: bytes) -> None:
    """What it left would pass for the answer."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: %b\r\n\r\n2\r\nok\r\n0\r\n\r\n" % coding)
    kind, _ = await failure_of(response.whole(100))
    assert kind is FailureKind.TRUNCATED
    assert wired.transport.closing


async def test_a_large_header_passes() -> None:
    """60 KiB in one value are unusual and allowed."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\nx: %b\r\ncontent-length: 0\r\n\r\n" % (b"v" * 60 * 1024))
    await response.head()
    assert len(response.headers[0][1]) == 60 * 1024


async def test_trailers_without_end_break_the_answer() -> None:
    """Memory stays bounded behind a body too."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED + b"2\r\nok\r\n0\r\nx: ")
    for _ in range(70):
        wired.receive(b"v" * 1024)
    kind, _ = await failure_of(response.whole(100))
    assert kind is FailureKind.TRUNCATED
    assert wired.transport.closing


async def test_a_body_of_many_small_chunks_is_no_flood() -> None:
    """The framing of chunks does not add up."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED, *[b"1;%b\r\nx\r\n" % (b"e" * 500)] * 300, b"0\r\n\r\n")
    assert await response.whole(1_000) == b"x" * 300


@pytest.mark.parametrize(
    ("received", "reused", "error", "kind"),
    [
        ((), False, None, FailureKind.RESET),
        ((), False, ConnectionResetError(), FailureKind.RESET),
        ((), True, None, FailureKind.STALE),
        ((), True, ConnectionResetError(), FailureKind.STALE),
        ((b"H",), True, None, FailureKind.RESET),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), True, None, FailureKind.RESET),
        ((OK[:-1],), False, None, FailureKind.TRUNCATED),
        ((OK[:-1],), True, ConnectionResetError(), FailureKind.TRUNCATED),
        ((CHUNKED + b"2\r\nok\r\n",), False, None, FailureKind.TRUNCATED),
        ((UNTIL_EOF + b"ok",), False, ConnectionResetError(), FailureKind.TRUNCATED),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",), False, None, FailureKind.TRUNCATED),
    ],
)
async def test_a_lost_connection_tells_how_far_it_came(
    received: tuple[bytes, ...], reused: bool, error: Exception | None, kind: FailureKind
) -> None:
    """Stale, reset and truncated differ in what may have been billed."""
    wired = Wired()
    if reused:
        wired.request()
        wired.receive(OK)
    response = wired.request()
    wired.receive(*received)
    wired.lose(error, eof=error is None)
    assert (await failure_of(response.whole(100)))[0] is kind
    assert (await failure_of(response.whole(100)))[0] is kind
    assert wired.forgotten == [wired.connection]


async def test_a_body_may_end_with_the_connection() -> None:
    """HTTP/1.0 has no other end."""
    wired = Wired()
    response = wired.request()
    wired.receive(UNTIL_EOF, b"all ", b"of it")
    wired.lose(eof=True)
    assert await response.whole(100) == b"all of it"
    assert not wired.idle


async def test_a_body_that_we_cut_off_is_not_whole() -> None:
    """Our own closing does not end an answer well."""
    wired = Wired()
    response = wired.request()
    wired.receive(UNTIL_EOF, b"half")
    wired.connection.kill()
    wired.lose()
    assert (await failure_of(response.whole(100)))[0] is FailureKind.TRUNCATED


async def test_the_other_sides_end_is_ours() -> None:
    """What is left to write must not keep a half-closed connection."""
    wired = Wired()
    wired.request()
    assert wired.connection.eof_received() is None  # type: ignore[func-returns-value]
    assert wired.transport.closing


async def test_probes_keep_a_silent_connection_alive() -> None:
    """A long answer must not be dropped by what lies between."""
    with socket.socket() as sock:
        transport = FakeTransport()
        transport._extra = {"socket": sock}  # type: ignore[attr-defined]
        Wired().connection.connection_made(transport)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_a_connection_goes_back_when_its_parser_has_returned() -> None:
    """Who takes it at once may use it: in threads that is somebody else."""
    wired = Wired()
    again: list[Response] = []

    def take(connection: Wire, _now: float) -> None:
        connection._put_back = lambda _connection, _now: None
        again.append(connection.request(b"AGAIN", b""))
        connection.data_received(OK)

    wired.connection._put_back = take
    first = wired.request()
    wired.receive(OK)
    assert [await response.whole(100) for response in (first, *again)] == [b"ok", b"ok"]
