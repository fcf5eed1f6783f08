"""Whole calls over real connections: failover, staleness, leaving, streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import SecretStr
from tests.integration.dispatch.raw_server import Peer, serving
from tests.unit.dispatch.fakes import Office, make_engine, make_facts

from smalt.auth.credentials import ApiKey
from smalt.auth.kept import Fixed
from smalt.core.settings import RetrySpec
from smalt.dispatch.connections import Response
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.relay import relay_events
from smalt.dispatch.run import Answer, run_async
from smalt.dispatch.target import Origin, Target, Timeouts
from smalt.dispatch.upstreams import Upstreams
from smalt.errors import UpstreamTimeout
from smalt.types import Facts, FailureKind, Usage

BODY = b'{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3}}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TEXT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Fleet:
    """Two resources at given places, and calls on them."""

    def __init__(self, east: Origin, west: Origin, *, total_s: float = 5) -> None:
        self.office = Office(make_engine("east/a", "west/a", retry=RetrySpec(base_s=0, jitter_s=0)))
        places = {"east": east, "west": west}
        self.upstreams = Upstreams(
            {
                name: Target(origin, (ApiKey(Fixed(SecretStr(f"key-of-{name}"))),), "classic", "2024-10-21")
                for name, origin in places.items()
            },
            Timeouts(connect_s=1, total_s=total_s, stream_first_byte_s=total_s),
        )

    async def call(self, facts: Facts | None = None) -> tuple[OpenCall, Answer[Response]]:
        call = self.office.open(facts)

        async def send(upstream: str, call: OpenCall) -> Answer[Response]:
            return await self.upstreams.send(upstream, call, b'{"model":"gpt-4o","stream":true}')

        return call, await run_async(call, send)

    def kinds(self) -> list[FailureKind | None]:
        (record,) = self.office.records
        return [attempt.failure.kind if attempt.failure else None for attempt in record.attempts]


@pytest.fixture
async def fleets() -> AsyncIterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(east: Origin, west: Origin, *, total_s: float = 5) -> Fleet:
        made.append(Fleet(east, west, total_s=total_s))
        return made[-1]

    yield make
    for fleet in made:
        fleet.upstreams.close()
        assert fleet.office.in_flight == 0
    await asyncio.sleep(0.01)


async def good(peer: Peer) -> None:
    while await peer.request():
        await peer.send(OK)


async def breaking(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def truncating(peer: Peer) -> None:
    await peer.request()
    await peer.send(OK[:-9])
    peer.close()


async def refusing(peer: Peer) -> None:
    while await peer.request():
        await peer.send(b"HTTP/1.1 500 Error\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (breaking, FailureKind.RESET),
        (truncating, FailureKind.TRUNCATED),
        (refusing, FailureKind.SERVER),
    ],
)
async def test_another_resource_answers(
    fleets: Callable[..., Fleet], script: Callable[[Peer], Awaitable[None]], kind: FailureKind
) -> None:
    """At once, and each resource only ever sees its own key."""
    seen: list[bytes] = []

    async def west(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(OK)

    async with serving(script) as bad, serving(west) as spare:
        fleet = fleets(bad.origin, spare.origin)
        call, answer = await fleet.call()
        call.finish(answer.usage or Usage(0))
    assert answer.body == BODY
    assert fleet.kinds() == [kind, None]
    assert b"api-key: key-of-west\r\n" in seen[0]
    assert b"key-of-east" not in seen[0]


async def test_a_stale_connection_costs_the_caller_nothing(fleets: Callable[..., Fleet]) -> None:
    """The same resource is asked again over a new connection, without a rest."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        if peer.number == 0:
            await peer.request()
            peer.close()

    async with serving(script) as server, serving(good) as spare:
        fleet = fleets(server.origin, spare.origin)
        for _ in range(2):
            fleet.office.records.clear()
            call, answer = await fleet.call()
            call.finish(answer.usage or Usage(0))
        assert fleet.kinds()[0] is FailureKind.STALE
        assert all(status.available for status in fleet.office.dispatcher.status())


