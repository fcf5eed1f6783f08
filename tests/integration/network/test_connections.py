"""Our own connections by a proxy, in event loops (asyncio, uvloop) and in threads."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.dispatch.raw_server import Peer, RawServer, serving
from tests.integration.network.proxy_server import PASSWORD, Behaviour, ProxyServer, proxy_server

from smalt.dispatch.blocking import BlockingConnections
from smalt.dispatch.connections import Connections
from smalt.dispatch.proxy import NOT_LET_IN, Proxy
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import FailureKind

pytestmark = pytest.mark.security

TLS = Path(__file__).parents[1] / "dispatch" / "tls"
KEY = b"k3y-of-the-resource"
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\napi-key: " + KEY + b"\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Ask = Callable[..., Awaitable[bytes]]


async def always_ok(peer: Peer) -> None:
    while await peer.request():
        await peer.send(OK)


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    with proxy_server(password=True) as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    async with serving(always_ok, context) as server:
        yield server


@pytest.fixture(params=["loop", "thread"])
async def ask(request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    """Send one request to an origin, and give the body of the answer."""
    if request.param == "loop":
        connections = Connections()

        async def in_loop(origin: Origin, connect_s: float = 2) -> bytes:
            response = await connections.send(origin, REQUEST, b"", connect_s=connect_s, limit_s=5)
            return await response.whole(100) or b""

        yield in_loop
        connections.close()
        await asyncio.sleep(0.01)
    else:
        blocking = BlockingConnections()

        def in_thread(origin: Origin, connect_s: float) -> bytes:
            return blocking.send(origin, REQUEST, b"", connect_s=connect_s, limit_s=5).whole()

        async def from_thread(origin: Origin, connect_s: float = 2) -> bytes:
            return await asyncio.to_thread(in_thread, origin, connect_s)

        yield from_thread
        blocking.close()


def by(proxy: ProxyServer, upstream: RawServer, url: str = "") -> Origin:
    pem = (TLS / "cert.pem").read_text()
    return upstream.origin._replace(proxy=Proxy.of(url or proxy.url), ca_pem=pem)


async def failure_of(sending: Awaitable[bytes]) -> tuple[FailureKind, str]:
    with pytest.raises(SendFailed) as caught:
        await sending
    return caught.value.failure.kind, caught.value.failure.text


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  it is counted in another thread
            await asyncio.sleep(0.01)


async def test_a_tunnel_is_kept(ask: Ask, proxy: ProxyServer, upstream: RawServer) -> None:
    """Three requests go by one tunnel and one TLS handshake."""
    for _ in range(3):
        assert await ask(by(proxy, upstream)) == b"ok"
    assert proxy.lines == [f"CONNECT 127.0.0.1:{upstream.origin.port} HTTP/1.1"]
    assert len(upstream.peers) == 1


async def test_the_proxy_sees_no_credential(ask: Ask, proxy: ProxyServer, upstream: RawServer) -> None:
    """Neither in its own request nor in the tunnel."""
    await ask(by(proxy, upstream))
    (head,) = proxy.heads
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:] if line]
    assert names == [b"host", b"proxy-authorization"]
    assert KEY not in proxy.wire
    assert len(proxy.wire) > len(head) + len(REQUEST)


async def test_each_way_has_connections_of_its_own(ask: Ask, proxy: ProxyServer, upstream: RawServer) -> None:
    """What goes straight takes no tunnel, and the other way round."""
    straight = by(proxy, upstream)._replace(proxy=None)
    for origin in (straight, by(proxy, upstream), straight, by(proxy, upstream)):
        assert await ask(origin) == b"ok"
    assert (len(upstream.peers), len(proxy.lines)) == (2, 1)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("forbid", "the proxy refuses it: 403 Forbidden"),
        ("fail", "the proxy refuses it: 502 Bad Gateway"),
        ("babble", "the proxy's answer is not HTTP"),
        ("die", "the proxy closed the connection"),
    ],
)
async def test_a_tunnel_that_is_refused(
    behaviour: Behaviour, reason: str, ask: Ask, proxy: ProxyServer, upstream: RawServer
) -> None:
    """Nothing was sent, and the text says that it was the proxy, and which."""
    proxy.behaviour = behaviour
    where = f"127.0.0.1:{upstream.origin.port} by the proxy 127.0.0.1:{proxy.port}"
    told = await failure_of(ask(by(proxy, upstream)))
    assert told == (FailureKind.CONNECT, f"cannot connect to {where}: {reason}")
    assert upstream.peers == []
    await until(lambda: proxy.open == 0)


@pytest.mark.parametrize("user", ["", "me:wrong@"])
async def test_a_proxy_that_wants_another_password(
    user: str, ask: Ask, proxy: ProxyServer, upstream: RawServer
) -> None:
    """The text says so, and shows neither."""
    origin = by(proxy, upstream, f"http://{user}127.0.0.1:{proxy.port}")
    kind, text = await failure_of(ask(origin))
    assert (kind, text.endswith(NOT_LET_IN)) == (FailureKind.CONNECT, True)
    assert "wrong" not in text
    assert PASSWORD not in text


@pytest.mark.parametrize("behaviour", ["hang", "hang_in_handshake"])
async def test_a_proxy_that_is_silent(
    behaviour: Behaviour, ask: Ask, proxy: ProxyServer, upstream: RawServer
) -> None:
    """Proxy and TLS together take no longer than connecting may."""
    proxy.behaviour = behaviour
    kind, text = await failure_of(ask(by(proxy, upstream), 0.2))
    assert (kind, text.endswith("took longer than 0.2 s")) == (FailureKind.CONNECT, True)
    await until(lambda: proxy.open == 0)


async def test_a_proxy_that_dies_in_the_handshake(ask: Ask, proxy: ProxyServer, upstream: RawServer) -> None:
    """That was still before anything was sent."""
    proxy.behaviour = "die_in_handshake"
    kind, text = await failure_of(ask(by(proxy, upstream)))
    assert (kind, "by the proxy" in text) == (FailureKind.CONNECT, True)
    proxy.behaviour = "serve"
    assert await ask(by(proxy, upstream)) == b"ok"


async def test_nobody_listens_where_the_proxy_should(ask: Ask, upstream: RawServer) -> None:
    """The text names the proxy."""
    with proxy_server() as gone:
        pass
    told = await failure_of(ask(by(gone, upstream)))
    where = f"127.0.0.1:{upstream.origin.port} by the proxy 127.0.0.1:{gone.port}"
    assert told == (FailureKind.CONNECT, f"cannot connect to {where}: Connection refused")


async def test_a_certificate_nobody_vouches_for(ask: Ask, proxy: ProxyServer, upstream: RawServer) -> None:
    """A tunnel is no reason to trust who is at its end."""
    kind, text = await failure_of(ask(by(proxy, upstream)._replace(ca_pem="")))
    assert (kind, "certificate verify failed" in text) == (FailureKind.CONNECT, True)
    assert KEY not in proxy.wire


async def test_certificates_are_trusted_besides_the_usual_ones(ask: Ask, upstream: RawServer) -> None:
    """Without a proxy, too; and only where they are named."""
    named = by(ProxyServer({}, password=False), upstream)._replace(proxy=None)
    assert await ask(named) == b"ok"
    kind, _ = await failure_of(ask(named._replace(ca_pem="")))
    assert kind is FailureKind.CONNECT


async def test_http_goes_by_the_whole_url(ask: Ask, proxy: ProxyServer) -> None:
    """Without a tunnel: the proxy reads the request, and its own refusal is no answer of the upstream."""
    async with serving(always_ok) as plain:
        origin = plain.origin._replace(proxy=Proxy.of(proxy.url))
        kind, text = await failure_of(ask(origin))
        assert (kind, text.endswith(NOT_LET_IN)) == (FailureKind.CONNECT, True)
        assert plain.peers == []


@pytest.mark.parametrize("behaviour", ["hang", "hang_in_handshake"])
async def test_leaving_while_a_tunnel_is_made(
    behaviour: Behaviour, proxy: ProxyServer, upstream: RawServer
) -> None:
    """A caller who leaves then leaves no connection behind."""
    proxy.behaviour = behaviour
    connections = Connections()
    sending = asyncio.ensure_future(
        connections.send(by(proxy, upstream), REQUEST, b"", connect_s=5, limit_s=5)
    )
    await until(lambda: len(proxy.heads) == 1 and (behaviour == "hang" or proxy.wire != proxy.heads[0]))
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await until(lambda: proxy.open == 0)
    assert not connections._all
