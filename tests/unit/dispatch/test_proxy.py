"""Proxies, and what is said to them."""

import asyncio
import gc
import pickle
import socket
import time

import pytest
from tests.unit.dispatch.fakes import FakeTransport

from smalt.dispatch.proxy import LARGEST_ANSWER, NOT_LET_IN, Proxy, Tunnel, Tunnelling, open_tunnel
from smalt.dispatch.target import Origin

pytestmark = pytest.mark.security

ORIGIN = Origin("east.example", 443, tls=True)
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def tunnel(url: str = "http://p:3128", origin: Origin = ORIGIN) -> Tunnel:
    return Tunnel(origin, Proxy.of(url))


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p:3128", Proxy("p", 3128)),
        ("http://p", Proxy("p", 80)),
        ("http://[::1]:3128/", Proxy("::1", 3128)),
        ("http://me:p%40ss@p:1", Proxy("p", 1, "Basic bWU6cEBzcw==")),
        ("http://me@p:1", Proxy("p", 1, "Basic bWU6")),
    ],
)
def test_a_proxy_of_a_url(url: str, proxy: Proxy) -> None:
    """What is escaped in user and password is sent as it was meant."""
    assert Proxy.of(url) == proxy


def test_a_proxy_shows_no_credentials() -> None:
    """Nor do they leave the process."""
    proxy = Proxy.of("http://me:hush@p:1")
    assert repr(proxy) == "Proxy(host='p', port=1)"
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(proxy)


def test_what_a_proxy_is_told() -> None:
    """Where to, and who asks: nothing else."""
    assert tunnel().request == b"CONNECT east.example:443 HTTP/1.1\r\nhost: east.example:443\r\n\r\n"
    assert tunnel("http://me@p", Origin("::1", 8443, tls=True)).request == (
        b"CONNECT [::1]:8443 HTTP/1.1\r\nhost: [::1]:8443\r\nproxy-authorization: Basic bWU6\r\n\r\n"
    )


@pytest.mark.parametrize(
    "answer", [OPEN, b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n", b"HTTP/1.1 204\r\n\r\n", b"HTTP/1.1 200 OK\n\n"]
)
def test_an_open_tunnel(answer: bytes) -> None:
    """Any 2xx, in whatever pieces it comes."""
    assert tunnel().receive(answer)
    slow = tunnel()
    assert [slow.receive(answer[i : i + 1]) for i in range(len(answer))] == [False] * (len(answer) - 1) + [
        True
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", NOT_LET_IN),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nwhy", "the proxy refuses it: 403 Forbidden"),
        (b"HTTP/1.1 502\r\n\r\n", "the proxy refuses it: 502"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://login\r\n\r\n", "the proxy refuses it: 302 Found"),
        (b"HTTP/1.1 403 \x1b[31m\r\n\r\n", "the proxy's answer is not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the proxy's answer is not HTTP"),
        (OPEN + b"x", "the proxy sent something of its own into the tunnel"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * LARGEST_ANSWER, "the proxy's answer is too large"),
        (b"", "the proxy closed the connection"),
    ],
)
def test_a_tunnel_that_does_not_open(answer: bytes, reason: str) -> None:
    """The reason says that it was the proxy, and what it said."""
    with pytest.raises(ConnectionError) as caught:
        tunnel().receive(answer)
    assert str(caught.value) == reason


def test_a_tunnel_by_a_blocking_socket() -> None:
    """Who reads on has the rest of the time."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(OPEN)
        open_tunnel(ours, tunnel(), time.monotonic() + 60)
        assert theirs.recv(1_000) == tunnel().request
        assert 0 < (ours.gettimeout() or 0) <= 60


def test_a_proxy_that_gives_its_answer_by_drops() -> None:
    """Each comes in time for the socket, but the deadline is that of the whole."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.sendall(OPEN[:9])
        with pytest.raises(TimeoutError):
            open_tunnel(ours, tunnel(), time.monotonic())


async def test_a_tunnel_of_an_event_loop() -> None:
    """It asks when it is connected; what comes once it has opened, or failed, is none of its business."""
    transport = FakeTransport()
    opened = asyncio.get_running_loop().create_future()
    tunnelling = Tunnelling(tunnel(), opened)
    tunnelling.connection_made(transport)
    assert transport.written.startswith(b"CONNECT east.example:443")
    tunnelling.data_received(OPEN[:9])
    assert not opened.done()
    tunnelling.data_received(OPEN[9:])
    await opened
    tunnelling.connection_lost(None)


async def test_a_proxy_that_leaves() -> None:
    """Whoever waits learns it."""
    tunnelling = Tunnelling(tunnel(), asyncio.get_running_loop().create_future())
    tunnelling.connection_lost(None)
    with pytest.raises(ConnectionError, match="closed the connection"):
        await tunnelling.opened


async def test_nobody_waits_any_more() -> None:
    """Cancelled while the tunnel was opened: nothing is logged when the proxy leaves."""
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    Tunnelling(tunnel(), loop.create_future()).connection_lost(None)
    gc.collect()
    assert told == []
