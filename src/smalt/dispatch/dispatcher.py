"""Puts a lock, a clock and records around the engine, the same for every door."""

import random
import threading
import time
from collections.abc import Callable, Sequence

from smalt.core.call import Call, Fail, Relay, Step
from smalt.core.engine import Engine
from smalt.core.settings import UpstreamSpec
from smalt.core.upstream import UpstreamStatus
from smalt.types import AttemptRecord, CallRecord, Facts, Failure, Usage
from smalt.wire.prices import price_of

Sink = Callable[[CallRecord], None]


class Dispatcher:
    """Opens calls. Safe for threads and event loops: one lock around every engine and call method, and
    under it no I/O, no log, no await. `sinks` are told each ended call, outside the lock; they must return
    quickly and not raise.
    """

    def __init__(self, engine: Engine, sinks: Sequence[Sink] = ()) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._sinks = tuple(sinks)

    def open(self, facts: Facts, request_id: str, *, total_s: float) -> "OpenCall":
        """A call that may wait up to `total_s` seconds. Raises ModelNotAvailableError."""
        now = time.monotonic()
        unit = random.random()  # noqa: S311, TID251  this is the edge that supplies the jitter
        with self._lock:
            call = self._engine.open_call(facts, unit=unit, deadline_s=now + total_s)
        return OpenCall(self, call, request_id, now)

    @property
    def models(self) -> tuple[str, ...]:
        return self._engine.models

    def spec(self, upstream: str) -> UpstreamSpec:
        return self._engine.spec(upstream)

    def status(self) -> tuple[UpstreamStatus, ...]:
        with self._lock:
            return self._engine.status(time.monotonic())

    def unavailable_models(self) -> tuple[str, ...]:
        with self._lock:
            return self._engine.unavailable_models(time.monotonic())

    @property
    def lock(self) -> threading.Lock:
        return self._lock

    def tell(self, record: CallRecord) -> None:
        for sink in self._sinks:
            sink(record)


class OpenCall:
    """A core call in progress. Ends once, by `finish`, `abandon` or a final step; later ends do nothing."""

    def __init__(self, dispatcher: Dispatcher, call: Call, request_id: str, started_s: float) -> None:
        self.request_id = request_id
        self._dispatcher = dispatcher
        self._call = call
        self._started_s = started_s
        self._ended = False

    @property
    def facts(self) -> Facts:
        return self._call.facts

    @property
    def attempts(self) -> Sequence[AttemptRecord]:
        return self._call.attempts

    @property
    def upstream(self) -> UpstreamSpec | None:
        """Who answered."""
        name = self._call.answered_by
        return self._dispatcher.spec(name) if name else None

    def next(self) -> Step:
        with self._dispatcher.lock:
            step = self._call.next(time.monotonic())
        if isinstance(step, Fail):
            self._end(None, error=step.error.code)
        elif isinstance(step, Relay) and self._failed:
            self._end(None, error=str(self._failed.kind))
        return step

    def record(self, failure: Failure | None) -> None:
        with self._dispatcher.lock:
            self._call.record(failure, time.monotonic())

    def finish(self, usage: Usage, *, estimated: bool = False, error: str | None = None) -> None:
        """The answer has ended. `error`: code of the error if it broke off."""
        with self._dispatcher.lock:
            self._call.finish()
        self._end(usage, estimated=estimated, error=error)

    def abandon(self, usage: Usage | None = None) -> None:
        """The caller left or something broke. `usage`: an estimate of what was spent until then."""
        with self._dispatcher.lock:
            self._call.abandon(time.monotonic())
        self._end(usage, estimated=usage is not None, error="abandoned")

    def cost_nusd(self, usage: Usage) -> int | None:
        """Nano-USD for `usage` on the upstream that answered; None where the price is not known."""
        spec = self.upstream
        price = price_of(spec.model, spec.sku) if spec else None
        return price.cost_nusd(usage) if price else None

    @property
    def _failed(self) -> Failure | None:
        return self.attempts[-1].failure if self.attempts else None

    def _end(self, usage: Usage | None, *, estimated: bool = False, error: str | None = None) -> None:
        with self._dispatcher.lock:  # one thread may close what another is reading
            if self._ended:
                return
            self._ended = True
        self._dispatcher.tell(
            CallRecord(
                request_id=self.request_id,
                operation=self.facts.operation,
                model=self.facts.model,
                upstream=self._call.answered_by,
                attempts=tuple(self.attempts),
                usage=usage,
                estimated=estimated,
                cost_nusd=self.cost_nusd(usage) if usage else None,
                error=error,
                duration_s=time.monotonic() - self._started_s,
            )
        )