async def test_an_answer_that_never_comes_is_not_asked_for_again(fleets: Callable[..., Fleet]) -> None:
    """It may have been billed."""

    async def silent(peer: Peer) -> None:
        await peer.request()

    async with serving(silent) as server, serving(good) as spare:
        fleet = fleets(server.origin, spare.origin, total_s=0.05)
        with pytest.raises(UpstreamTimeout):
            await fleet.call()
        await server.until_open(0)
        assert fleet.kinds() == [FailureKind.TIMEOUT]
        assert not spare.peers


async def test_a_body_that_drips_is_limited_as_a_whole(fleets: Callable[..., Fleet]) -> None:
    """Bytes now and then do not stretch the limit of a whole answer."""

    async def dripping(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK[:-40], *(OK[i : i + 1] for i in range(len(OK) - 40, len(OK))), every_s=0.02)

    async with serving(dripping) as server, serving(good) as spare:
        fleet = fleets(server.origin, spare.origin, total_s=0.15)
        with pytest.raises(UpstreamTimeout):
            await fleet.call()
        await server.until_open(0)


class Caller:
    def __init__(self) -> None:
        self.got = b""
        self.came = asyncio.Event()
        self.ended = False

    def write(self, data: bytes) -> None:
        self.got += data
        self.came.set()

    def end(self) -> None:
        self.ended = True

    def abort(self) -> None:
        raise AssertionError("an event stream is not aborted")

    def throttle(self, source: Response) -> None:
        pass


async def relay(fleet: Fleet, caller: Caller) -> None:
    _, answer = await fleet.call(make_facts(stream=True))
    assert answer.stream is not None
    assert answer.watched is not None
    await relay_events(answer.stream, answer.watched, caller, idle_s=5)


@pytest.mark.parametrize("rest", [STOP, b""])
async def test_a_stream_is_relayed_or_ends_in_an_error_event(
    fleets: Callable[..., Fleet], rest: bytes
) -> None:
    """To its end; or, when the server breaks off, to the last whole event."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(EVENTS, chunk(TEXT + TEXT[:9]), every_s=0.01)
        if rest:
            await peer.send(chunk(TEXT[9:]), chunk(rest), b"0\r\n\r\n")
        else:
            peer.reset()

    async with serving(script) as server, serving(good) as spare:
        fleet, caller = fleets(server.origin, spare.origin), Caller()
        await relay(fleet, caller)
    assert caller.ended
    if rest:
        assert caller.got == TEXT + TEXT + STOP
    else:
        assert caller.got.startswith(TEXT + b'data: {"error":')
    assert [record.error for record in fleet.office.records] == [None if rest else "stream_interrupted"]


async def test_leaving_a_stream_closes_the_upstream_within_100_ms(fleets: Callable[..., Fleet]) -> None:
    """And the call is told with what came until then."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(EVENTS, chunk(TEXT))

    async with serving(script) as server, serving(good) as spare:
        fleet, caller = fleets(server.origin, spare.origin), Caller()
        task = asyncio.ensure_future(relay(fleet, caller))
        await caller.came.wait()
        task.cancel()
        await server.until_open(0, within_s=0.1)
        await asyncio.gather(task, return_exceptions=True)
    (record,) = fleet.office.records
    assert (record.error, record.usage, record.estimated) == ("abandoned", Usage(84, 1), True)


async def test_hundreds_of_calls_and_callers_who_leave_at_random_times(fleets: Callable[..., Fleet]) -> None:
    """Every call ends once; nothing stays in flight, no connection stays busy."""

    async def slowly(peer: Peer) -> None:
        while await peer.request():
            await asyncio.sleep(0.002)
            await peer.send(OK[:30], OK[30:])

    async with serving(slowly) as east, serving(slowly) as west:
        fleet = fleets(east.origin, west.origin)

        async def one(number: int) -> None:
            call, answer = await fleet.call()
            assert answer.body == BODY
            call.finish(answer.usage or Usage(number))

        tasks = [asyncio.ensure_future(one(number)) for number in range(300)]
        for number, task in enumerate(tasks[::2]):
            asyncio.get_running_loop().call_later(number * 0.0002, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None for result in results[1::2])
        started = [task for task in tasks if not task.cancelled()]
        assert len(fleet.office.records) >= len(started)
        assert fleet.office.in_flight == 0
        fleet.upstreams.close()
        await east.until_open(0)
        await west.until_open(0)
        assert not fleet.upstreams._connections._all
