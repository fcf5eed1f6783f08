"""Connections for threads against a server that keeps, breaks and lags, byte by byte."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.integration.dispatch.raw_server import Peer, RawServer, serving

from smalt.dispatch.blocking import BlockingConnections, BlockingResponse
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

TLS = Path(__file__).parent / "tls"
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def connections() -> Iterator[BlockingConnections]:
    made = BlockingConnections()
    yield made
    made.close()


def send(
    connections: BlockingConnections, origin: Origin, body: bytes = b"BODY", *, connect_s: float = 2
) -> BlockingResponse:
    return connections.send(origin, REQUEST, body, connect_s=connect_s, limit_s=5)


async def ask(connections: BlockingConnections, server: RawServer, body: bytes = b"BODY") -> bytes:
    return await asyncio.to_thread(lambda: send(connections, server.origin, body).whole())


def failure(connections: BlockingConnections, origin: Origin, **more: float) -> tuple[FailureKind, str]:
    with pytest.raises(SendFailed) as caught:
        send(connections, origin, **more)  # type: ignore[arg-type]
    return caught.value.failure.kind, caught.value.failure.text


async def always_ok(peer: Peer) -> None:
    while await peer.request():
        await peer.send(OK)


async def echo(peer: Peer) -> None:
    while request := await peer.request():
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", request[-4:])


async def test_connections_are_kept_and_used_again(connections: BlockingConnections) -> None:
    """Twenty requests one after the other come over one connection."""
    async with serving(always_ok) as server:
        for _ in range(20):
            assert await ask(connections, server) == b"ok"
        assert len(server.peers) == 1


async def test_many_threads_at_once(connections: BlockingConnections) -> None:
    """Each gets its own answer, over no more connections than there are threads."""
    loop = asyncio.get_running_loop()
    async with serving(echo) as server:
        with ThreadPoolExecutor(16) as threads:
            bodies = [b"%04d" % number for number in range(400)]
            asked = (partial(_whole, connections, server, body) for body in bodies)
            answers = await asyncio.gather(*(loop.run_in_executor(threads, one) for one in asked))
        assert answers == bodies
        assert len(server.peers) <= 16
        connections.close()
        await server.until_open(0)


def _whole(connections: BlockingConnections, server: RawServer, body: bytes) -> bytes:
    return send(connections, server.origin, body).whole()


async def test_a_closed_kept_connection_is_noticed_before_it_is_used(
    connections: BlockingConnections,
) -> None:
    """The next request goes over a new one."""

    async def one_answer(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        peer.close()

    async with serving(one_answer) as server:
        for _ in range(3):
            assert await ask(connections, server) == b"ok"
            await server.until_open(0)
        assert len(server.peers) == 3


async def test_a_chunked_body_with_interim_answers(connections: BlockingConnections) -> None:
    """Whatever comes before the head and in pieces."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            *(b"3\r\nabc\r\n",) * 5,
            b"0\r\n\r\n",
            every_s=0.002,
        )

    async with serving(script) as server:
        assert await ask(connections, server) == b"abc" * 5


async def test_an_answer_that_is_reset(connections: BlockingConnections) -> None:
    """Before its head."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with serving(script) as server:
        kind, _ = await asyncio.to_thread(failure, connections, server.origin)
    assert kind is FailureKind.RESET


async def test_a_request_nobody_reads_while_the_answer_is_there(connections: BlockingConnections) -> None:
    """A refusal that comes before the body was taken reaches the caller, or the break does; never a hang."""

    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        peer.close()

    async with serving(script) as server:
        sending = asyncio.to_thread(partial(send, connections, server.origin, bytes(1 << 22)))
        (answer,) = await asyncio.wait_for(asyncio.gather(sending, return_exceptions=True), 5)
    if isinstance(answer, SendFailed):
        assert answer.failure.kind is FailureKind.RESET
    else:
        assert answer.status == 413  # type: ignore[union-attr]


def test_nobody_listens(connections: BlockingConnections) -> None:
    """Told as not sent, in the system's words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        origin = Origin("127.0.0.1", closed.getsockname()[1], tls=False)
        text = f"cannot connect to 127.0.0.1:{origin.port}: Connection refused"
        assert failure(connections, origin) == (FailureKind.CONNECT, text)


