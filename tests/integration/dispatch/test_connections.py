"""Our own connections against a server that keeps, breaks, floods and lags, byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable

import pytest
from tests.integration.dispatch.raw_server import Peer, RawServer, serving

from smalt.dispatch.connection import LARGEST_HEAD
from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nx-region: east\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    pool = Connections()
    yield pool
    pool.close()
    await asyncio.sleep(0)


async def send(
    connections: Connections, origin: Origin, *, connect_s: float = 2, limit_s: float = 5
) -> Response:
    return await connections.send(origin, REQUEST, b"BODY", connect_s=connect_s, limit_s=limit_s)


async def ask(connections: Connections, server: RawServer) -> bytes | None:
    response = await send(connections, server.origin)
    return await response.whole(1 << 23)


async def failure_of(wait: Awaitable[object]) -> tuple[FailureKind, str]:
    with pytest.raises(SendFailed) as caught:
        await asyncio.wait_for(wait, 5)
    return caught.value.failure.kind, caught.value.failure.text


async def always_ok(peer: Peer) -> None:
    while await peer.request():
        await peer.send(OK)


async def test_connections_are_kept_and_used_again(connections: Connections) -> None:
    """Twenty requests one after the other come over one connection, whole and in order."""
    seen: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            seen.append((peer.number, request))
            await peer.send(OK)

    async with serving(script) as server:
        for _ in range(20):
            assert await ask(connections, server) == b"ok"
    assert seen == [(0, REQUEST + b"BODY")] * 20


async def test_many_at_once(connections: Connections) -> None:
    """Fifty requests at once get fifty answers, each its own."""

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n" + request[-4:])

    async with serving(script) as server:

        async def one(number: int) -> None:
            body = b"%04d" % number
            response = await connections.send(server.origin, REQUEST, body, connect_s=2, limit_s=5)
            assert await response.whole(100) == body

        for _ in range(3):
            await asyncio.gather(*(one(number) for number in range(50)))
        assert len(server.peers) <= 50


async def test_a_connection_is_not_used_before_its_answer_was_read(connections: Connections) -> None:
    """While a stream runs, another request takes another connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK if peer.number else CHUNKED)
        await peer.request()

    async with serving(script) as server:
        await send(connections, server.origin)
        assert await ask(connections, server) == b"ok"
        assert len(server.peers) == 2


async def test_nobody_listens(connections: Connections) -> None:
    """A refused connection is told as such, and nothing was sent."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    kind, text = await failure_of(send(connections, Origin("127.0.0.1", port, tls=False)))
    assert (kind, text) == (FailureKind.CONNECT, f"cannot connect to 127.0.0.1:{port}: Connection refused")


async def test_a_host_that_is_no_name(connections: Connections) -> None:
    """A host no resolver takes is a failure to connect like any other."""
    kind, text = await failure_of(send(connections, Origin("a..b", 80, tls=False)))
    assert kind is FailureKind.CONNECT
    assert "label empty or too long" in text


async def test_connecting_is_limited() -> None:
    """A host that takes no more connections costs the time for connecting, no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        pool = Connections()
        kind, text = await failure_of(
            send(pool, Origin("127.0.0.1", listener.getsockname()[1], tls=False), connect_s=0.2)
        )
        for filler in fillers:
            filler.close()
    assert (kind, text.endswith("took longer than 0.2 s")) == (FailureKind.CONNECT, True)


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
    ],
)
async def test_answers_byte_by_byte(connections: Connections, answer: bytes) -> None:
    """However slowly it drips, an answer is the same, and the connection is kept."""

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            await peer.send(*(answer[i : i + 1] for i in range(len(answer))))

    async with serving(script) as server:
        for _ in range(2):
            assert await ask(connections, server) == b"ok"
        assert len(server.peers) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_answers_without_a_body(connections: Connections, status: bytes) -> None:
    """They end with their head."""

    async def script(peer: Peer) -> None:
        while await peer.request():
            await peer.send(b"HTTP/1.1 %b\r\n\r\n" % status)

    async with serving(script) as server:
        for _ in range(2):
            assert await ask(connections, server) == b""
        assert len(server.peers) == 1


async def test_a_body_that_ends_with_the_connection(connections: Connections) -> None:
    """HTTP/1.0: read to the end, then the connection is gone on both sides."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 500_000, b"end")
        peer.close()

    async with serving(script) as server:
        body = await ask(connections, server)
        assert body is not None
        assert (len(body), body[-3:]) == (500_003, b"end")
        await server.until_open(0)
        assert not connections._all


@pytest.mark.parametrize("surplus", [OK, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x"])
@pytest.mark.parametrize("together", [True, False])
async def test_surplus_bytes_never_answer_the_next_request(
    connections: Connections, surplus: bytes, together: bool
) -> None:
    """A server that answers twice loses the connection; the next request gets its own answer."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number:
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine")
        elif together:
            await peer.send(OK + surplus)
        else:
            await peer.send(OK, surplus, every_s=0.01)

    async with serving(script) as server:
        assert await ask(connections, server) == b"ok"
        await server.until_open(0)
        assert await ask(connections, server) == b"mine"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: %b\r\n\r\n" % (b"v" * LARGEST_HEAD),
        b"HTTP/1.1 200 OK\r\n" + b"x-flood: 0\r\n" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_bad_answers_cost_the_connection(connections: Connections, answer: bytes) -> None:
    """Ambiguous, endless or foreign answers fail the attempt and close the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    async with serving(script) as server:
        kind, _ = await failure_of(ask(connections, server))
        assert kind in {FailureKind.RESET, FailureKind.TRUNCATED}
        await server.until_open(0)
        assert not connections._idle[server.origin]


@pytest.mark.parametrize("by", ["close", "reset"])
@pytest.mark.parametrize(
    ("begun", "kind"),
    [
        (b"", FailureKind.RESET),
        (b"HTTP/1.1 200 O", FailureKind.RESET),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", FailureKind.TRUNCATED),
        (CHUNKED + b"4\r\nhalf\r\n", FailureKind.TRUNCATED),
    ],
)
async def test_broken_connections(connections: Connections, begun: bytes, kind: FailureKind, by: str) -> None:
    """Closed or reset: what counts is how far the answer had come."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun, every_s=0.02)
        peer.close() if by == "close" else peer.reset()

    async with serving(script) as server:
        assert (await failure_of(ask(connections, server)))[0] is kind
        await server.until_open(0)


