"""Relaying answers with a caller that lags, leaves or waits in vain."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.dispatch.raw_server import Peer, RawServer, serving

from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.run import SendFailed
from smalt.types import FailureKind

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
PIECE = b"x" * 65_536
CHUNK = b"10000\r\n" + PIECE + b"\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
KERNEL = 12 << 20  # what two sockets may take on themselves


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    pool = Connections()
    yield pool
    pool.close()
    await asyncio.sleep(0)


async def send(connections: Connections, server: RawServer) -> Response:
    return await connections.send(server.origin, REQUEST, b"", connect_s=2, limit_s=5)


class Taker:
    def __init__(self, response: Response, *, idle_s: float = 5) -> None:
        self.taken = 0
        self.ended: asyncio.Future[SendFailed | None] = asyncio.get_running_loop().create_future()
        response.relay(self._take, self.ended.set_result, idle_s=idle_s)

    def _take(self, data: bytes) -> None:
        self.taken += len(data)


async def endless(peer: Peer) -> None:
    await peer.request()
    await peer.send(CHUNKED)
    while True:
        await peer.send(CHUNK)


async def test_a_slow_caller_slows_down_only_its_own_stream(connections: Connections) -> None:
    """The paused stream stops at the server, the other one flows; resumed, it goes on."""
    sent = [0, 0]

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for _ in range(1_000):
            await peer.send(CHUNK)
            sent[peer.number] += 1
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        slow = await send(connections, server)
        slow_taker = Taker(slow)
        slow.pause()
        fast_taker = Taker(await send(connections, server))
        assert await fast_taker.ended is None
        assert fast_taker.taken == 1_000 * len(PIECE)
        assert sent[0] * len(PIECE) < KERNEL
        assert slow_taker.taken < 1 << 20
        slow.resume()
        assert await slow_taker.ended is None
        assert slow_taker.taken == 1_000 * len(PIECE)


async def test_nobody_takes_the_stream(connections: Connections) -> None:
    """Between head and relay memory stays bounded."""
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(CHUNK)
            sent += len(PIECE)

    async with serving(script) as server:
        response = await send(connections, server)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < KERNEL
        assert response._held_bytes < 1 << 20


async def test_a_body_too_large_to_hold_is_relayed_whole(connections: Connections) -> None:
    """`whole` gives up at its limit; `relay` then gives every byte exactly once."""
    body = b"".join(b"%07d " % number for number in range(300_000))

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body)
        await peer.request()

    async with serving(script) as server:
        response = await send(connections, server)
        assert await response.whole(1 << 20) is None
        parts: list[bytes] = []
        ended: asyncio.Future[SendFailed | None] = asyncio.get_running_loop().create_future()
        response.relay(parts.append, ended.set_result, idle_s=5)
        assert await ended is None
        assert b"".join(parts) == body
        assert len(connections._idle[server.origin]) == 1


async def test_a_stream_that_falls_silent(connections: Connections) -> None:
    """It ends with a time-out, and the upstream sees the connection close."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, CHUNK)

    async with serving(script) as server:
        taker = Taker(await send(connections, server), idle_s=0.05)
        failed = await taker.ended
        assert failed is not None
        assert failed.failure.kind is FailureKind.TIMEOUT
        assert taker.taken == len(PIECE)
        await server.until_open(0)


async def test_leaving_in_mid_stream(connections: Connections) -> None:
    """The upstream sees the connection close within 100 ms."""
    async with serving(endless) as server:
        response = await send(connections, server)
        taker = Taker(response)
        await asyncio.sleep(0.02)
        response.close()
        await server.until_open(0, within_s=0.1)
        assert not taker.ended.done()


async def test_leaving_a_paused_stream(connections: Connections) -> None:
    """Paused or not, it closes."""
    async with serving(endless) as server:
        response = await send(connections, server)
        Taker(response)
        response.pause()
        await asyncio.sleep(0.02)
        response.close()
        await server.until_open(0, within_s=0.1)


@pytest.mark.parametrize("paused", [True, False])
async def test_a_stream_that_is_reset(connections: Connections, paused: bool) -> None:
    """Its taker hears of it once, at the latest when it reads on."""
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, CHUNK)
        await cut.wait()
        peer.reset()

    async with serving(script) as server:
        response = await send(connections, server)
        taker = Taker(response)
        if paused:
            response.pause()
        cut.set()
        await asyncio.sleep(0.02)
        response.resume()
        failed = await asyncio.wait_for(taker.ended, 2)
        assert failed is not None
        assert failed.failure.kind is FailureKind.TRUNCATED


async def test_a_stream_that_ended_while_paused_is_used_again(connections: Connections) -> None:
    """The end is only seen after resuming; then the connection serves the next request."""

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            await peer.send(CHUNKED, CHUNK, b"0\r\n\r\n")

    async with serving(script) as server:
        for _ in range(2):
            response = await send(connections, server)
            taker = Taker(response)
            response.pause()
            await asyncio.sleep(0.01)
            response.resume()
            assert await taker.ended is None
            assert taker.taken == len(PIECE)
        assert len(server.peers) == 1
