"""Connections with TLS. tls/ holds a key that protects nothing: it is for 127.0.0.1 in these tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.dispatch.raw_server import Peer, serving

from smalt.dispatch.connections import Connections
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

TLS = Path(__file__).parent / "tls"
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return context


def trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "cert.pem"))


@pytest.fixture
async def trusting() -> AsyncIterator[Connections]:
    pool = Connections(trusted)
    yield pool
    pool.close()
    await asyncio.sleep(0.01)


async def test_requests_over_tls(trusting: Connections) -> None:
    """Answers come, and the connection is kept."""

    async def script(peer: Peer) -> None:
        while await peer.request():
            await peer.send(OK)

    async with serving(script, server_tls()) as server:
        for _ in range(3):
            response = await trusting.send(server.origin, REQUEST, b"", connect_s=2, limit_s=5)
            assert await response.whole(100) == b"ok"
        assert len(server.peers) == 1


async def test_a_certificate_that_is_not_trusted() -> None:
    """Nothing is sent, and the text says why."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())

    pool = Connections()
    async with serving(script, server_tls()) as server:
        with pytest.raises(SendFailed, match="certificate verify failed") as caught:
            await pool.send(server.origin, REQUEST, b"", connect_s=2, limit_s=5)
        await asyncio.sleep(0.01)
    assert caught.value.failure.kind is FailureKind.CONNECT
    assert not pool._all
    assert not seen


async def test_a_certificate_of_another_host(trusting: Connections) -> None:
    """The name is checked too."""

    async def script(peer: Peer) -> None:
        await peer.request()

    async with serving(script, server_tls()) as server:
        elsewhere = Origin("localhost", server.origin.port, tls=True)
        with pytest.raises(SendFailed, match="cannot connect to localhost") as caught:
            await trusting.send(elsewhere, REQUEST, b"", connect_s=2, limit_s=5)
        await asyncio.sleep(0.01)
    assert caught.value.failure.kind is FailureKind.CONNECT


async def test_a_server_without_tls(trusting: Connections) -> None:
    """Plain HTTP where TLS is expected is a failure to connect."""

    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async with serving(script) as server:
        with pytest.raises(SendFailed, match="cannot connect") as caught:
            await trusting.send(server.origin._replace(tls=True), REQUEST, b"", connect_s=2, limit_s=5)
    assert caught.value.failure.kind is FailureKind.CONNECT


async def test_a_handshake_that_never_ends() -> None:
    """It belongs to connecting, and costs no more time than that."""

    async def script(peer: Peer) -> None:
        await peer.gone()

    pool = Connections(trusted)
    async with serving(script) as server:
        with pytest.raises(SendFailed, match=r"took longer than 0\.1 s"):
            await pool.send(server.origin._replace(tls=True), REQUEST, b"", connect_s=0.1, limit_s=5)
        await server.until_open(0)


async def test_leaving_in_the_handshake(trusting: Connections) -> None:
    """A caller who leaves while TLS is negotiated leaves no connection."""
    connected = asyncio.Event()

    async def script(peer: Peer) -> None:
        connected.set()
        await peer.gone()

    async with serving(script) as server:
        sending = asyncio.ensure_future(
            trusting.send(server.origin._replace(tls=True), REQUEST, b"", connect_s=2, limit_s=5)
        )
        await connected.wait()
        sending.cancel()
        await server.until_open(0, within_s=0.5)


async def test_leaving_in_mid_stream_over_tls(trusting: Connections) -> None:
    """The upstream sees the connection close within 100 ms, paused or not."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    async with serving(script, server_tls()) as server:
        for paused in (False, True):
            response = await trusting.send(server.origin, REQUEST, b"", connect_s=2, limit_s=5)
            taken: list[bytes] = []
            response.relay(taken.append, lambda _failed: None, idle_s=5)
            if paused:
                response.pause()
            await asyncio.sleep(0.02)
            response.close()
            await server.until_open(0, within_s=0.1)
            assert taken or paused


async def test_a_large_stream_over_tls_with_a_slow_caller(trusting: Connections) -> None:
    """Pausing and resuming over and over loses no byte."""
    body = b"".join(b"%07d " % number for number in range(200_000))

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body)

    async with serving(script, server_tls()) as server:
        for _ in range(2):
            response = await trusting.send(server.origin, REQUEST, b"", connect_s=2, limit_s=5)
            loop, parts = asyncio.get_running_loop(), list[bytes]()
            ended: asyncio.Future[SendFailed | None] = loop.create_future()

            def take(data: bytes, parts: list[bytes] = parts, response: object = response) -> None:
                parts.append(data)
                response.pause()  # type: ignore[attr-defined]
                loop.call_soon(response.resume)  # type: ignore[attr-defined]  # noqa: B023

            response.relay(take, ended.set_result, idle_s=5)
            assert await asyncio.wait_for(ended, 5) is None
            assert b"".join(parts) == body
        assert len(server.peers) == 1


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b""])
async def test_a_connection_that_breaks_over_tls(trusting: Connections, begun: bytes) -> None:
    """Reset or truncated as without TLS."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun, every_s=0.01)
        peer.close()

    async with serving(script, server_tls()) as server:
        with pytest.raises(SendFailed) as caught:
            await (await trusting.send(server.origin, REQUEST, b"", connect_s=2, limit_s=5)).whole(100)
    assert caught.value.failure.kind is (FailureKind.TRUNCATED if begun else FailureKind.RESET)
