import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.dispatch.fakes import OK, ORIGIN, FakeTransport, failure_of

from smalt.dispatch.connection import IDLE_S
from smalt.dispatch.connections import Connections, Wire
from smalt.dispatch.target import Origin
from smalt.types import FailureKind


async def until(true: Callable[[], bool]) -> None:
    for _ in range(100):
        if true():
            return
        await asyncio.sleep(0)
    pytest.fail("it did not come about")


class Net:
    """Makes `create_connection` of the running loop give fake transports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[Wire, FakeTransport]] = []
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.spoil: Callable[[Wire, FakeTransport], None] = lambda _connection, _transport: None
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", self._create)

    async def _create(
        self, factory: Callable[[], Wire], host: str, port: int, **options: Any
    ) -> tuple[FakeTransport, Wire]:
        self.asked.append({"host": host, "port": port, **options})
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        connection, transport = factory(), FakeTransport()
        connection.connection_made(transport)
        self.made.append((connection, transport))
        self.spoil(connection, transport)
        return transport, connection

    async def answer(self, number: int, data: bytes = OK) -> None:
        await until(lambda: len(self.made) > number and bool(self.made[number][1].written))
        self.made[number][1].written = b""
        self.made[number][0].data_received(data)


@pytest.fixture
async def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    return Net(monkeypatch)


@pytest.fixture
async def connections() -> Connections:
    return Connections()


async def ask(connections: Connections, origin: Origin = ORIGIN) -> bytes | None:
    response = await connections.send(origin, b"HEAD", b"", connect_s=1, limit_s=60)
    return await response.whole(100)


async def test_a_kept_connection_is_used_again(net: Net, connections: Connections) -> None:
    """The second request needs no second connection; another origin does."""
    for _ in range(2):
        _, body = await asyncio.gather(net.answer(0), ask(connections))
        assert body == b"ok"
    assert len(net.made) == 1
    await asyncio.gather(net.answer(1), ask(connections, Origin("127.0.0.1", 81, tls=False)))
    assert len(net.made) == 2


async def test_a_busy_connection_is_not_shared(net: Net, connections: Connections) -> None:
    """Two requests at once take two connections."""
    asking = [asyncio.ensure_future(ask(connections)) for _ in range(2)]
    await net.answer(0)
    await net.answer(1)
    assert await asyncio.gather(*asking) == [b"ok", b"ok"]
    assert len(net.made) == 2


@pytest.mark.parametrize("how", ["aged", "closing"])
async def test_a_dead_connection_is_not_used_again(net: Net, connections: Connections, how: str) -> None:
    """Connections that stood idle too long or are closing are passed over."""
    await asyncio.gather(net.answer(0), ask(connections))
    connection, transport = net.made[0]
    if how == "aged":
        connection.idle_since_s -= IDLE_S
    else:
        transport.closing = True
    await asyncio.gather(net.answer(1), ask(connections))
    assert transport.closing
    assert len(net.made) == 2


async def test_what_nobody_asks_any_more_is_closed(net: Net, connections: Connections) -> None:
    """Kept connections to origins that settings have dropped, as soon as another one is made."""
    await asyncio.gather(net.answer(0), ask(connections))
    net.made[0][0].idle_since_s -= IDLE_S
    await asyncio.gather(net.answer(1), ask(connections, Origin("127.0.0.1", 81, tls=False)))
    assert net.made[0][1].closing


async def test_connections_that_are_no_longer_needed_are_closed(net: Net, connections: Connections) -> None:
    """After a burst the surplus ones grow old at the bottom and go, one per request."""
    asking = [asyncio.ensure_future(ask(connections)) for _ in range(3)]
    for number in range(3):
        await net.answer(number)
    await asyncio.gather(*asking)
    for connection, _ in net.made[:2]:
        connection.idle_since_s -= IDLE_S
    await asyncio.gather(net.answer(2), ask(connections))
    assert [transport.closing for _, transport in net.made] == [True, False, False]
    net.made[0][0].connection_lost(None)
    await asyncio.gather(net.answer(2), ask(connections))
    assert [transport.closing for _, transport in net.made] == [True, True, False]


async def test_a_limit_of_idle_connections(net: Net) -> None:
    """Of all origins together the one that has been idle longest goes."""
    connections = Connections(most_idle=2)
    origins = [Origin("127.0.0.1", 80 + number, tls=False) for number in range(3)]
    for number, origin in enumerate(origins):
        await asyncio.gather(net.answer(number), ask(connections, origin))
        net.made[number][0].idle_since_s += number  # the clock may stand still meanwhile
    assert [transport.closing for _, transport in net.made] == [True, False, False]


async def test_origins_without_connections_are_forgotten(net: Net, connections: Connections) -> None:
    """There is no end to them where callers name them."""
    origins = [Origin("127.0.0.1", 80 + number, tls=False) for number in range(3)]
    for number, origin in enumerate(origins):
        await asyncio.gather(net.answer(number), ask(connections, origin))
        net.made[number][0].connection_lost(None)
    assert list(connections._idle) == origins[-1:]


async def test_a_lost_connection_is_forgotten(net: Net, connections: Connections) -> None:
    """Nothing of it stays behind, idle or not."""
    await asyncio.gather(net.answer(0), ask(connections))
    net.made[0][0].connection_lost(None)
    assert not connections._all
    assert not connections._idle[ORIGIN]


async def test_leaving_while_waiting_kills_the_connection(net: Net, connections: Connections) -> None:
    """Cancelling the request drops it upstream."""
    asking = asyncio.ensure_future(ask(connections))
    await until(lambda: bool(net.made))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert net.made[0][1].closing


async def test_leaving_too_late_spares_the_next_request(net: Net, connections: Connections) -> None:
    """A caller who leaves as its answer ends must not take along who already uses the connection."""
    first = asyncio.ensure_future(ask(connections))
    await net.answer(0)  # the answer is there, `first` has not run yet
    second = asyncio.ensure_future(ask(connections))
    first.cancel()
    await net.answer(0)
    assert await second == b"ok"
    assert first.cancelled() or first.done()
    assert not net.made[0][1].closing
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("how", ["lost", "closing"])
async def test_a_connection_that_dies_at_once_was_not_made(
    net: Net, connections: Connections, how: str
) -> None:
    """Closed before the request could be written: not sent, and nothing is left of it."""
    if how == "lost":
        net.spoil = lambda connection, _transport: connection.connection_lost(None)
    else:
        net.spoil = lambda _connection, transport: transport.abort()
    kind, text = await failure_of(ask(connections))
    assert (kind, text) == (
        FailureKind.CONNECT,
        "cannot connect to 127.0.0.1:80: the connection was closed at once",
    )
    assert not connections._all


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 80)"), "Connection refused"),
        (OSError(113, "Connect call failed"), "No route to host"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "certificate verify failed"), "certificate verify failed"),
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions: a, b"),
        (ConnectionResetError(), "ConnectionResetError"),
        (UnicodeError("label empty or too long"), "label empty or too long"),
    ],
)
async def test_why_a_connection_failed_is_said(
    net: Net, connections: Connections, error: Exception, text: str
) -> None:
    """Every failure to connect is a CONNECT with the system's words."""
    net.error = error
    failed = await failure_of(ask(connections))
    assert failed == (FailureKind.CONNECT, f"cannot connect to 127.0.0.1:80: {text}")