def test_a_host_that_is_none(connections: BlockingConnections) -> None:
    """As not sent, too."""
    kind, text = failure(connections, Origin("no-such-host.invalid", 443, tls=False))
    assert (kind, text.startswith("cannot connect to no-such-host.invalid:443: ")) == (
        FailureKind.CONNECT,
        True,
    )
    assert failure(connections, Origin("a" * 70 + ".example", 443, tls=False))[0] is FailureKind.CONNECT


def test_connecting_is_limited(connections: BlockingConnections) -> None:
    """A host that takes no more connections costs the time for connecting, no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        origin = Origin("127.0.0.1", listener.getsockname()[1], tls=False)
        kind, text = failure(connections, origin, connect_s=0.2)
        for filler in fillers:
            filler.close()
    assert (kind, text.endswith("took longer than 0.2 s")) == (FailureKind.CONNECT, True)


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return context


def trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "cert.pem"))


async def test_tls_connections_are_kept_too() -> None:
    """Session tickets that come unasked do not pass for an answer."""
    trusting = BlockingConnections(trusted)
    async with serving(always_ok, tls_context()) as server:
        for _ in range(3):
            assert await ask(trusting, server) == b"ok"
        assert len(server.peers) == 1
        trusting.close()
        await server.until_open(0)


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def test_a_certificate_nobody_vouches_for(connections: BlockingConnections) -> None:
    """Nothing is sent."""
    async with serving(always_ok, tls_context()) as server, asyncio.timeout(5):
        before = open_files()
        kind, text = await asyncio.to_thread(failure, connections, server.origin)
        assert (kind, "certificate" in text) == (FailureKind.CONNECT, True)
        while open_files() > before:  # noqa: ASYNC110  until the server's side of the handshake has ended, too
            await asyncio.sleep(0.01)


async def test_a_handshake_that_never_ends() -> None:
    """It belongs to connecting."""

    async def silent(peer: Peer) -> None:
        await peer.gone()

    trusting = BlockingConnections(trusted)
    async with serving(silent) as server:
        origin = server.origin._replace(tls=True)
        kind, text = await asyncio.to_thread(partial(failure, trusting, origin, connect_s=0.1))
        assert (kind, text.endswith("took longer than 0.1 s")) == (FailureKind.CONNECT, True)
        await server.until_open(0)


async def test_after_closing_nothing_is_sent(connections: BlockingConnections) -> None:
    """Not even a connection is made."""
    async with serving(always_ok) as server:
        connections.close()
        kind, text = await asyncio.to_thread(failure, connections, server.origin)
        assert (kind, text.endswith("smalt is shutting down")) == (FailureKind.CONNECT, True)
        assert server.peers == []


async def test_an_early_answer_to_a_large_request(connections: BlockingConnections) -> None:
    """It is read, although not everything could be written; the connection is not used again."""

    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(0.05)
        peer.close()

    async with serving(script) as server:
        large = partial(send, connections, server.origin, bytes(1 << 24))
        response = await asyncio.wait_for(asyncio.to_thread(large), 5)
        assert response.status == 413


async def test_a_trickle_is_limited_as_a_whole(connections: BlockingConnections) -> None:
    """However often something comes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n", *(b"x",) * 400, every_s=0.01)

    async with serving(script) as server:
        response = await asyncio.to_thread(
            partial(connections.send, server.origin, REQUEST, b"BODY", connect_s=2, limit_s=0.2)
        )
        started_s = time.monotonic()
        with pytest.raises(SendFailed, match="no answer within"):
            await asyncio.to_thread(response.whole)
        assert time.monotonic() - started_s < 1


async def test_a_peer_that_reads_nothing(connections: BlockingConnections) -> None:
    """Costs the time allowed, and is told as a timeout."""

    async def script(peer: Peer) -> None:
        await asyncio.sleep(1)

    async with serving(script) as server:
        large = partial(connections.send, server.origin, REQUEST, bytes(1 << 25), connect_s=2, limit_s=0.2)
        with pytest.raises(SendFailed) as caught:
            await asyncio.to_thread(large)
        assert caught.value.failure.kind is FailureKind.TIMEOUT
