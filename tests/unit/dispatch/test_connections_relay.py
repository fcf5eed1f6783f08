"""How a response gathers its body or hands it on."""

import asyncio

import pytest
from tests.unit.dispatch.fakes import OK, Taker, Wired, failure_of

from smalt.dispatch.connections import LARGEST_HELD
from smalt.types import FailureKind

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_a_large_body_is_left_to_relay() -> None:
    """`whole` gives up beyond its limit, reading pauses, and `relay` gives every byte once."""
    wired = Wired()
    response = wired.request()
    taking = asyncio.ensure_future(response.whole(6))
    await asyncio.sleep(0)
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n", b"abcd", b"efgh")
    assert await taking is None
    assert not wired.reads()
    taker = Taker(response)
    assert wired.reads()
    wired.receive(b"ijkl")
    assert (taker.body, taker.ends) == (b"abcdefghijkl", [None])
    assert wired.idle == [wired.connection]


async def test_a_body_of_exactly_the_limit_is_whole() -> None:
    """The limit itself is allowed."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef")
    assert await response.whole(6) == b"abcdef"


async def test_reading_pauses_while_nobody_takes() -> None:
    """Between head and relay only so much is held."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * LARGEST_HELD))
    wired.receive(b"x" * LARGEST_HELD)
    assert wired.reads()
    wired.receive(b"x")
    assert not wired.reads()
    taker = Taker(response)
    assert wired.reads()
    assert len(taker.body) == LARGEST_HELD + 1


async def test_a_taker_that_lags_already_while_it_is_given_what_was_held_stays_paused() -> None:
    """`relay` itself must not lift the pause its taker has just asked for."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"abc")

    def take(_data: bytes) -> None:
        response.pause()

    response.relay(take, lambda _failed: None, idle_s=10)
    assert not wired.reads()
    response.resume()
    assert wired.reads()


async def test_a_taker_that_lags_before_the_relay_stays_paused() -> None:
    """A pause asked for before `relay` holds."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
    response.pause()
    Taker(response)
    assert not wired.reads()


async def test_an_ended_answer_no_longer_touches_its_connection() -> None:
    """Late pauses and closings belong to nobody: the connection may serve another request."""
    wired = Wired()
    first = wired.request()
    wired.receive(OK)
    wired.request()
    first.pause()
    first.resume()
    first.close()
    assert wired.reads()
    assert not wired.transport.closing


async def test_a_paused_connection_is_reused_unpaused() -> None:
    """A taker that lagged at the end does not slow down the next request."""
    wired = Wired()
    response = wired.request()
    wired.receive(OK[:-1])
    Taker(response)
    response.pause()
    wired.receive(OK[-1:])
    assert wired.reads()
    assert wired.idle == [wired.connection]


async def test_pausing_a_dying_connection_is_harmless() -> None:
    """Event loops differ in what they allow then."""
    wired = Wired()
    response = wired.request()
    wired.connection.kill()
    response.pause()
    response.resume()
    wired.lose()
    wired.connection.kill()
    response.pause()
    response.resume()


async def test_closing_an_answer_drops_its_connection() -> None:
    """Nobody is told anything after that."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED)
    taker = Taker(response)
    response.close()
    assert wired.transport.closing
    wired.receive(b"2\r\nok\r\n")
    wired.lose()
    assert (taker.chunks, taker.ends) == ([], [])
    assert wired.clock.pending == 0


async def test_relaying_an_ended_answer() -> None:
    """What was held comes, then the end, at once."""
    wired = Wired()
    response = wired.request()
    wired.receive(OK)
    taker = Taker(response)
    assert (taker.body, taker.ends) == (b"ok", [None])
    assert wired.clock.pending == 0


async def test_a_relay_that_breaks_ends_once() -> None:
    """The end names the reason, and nothing follows it."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED + b"2\r\nok\r\n")
    taker = Taker(response)
    wired.receive(b"zz\r\n")
    wired.lose(ConnectionResetError())
    (end,) = taker.ends
    assert end is not None
    assert end.failure.kind is FailureKind.TRUNCATED
    assert taker.body == b"ok"


async def test_a_silent_stream_times_out() -> None:
    """Silence counts from the last byte on."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED)
    taker = Taker(response, idle_s=10)
    wired.clock.move(9)
    wired.receive(b"2\r\nok\r\n")
    wired.clock.move(9)
    assert not taker.ends
    wired.clock.move(2)
    (end,) = taker.ends
    assert end is not None
    assert (end.failure.kind, str(end)) == (FailureKind.TIMEOUT, "the stream was silent for 10 s")
    assert wired.transport.closing
    wired.lose()
    assert len(taker.ends) == 1


async def test_a_caller_that_takes_nothing_is_not_the_streams_silence() -> None:
    """The time-out of a paused stream blames the caller; resuming starts the clock afresh."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED)
    taker = Taker(response, idle_s=10)
    response.pause()
    wired.clock.move(9)
    response.resume()
    wired.clock.move(9)
    assert not taker.ends
    response.pause()
    wired.clock.move(9)
    assert [str(end) for end in taker.ends] == ["the caller took nothing for 10 s"]