async def test_connecting_too_long(net: Net, connections: Connections) -> None:
    """The time for connecting has its own limit."""
    net.error = TimeoutError()
    failed = await failure_of(ask(connections))
    assert failed == (FailureKind.CONNECT, "connecting to 127.0.0.1:80 took longer than 1 s")


async def test_closing_drops_everything_and_stays_closed(net: Net, connections: Connections) -> None:
    """Idle and busy connections go, and a retry makes no new one."""
    await asyncio.gather(net.answer(0), ask(connections))
    busy = asyncio.ensure_future(ask(connections))
    other = asyncio.ensure_future(ask(connections))
    await until(lambda: len(net.made) == 2 and bool(net.made[1][1].written))
    connections.close()
    assert all(transport.closing for _, transport in net.made)
    for connection, _ in net.made:
        connection.connection_lost(None)
    assert [(await failure_of(task))[0] for task in (busy, other)] == [FailureKind.STALE, FailureKind.RESET]
    kind, text = await failure_of(ask(connections))
    assert (kind, "shutting down" in text) == (FailureKind.CONNECT, True)
    assert net.made[-1][1].closing


async def test_tls_uses_the_systems_trust_unless_told_otherwise(
    net: Net,
) -> None:
    """Certificates are checked against the host's name, by a context made once."""
    made: list[ssl.SSLContext] = []

    def create() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        return made[-1]

    net.error = ConnectionRefusedError(111, "refused")
    own, other = Connections(create), Connections()
    secure = Origin("east.example", 443, tls=True)
    for connections in (own, own, other):
        await failure_of(ask(connections, secure))
    await failure_of(ask(own))
    assert [asked["ssl"] for asked in net.asked] == [made[0], made[0], other._tls[""], None]
    assert [asked["server_hostname"] for asked in net.asked] == ["east.example"] * 3 + [None]
    assert made[0].check_hostname
