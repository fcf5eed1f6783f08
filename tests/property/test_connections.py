"""Whatever bytes an upstream sends, split however: the same answer, or a failure, and nothing worse."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.dispatch.fakes import Wired

from smalt.dispatch.connections import Response
from smalt.dispatch.run import SendFailed

NAMES = st.from_regex(rb"[a-z][a-z0-9-]{0,12}", fullmatch=True).map(lambda name: b"x-" + name)
VALUES = st.from_regex(rb"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
STATUSES = st.sampled_from([200, 201, 400, 404, 429, 500, 503])
BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
INTERIM = st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n"])
FRAMING = st.sampled_from(["length", "chunked", "eof"])
CUTS = st.lists(st.integers(0, 600), max_size=30)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
# Pieces that are nearly HTTP reach further than noise does.
PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 ",
    b"HTTP/1.1 000 X\r\n",
    b"HTTP/1.1 101 X\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 None\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"content-length: 2\r\n",
    b"content-length: 99999999999999999999\r\n",
    b"content-length: -1\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip\r\n",
    b"connection: close\r\n",
    b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"\r\n",
    b"\n",
    b"2\r\nok\r\n",
    b"0\r\n\r\n",
    b"0\r\nx: y\r\n\r\n",
    b"fffffffffffffffff\r\n",
    b"ok",
    b"x: y\r\n",
    b": y\r\n",
    b" folded\r\n",
    b"\x00",
    b"HTTP/1.1 200 OK\r\nx: " + b"v" * 70_000,
]
GARBAGE = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=12).map(b"".join)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:end] for start, end in pairwise(places)]


def encode(status: int, headers: list[tuple[bytes, bytes]], parts: list[bytes], framing: str) -> bytes:
    lines = [b"HTTP/1.1 %d Reason" % status, *(name + b": " + value for name, value in headers)]
    body = b"".join(parts)
    if framing == "length":
        lines.append(b"content-length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"transfer-encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def outcome(response: Response) -> bytes | SendFailed:
    """Whatever it is, it comes at once."""
    try:
        async with asyncio.timeout(1):
            await response.head()
            body = await response.whole(1 << 20)
    except SendFailed as failed:
        return failed
    assert body is not None
    return body


@given(STATUSES, HEADERS, BODIES, FRAMING, INTERIM, CUTS)
def test_splits_change_nothing(
    status: int,
    headers: list[tuple[bytes, bytes]],
    parts: list[bytes],
    framing: str,
    interim: bytes,
    cuts: list[int],
) -> None:
    """Status, headers and body of a valid answer do not depend on how its bytes arrive."""

    async def check() -> None:
        wired = Wired()
        response = wired.request()
        wired.receive(*split(interim + encode(status, headers, parts, framing), cuts))
        if framing == "eof":
            assert not wired.idle
            wired.lose(eof=True)
        else:
            assert wired.idle == [wired.connection]
            assert wired.connection.is_open
        assert await outcome(response) == b"".join(parts)
        assert response.status == status
        assert response.headers[: len(headers)] == headers
        assert len(response.headers) == len(headers) + (framing != "eof")
        assert wired.clock.pending == 0

    asyncio.run(check())


@given(GARBAGE, CUTS)
def test_garbage_ends_well(garbage: bytes, cuts: list[int]) -> None:
    """An answer or a failure, once, whoever waits; never an exception, never a connection kept after it."""

    async def check() -> None:
        wired = Wired()
        response = wired.request()
        ends: list[SendFailed | None] = []
        ended = response.ended

        def note(failed: SendFailed | None) -> None:
            ends.append(failed)
            ended(failed)

        response.ended = note  # type: ignore[method-assign]
        for piece in split(garbage, cuts):
            if wired.transport.closing:
                break  # a real transport reads no more
            wired.receive(piece)
        completed = bool(ends) and ends[0] is None
        if wired.idle and wired.connection.is_open:
            assert completed
            assert not wired.connection._surplus
        wired.lose(eof=True)
        result = await outcome(response)
        assert len(ends) == 1
        if not isinstance(result, SendFailed):
            assert 200 <= response.status <= 999

    asyncio.run(check())


@given(GARBAGE.filter(lambda data: data.strip(b"\r\n") != b""), CUTS)
def test_garbage_behind_an_answer_kills_the_connection(garbage: bytes, cuts: list[int]) -> None:
    """The answer stands, and its connection is not used again."""

    async def check() -> None:
        wired = Wired()
        response = wired.request()
        for piece in split(OK + garbage, cuts):
            if wired.transport.closing:
                break
            wired.receive(piece)
        assert await outcome(response) == b"ok"
        assert not wired.connection.usable(wired.clock.now)

    asyncio.run(check())


@given(st.lists(st.sampled_from(["pause", "resume", "data", "move"]), max_size=20), BODIES)
def test_a_relay_gives_every_byte_once(steps: list[str], parts: list[bytes]) -> None:
    """Pauses, resumptions and time change nothing about the bytes; afterwards no timer is left."""

    async def check() -> None:
        wired = Wired()
        response = wired.request()
        wired.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        taken: list[bytes] = []
        ends: list[SendFailed | None] = []
        response.relay(taken.append, ends.append, idle_s=10)
        sent: list[bytes] = []
        for step in steps:
            if step == "data":
                wired.receive(b"3\r\nabc\r\n")
                sent.append(b"abc")
            elif step == "move":
                wired.clock.move(0.4)
            else:
                getattr(response, step)()
                assert wired.transport.reading is (step == "resume")
        for part in parts:
            wired.receive(b"%x\r\n%b\r\n" % (len(part), part))
        wired.receive(b"0\r\n\r\n")
        assert b"".join(taken) == b"".join(sent + parts)
        assert ends == [None]
        assert wired.transport.reading
        assert wired.clock.pending == 0

    asyncio.run(check())
