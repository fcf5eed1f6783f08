"""What stands in for the world in these tests: a transport, a clock, calls on two upstreams."""

import asyncio
import heapq
import itertools
import selectors
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from smalt.core.engine import Engine
from smalt.core.settings import BreakerSpec, EngineSettings, PoolSpec, RetrySpec, RouteSpec, UpstreamSpec
from smalt.dispatch import dispatcher as dispatcher_module
from smalt.dispatch import run as run_module
from smalt.dispatch.connection import Connection
from smalt.dispatch.connections import Response, Wire
from smalt.dispatch.dispatcher import Dispatcher, OpenCall, Sink
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.types import CallRecord, Facts, FailureKind, Notice, Operation

OK = b"HTTP/1.1 200 OK\r\nX-Region: East\r\ncontent-length: 2\r\n\r\nok"
ORIGIN = Origin("127.0.0.1", 80, tls=False)


async def failure_of(wait: Awaitable[object]) -> tuple[FailureKind, str]:
    with pytest.raises(SendFailed) as caught:
        await wait
    return caught.value.failure.kind, caught.value.failure.text


class FakeTransport(asyncio.Transport):
    """Records what is asked of it. `abort` only marks it as closing: asyncio tells the protocol later."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closing = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        assert not self.closing, "a write after the end"
        self.written += data

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Clock:
    """Stands in for an event loop's clock and timers; moves only when told."""

    def __init__(self) -> None:
        self.now = 100.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> "Timer":
        return self.call_at(self.now + delay_s, callback, *args)

    def call_at(self, when: float, callback: Callable[..., None], *args: object) -> "Timer":
        timer = Timer(callback, args)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def create_future(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()

    def move(self, seconds: float) -> None:
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self.now, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.callback(*timer.args)
        self.now = until

    @property
    def pending(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._timers)


class Timer:
    def __init__(self, callback: Callable[..., None], args: Sequence[object]) -> None:
        self.callback, self.args, self.cancelled = callback, args, False

    def cancel(self) -> None:
        self.cancelled = True


class Wired:
    """A connection on a fake transport and a clock. `idle`: how often it was put back."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.idle: list[Wire] = []
        self.forgotten: list[Wire] = []
        self.connection = Connection(
            ORIGIN,
            partial(Response, self.clock),  # type: ignore[arg-type]
            lambda c, _now: self.idle.append(c),
            self.forgotten.append,
        )
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)

    def reads(self) -> bool:
        return self.transport.reading

    def request(self) -> Response:
        return self.connection.request(b"HEAD", b"BODY")

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    def lose(self, error: Exception | None = None, *, eof: bool = False) -> None:
        if eof:
            self.connection.eof_received()
        self.transport.closing = True
        self.connection.connection_lost(error)


class Taker:
    """Takes a relayed body and notes how it ended."""

    def __init__(self, response: Response, *, idle_s: float = 10.0) -> None:
        self.chunks: list[bytes] = []
        self.ends: list[SendFailed | None] = []
        response.relay(self.chunks.append, self.ends.append, idle_s=idle_s)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def make_engine(
    *tiers: str,
    retry: RetrySpec | None = None,
    breaker: BreakerSpec | None = None,
    max_waiting: int = 1_000,
    **upstream: Any,
) -> Engine:
    """Each tier as `east/a west/a`, all of the model gpt-4o. `upstream`: further settings of each."""
    pool = PoolSpec(tuple(tuple(tier.split()) for tier in tiers or ("east/a west/a",)))
    specs = {
        name: UpstreamSpec(name, "gpt-4o", region="eastus", **upstream)
        for tier in pool.tiers
        for name in tier
    }
    routes = {"gpt-4o": RouteSpec("gpt-4o", (pool,))}
    return Engine(
        EngineSettings(
            specs,
            routes,
            retry=retry or RetrySpec(),
            breaker=breaker or BreakerSpec(),
            max_waiting=max_waiting,
        )
    )


def make_facts(*, stream: bool = False, asks_usage: bool = False) -> Facts:
    return Facts(Operation.CHAT, "gpt-4o", stream=stream, prompt_bytes=332, asks_usage=asks_usage)


class Office:
    """A dispatcher whose records and notices are kept."""

    def __init__(self, engine: Engine | None = None, *sinks: Sink) -> None:
        self.records: list[CallRecord] = []
        self.notices: list[Notice] = []
        self.dispatcher = Dispatcher(
            engine or make_engine(), (self.records.append, *sinks), (self.notices.append,)
        )

    def open(self, facts: Facts | None = None, *, total_s: float = 600.0, caller: str = "") -> OpenCall:
        return self.dispatcher.open(facts or make_facts(), "id-1", total_s=total_s, caller=caller)

    def answered(self, facts: Facts | None = None) -> OpenCall:
        """A call whose first attempt was answered."""
        call = self.open(facts)
        call.next()
        call.record(None)
        call.next()
        return call

    @property
    def in_flight(self) -> int:
        return sum(status.in_flight for status in self.dispatcher.status())

    @property
    def waiting(self) -> int:
        """Places in the line, of each upstream that is waited for."""
        return sum(status.waiting for status in self.dispatcher.status())


class Time:
    """Stands in for the clock of both loops. Whoever would wait only moves it; but first `meanwhile` is
    played, one event for each wait, which then takes no time. `waited`: seconds, wait by wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.waited: list[float] = []
        self.meanwhile: list[Callable[[], object]] = []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(dispatcher_module, "time", clock)
        monkeypatch.setattr(run_module, "time", clock)
        monkeypatch.setattr(run_module, "threading", SimpleNamespace(Event=lambda: _Event(self)))

    def wait(self, seconds: float) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        else:
            self.waited.append(seconds)
            self.now += seconds

    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop in this time."""
        loop = asyncio.SelectorEventLoop(_Selector(self))
        loop.time = lambda: self.now  # type: ignore[method-assign]
        return loop


class _Event(threading.Event):
    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._time.wait(timeout)
        return self.is_set()


class _Selector(selectors.SelectSelector):
    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self._time.wait(timeout)
        return super().select(0)