@pytest.mark.parametrize("by", ["close", "reset"])
async def test_a_server_that_closes_just_as_the_next_request_comes(connections: Connections, by: str) -> None:
    """The kept-alive connection was stale; asking again takes a new one."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        if peer.number == 0:
            await peer.request()
            peer.close() if by == "close" else peer.reset()

    async with serving(script) as server:
        assert await ask(connections, server) == b"ok"
        assert (await failure_of(ask(connections, server)))[0] is FailureKind.STALE
        assert await ask(connections, server) == b"ok"
        assert len(server.peers) == 2


async def test_a_server_that_closes_idle_connections(connections: Connections) -> None:
    """They are not used again, and nothing of them is left."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        peer.close()

    async with serving(script) as server:
        for _ in range(3):
            assert await ask(connections, server) == b"ok"
            async with asyncio.timeout(2):
                while connections._all:  # noqa: ASYNC110  until the end has come through
                    await asyncio.sleep(0.001)
            assert not connections._idle[server.origin]
        assert len(server.peers) == 3


async def test_leaving_while_waiting_for_the_head(connections: Connections) -> None:
    """The upstream sees the connection close within 100 ms."""
    came = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        came.set()

    async with serving(script) as server:
        asking = asyncio.ensure_future(ask(connections, server))
        await came.wait()
        asking.cancel()
        await server.until_open(0, within_s=0.1)
        assert asking.cancelled()


async def test_leaving_at_any_moment_leaks_nothing(connections: Connections) -> None:
    """Wherever a request is when its caller leaves, connecting included, no connection is left busy."""
    async with serving(always_ok) as server:
        for step in range(60):
            asking = asyncio.ensure_future(ask(connections, server))
            for _ in range(step % 12):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        idle = len(connections._idle[server.origin])
        await server.until_open(idle)
        assert await ask(connections, server) == b"ok"
        connections.close()
        await server.until_open(0)
        assert not connections._all


async def test_an_answer_that_never_comes(connections: Connections) -> None:
    """The limit ends it, and the connection with it."""

    async def script(peer: Peer) -> None:
        await peer.request()

    async with serving(script) as server:
        failed = await failure_of(send(connections, server.origin, limit_s=0.05))
        assert failed == (FailureKind.TIMEOUT, "no answer within 0.05 s")
        await server.until_open(0)


async def test_closing_leaves_no_connection(connections: Connections) -> None:
    """Idle, waiting and streaming: all go at once."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send([OK, b"", CHUNKED][peer.number])

    async with serving(script) as server:
        await ask(connections, server)
        first = connections._idle[server.origin].popitem()  # so that the others take their own
        waiting = asyncio.ensure_future(ask(connections, server))
        await asyncio.sleep(0.02)
        stream = await send(connections, server.origin)
        ends: list[SendFailed | None] = []
        stream.relay(lambda _data: None, ends.append, idle_s=5)
        assert first
        connections.close()
        await server.until_open(0)
        assert (await failure_of(waiting))[0] is FailureKind.RESET
        assert [end.failure.kind for end in ends if end] == [FailureKind.TRUNCATED]
        assert not connections._all
        assert (await failure_of(ask(connections, server)))[0] is FailureKind.CONNECT
        await server.until_open(0)


async def test_a_large_request_to_a_slow_upstream(connections: Connections) -> None:
    """32 MB go through whole, though the other side takes its time."""
    body = bytes(range(256)) * (1 << 17)
    head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def script(peer: Peer) -> None:
        await asyncio.sleep(0.05)
        assert await peer.request() == head + body
        await peer.send(OK)

    async with serving(script) as server:
        response = await connections.send(server.origin, head, body, connect_s=2, limit_s=10)
        assert await response.whole(100) == b"ok"


@pytest.mark.parametrize("then", ["nothing", "half-close", "close"])
async def test_an_answer_that_does_not_wait_for_the_request(connections: Connections, then: str) -> None:
    """Its connection is not kept: the rest of the request would come before the next one."""

    async def script(peer: Peer) -> None:
        if peer.number:
            await always_ok(peer)
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        if then == "half-close":
            peer.stop_sending()
        elif then == "close":
            peer.close()
        await asyncio.sleep(0.2)

    async with serving(script) as server:
        response = await connections.send(
            server.origin, b"POST / HTTP/1.1\r\n\r\n", bytes(1 << 25), connect_s=2, limit_s=5
        )
        assert (response.status, await response.whole(100)) == (413, b"no")
        assert await ask(connections, server) == b"ok"
        assert len(server.peers) == 2


async def test_a_server_that_stops_talking_while_we_still_send(connections: Connections) -> None:
    """Its end is noticed at once, although the request can never be written to the end."""

    async def script(peer: Peer) -> None:
        peer.stop_sending()
        await asyncio.sleep(4)

    async with serving(script) as server:
        sending = connections.send(
            server.origin, b"POST / HTTP/1.1\r\n\r\n", bytes(1 << 25), connect_s=2, limit_s=5
        )
        async with asyncio.timeout(3):
            assert (await failure_of(sending))[0] is FailureKind.RESET