async def test_an_answer_that_takes_too_long_times_out() -> None:
    """The limit covers the head and the whole body."""
    wired = Wired()
    response = wired.request()
    response.expire(wired.clock.now + 5, 5)
    wired.receive(OK[:-1])
    await response.head()
    wired.clock.move(5)
    assert await failure_of(response.whole(100)) == (FailureKind.TIMEOUT, "no answer within 5 s")
    assert wired.transport.closing


@pytest.mark.parametrize("relayed", [True, False])
async def test_the_limit_does_not_outlive_its_answer(relayed: bool) -> None:
    """A relayed stream may take longer; an ended answer leaves no timer behind."""
    wired = Wired()
    response = wired.request()
    response.expire(wired.clock.now + 5, 5)
    if relayed:
        wired.receive(OK[:-1])
        taker = Taker(response, idle_s=50)
        wired.clock.move(6)
        assert not taker.ends
        wired.receive(OK[-1:])
    else:
        wired.receive(OK)
    assert wired.clock.pending == 0


async def test_waiting_for_what_has_already_failed_does_not_hang() -> None:
    """A failure that came before anybody waited is still told."""
    wired = Wired()
    response = wired.request()
    wired.lose()
    assert (await failure_of(response.head()))[0] is FailureKind.RESET


async def test_pieces_are_taken_as_they_come() -> None:
    """One by one, or several at once if nobody took them; then there are none."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
    assert await response.piece() == b"ab"
    taking = asyncio.ensure_future(response.piece())
    await asyncio.sleep(0)
    wired.receive(b"c")
    assert await taking == b"c"
    wired.receive(b"def", b"ghi")
    assert [await response.piece(), await response.piece()] == [b"defghi", None]
    assert wired.idle == [wired.connection]


async def test_reading_pauses_while_nobody_takes_the_pieces() -> None:
    """Only so much is held; taking it goes on reading."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * LARGEST_HELD), bytes(LARGEST_HELD))
    assert wired.reads()
    wired.receive(b"x")
    assert not wired.reads()
    assert len(await response.piece() or b"") == LARGEST_HELD + 1
    taking = asyncio.ensure_future(response.piece())
    await asyncio.sleep(0)
    assert wired.reads()
    wired.receive(b"y")
    assert await taking == b"y"


async def test_what_came_before_a_break_is_given_first() -> None:
    """Then the break is told."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
    wired.lose()
    pieces = response.pieces(5)
    assert await anext(pieces) == b"abc"
    assert (await failure_of(anext(pieces)))[0] is FailureKind.TRUNCATED


async def test_a_stream_may_not_be_silent_for_long() -> None:
    """While its reader waits; one who takes his time is waited for, and the first deadline is over."""
    wired = Wired()
    response = wired.request()
    response.expire(wired.clock.now + 1, 1)
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
    pieces = response.pieces(0.01)
    assert await anext(pieces) == b"abc"
    wired.clock.move(1_000)
    wired.receive(b"def")
    assert await anext(pieces) == b"def"
    kind, text = await failure_of(anext(pieces))
    assert (kind, text) == (FailureKind.TIMEOUT, "the stream was silent for 0.01 s")
    assert wired.transport.closing


async def test_after_some_pieces_the_rest_is_relayed() -> None:
    """Nothing comes twice, nothing is lost."""
    wired = Wired()
    response = wired.request()
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
    assert await response.piece() == b"abc"
    wired.receive(b"def")
    taker = Taker(response)
    wired.receive(b"ghi")
    assert (taker.body, taker.ends) == (b"defghi", [None])


async def test_a_piece_that_breaks() -> None:
    """The connection is lost while somebody waits for the next piece."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED)
    taking = asyncio.ensure_future(response.piece())
    await asyncio.sleep(0)
    wired.lose(ConnectionResetError())
    assert (await failure_of(taking))[0] is FailureKind.TRUNCATED


async def test_who_no_longer_waits_for_a_piece_misses_none() -> None:
    """The wait may be given up; what comes later is there for the relay."""
    wired = Wired()
    response = wired.request()
    wired.receive(CHUNKED)
    taking = asyncio.ensure_future(response.piece())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    wired.receive(b"3\r\nabc\r\n")
    taker = Taker(response)
    wired.receive(b"0\r\n\r\n")
    assert (taker.body, taker.ends) == (b"abc", [None])
