"""Puts a lock, a clock and records around the engine, the same for every door."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import msgspec
from msgspec import Struct

from smalt.core.budgets import Budgets, Hold
from smalt.core.call import NO_IDS, Fail, Relay, Send, Step, Wait
from smalt.core.decision import Decision
from smalt.core.degraded import NOTHING_DEGRADED, DegradedAnswers
from smalt.core.engine import Engine
from smalt.core.settings import UpstreamSpec
from smalt.core.upstream import UpstreamStatus
from smalt.dispatch.origins import Origins
from smalt.errors import BudgetExceeded
from smalt.exclusive import Exclusive
from smalt.redact import redacted
from smalt.types import (
    AttemptRecord,
    CallBegun,
    CallRecord,
    Facts,
    Failure,
    Fate,
    Notice,
    QuotaHints,
    TraceParent,
    Usage,
)
from smalt.wire.instructions import Variables
from smalt.wire.models import TokenPrice, model_behind, model_table
from smalt.wire.prices import price_of
from smalt.wire.profiles import NO_VARIABLES, Profiles

ResultT = TypeVar("ResultT")
Sink = Callable[[CallRecord], None]
BeginSink = Callable[[CallBegun], None]
NoticeSink = Callable[[Notice], None]
NO_PROFILES = Profiles()
UPSTREAM_IDS = frozenset({b"apim-request-id", b"x-request-id"})  # support asks for the first
_MAY_BE_BILLED = frozenset({Fate.BILLED, Fate.UNKNOWN})


def wall_clock() -> datetime:
    """For the periods of budgets, and for records."""
    return datetime.now(UTC)


def new_id() -> str:
    """An id for a request, in the form of a UUID: unique, not secret, at a tenth of the cost of uuid4."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Circumstances(Struct, frozen=True):
    """What a call's record says besides the call: `tags`, `session` and `trace` of the caller, `rewrites`
    made before the request came. `sinks`: told of this call alone. `on_wait`: told of a failed attempt and
    the seconds of the wait that follows it. `variables`: of an agent's instructions."""

    tags: tuple[str, ...] = ()
    session: str | None = None
    trace: TraceParent | None = None
    rewrites: tuple[str, ...] = ()
    sinks: tuple[Sink, ...] = ()
    on_wait: Callable[[AttemptRecord, float], None] | None = None
    variables: Variables = NO_VARIABLES

    def tell(self, record: CallRecord) -> None:
        for sink in self.sinks:
            sink(record)


NO_CIRCUMSTANCES = Circumstances()


class CallStopped(Exception):
    """A call that somebody stopped goes on no more: an event between who stopped it and who drives it, never
    shown."""


class Dispatcher:
    """Opens calls. Safe for threads and event loops: one lock around every engine and call method, and
    under it no I/O, no log, no await. `sinks` are told each ended call, `notice_sinks` what happens to
    upstreams, `begin_sinks` each call that begins, outside the lock; they must return quickly and not raise.
    `own_prices`: by model, in place of
    the list prices. `before`: the dispatcher this one replaces, whose engine has the same registry.
    `budgets`: None if there are none. `profiles`: what doors add to the facts of requests. `degraded`: what
    they answer when nobody can serve.
    """

    def __init__(  # noqa: PLR0913  what it is made of
        self,
        engine: Engine,
        sinks: Sequence[Sink] = (),
        notice_sinks: Sequence[NoticeSink] = (),
        own_prices: Mapping[str, TokenPrice] = MappingProxyType({}),
        before: "Dispatcher | None" = None,
        *,
        budgets: Budgets | None = None,
        profiles: Profiles = NO_PROFILES,
        begin_sinks: Sequence[BeginSink] = (),
        degraded: DegradedAnswers = NOTHING_DEGRADED,
    ) -> None:
        self._engine = engine
        self._lock = before.lock if before else Exclusive()
        self._sinks = tuple(sinks)
        self._notice_sinks = tuple(notice_sinks)
        self.begin_sinks = tuple(begin_sinks)
        self._own_prices = own_prices
        self.budgets = budgets
        self.profiles = profiles
        self.degraded = degraded
        self.origins: Origins = before.origins if before else Origins()

    def apart(self, spec: UpstreamSpec) -> "Dispatcher":
        """For calls to this upstream, which none of ours has to do with: told to the same sinks, at list
        prices, and nothing else is shared."""
        apart = Dispatcher(self._engine.apart(spec), self._sinks, begin_sinks=self.begin_sinks)
        apart.origins = Origins(most=0)  # a single upstream leaves nothing to remember
        return apart

    def open(
        self,
        facts: Facts,
        request_id: str,
        *,
        total_s: float,
        caller: str = "",
        circumstances: Circumstances = NO_CIRCUMSTANCES,
    ) -> "OpenCall":
        """A call that may wait up to `total_s` seconds, taking turns with those of other callers. `caller`:
        the alias of a gateway key. `facts`: with what the profiles add. Raises ModelNotAvailableError,
        InvalidRequest if no upstream can do what it needs, and BudgetExceeded."""
        return OpenCall(self, facts, request_id, circumstances, total_s=total_s, caller=caller)

    def do(self, action: Callable[[float], ResultT]) -> ResultT:
        """Call something of the core with the time, under the lock; then do what that left to do."""
        engine = self._engine
        with self._lock:
            result = action(time.monotonic())
            if not (engine.notices or engine.line.to_wake):
                return result
            wakes, notices = engine.take_wakes(), engine.take_notices()
        for wake in wakes:
            wake()
        for notice in notices:
            for tell in self._notice_sinks:
                tell(notice)
        return result

    @property
    def lock(self) -> Exclusive:
        return self._lock

    @property
    def engine(self) -> Engine:
        """To be touched only within `do`."""
        return self._engine

    @property
    def models(self) -> tuple[str, ...]:
        return self._engine.models

    def status(self) -> tuple[UpstreamStatus, ...]:
        """Of every upstream; its reason may be in words of the upstream's, and is shown to anybody."""
        return tuple(
            replace(status, reason=redacted(status.reason)) if status.reason else status
            for status in self.do(self._engine.status)
        )

    def unavailable_models(self) -> tuple[str, ...]:
        return self.do(self._engine.unavailable_models)

    def cost_nusd(self, spec: UpstreamSpec, usage: Usage) -> int | None:
        """Nano-USD for `usage` on an upstream; None where the price is not known."""
        model = model_behind(spec.model, spec.deployment)
        own = self._own_prices.get(spec.model) or self._own_prices.get(model)
        price = price_of(model, spec.sku, spec.region, usage.service_tier, own)
        return price.cost_nusd(usage) if price else None

    def tell(self, record: CallRecord) -> None:
        for sink in self._sinks:
            sink(record)


class OpenCall:
    """A core call in progress. Ends once, by `finish`, `abandon` or a final step; later ends do nothing.

    `on_wake`: told when a waiting call may go on, from whatever thread; set by who waits. `woken` says that
    it was told, or would have been.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        facts: Facts,
        request_id: str,
        circumstances: Circumstances,
        *,
        total_s: float,
        caller: str,
    ) -> None:
        self.request_id = request_id
        self.rewrites: Sequence[str] = ()  # of the attempt that was answered
        self._upstream_ids = NO_IDS  # of the attempt under way
        self._caller = caller
        self._circumstances = circumstances
        self._first_byte_s: float | None = None
        self._waited_after = 0  # failed attempts
        self.woken = False
        self.on_wake: Callable[[], None] | None = None
        self._stopped = False
        self._dispatcher = dispatcher
        self._started_at, self._started_s = wall_clock(), time.monotonic()
        self._ended = self._degraded = False
        self._hold: Hold | None = None
        if facts.builds_on is not None and facts.resource is None:
            facts = msgspec.structs.replace(facts, resource=dispatcher.origins.of(facts.builds_on))
        unit = random.random()  # noqa: S311, TID251  this is the edge that supplies the jitter
        self._call = dispatcher.do(
            lambda now: dispatcher.engine.open_call(
                facts,
                unit=unit,
                deadline_s=now + total_s,
                began_s=self._started_s,
                caller=caller,
                wake=self._wake,
            )
        )
        if dispatcher.begin_sinks:
            self._tell_begin(dispatcher.begin_sinks)
        if dispatcher.budgets is not None:
            self._hold_tokens(dispatcher.budgets)

    @property
    def facts(self) -> Facts:
        return self._call.facts

    @property
    def prompt_tokens(self) -> int:
        """Estimate."""
        return self._call.load.input_tokens

    @property
    def attempts(self) -> Sequence[AttemptRecord]:
        return self._call.attempts

    @property
    def upstream(self) -> UpstreamSpec | None:
        """Who answered."""
        return self._call.answered_by

    def explain(self) -> Sequence[Decision]:
        """Every choice so far."""
        return self._call.explain()

    def next(self) -> Step:
        """Raises CallStopped."""
        if self._stopped and self._first_byte_s is None:
            raise CallStopped
        step = self._dispatcher.do(self._call.next)
        if isinstance(step, Send):
            self._upstream_ids = NO_IDS
        elif isinstance(step, Fail):
            self._degraded = self._dispatcher.degraded.find(self.facts, step.error) is not None
            self._end(None, error=step.error.code)
        elif isinstance(step, Relay) and self._failed:
            self._end(None, error=str(self._failed.kind))
        elif isinstance(step, Wait):
            self._tell_wait(step.until_s)
        return step

    def heard(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """An upstream's answer has begun with these."""
        self._upstream_ids = {
            name.decode(): value.decode("latin-1") for name, value in headers if name in UPSTREAM_IDS
        }

    def record(self, failure: Failure | None, hints: QuotaHints | None = None) -> None:
        self._dispatcher.do(lambda now: self._call.record(failure, now, hints, self._upstream_ids))
        if failure is None:
            self._first_byte_s = time.monotonic() - self._started_s

    def keeps(self, response_id: str | None) -> None:
        """The resource that answers keeps this response: what builds on it must go there."""
        if response_id is not None and self.upstream is not None:
            self._dispatcher.origins.note(response_id, self.upstream.resource)

    def finish(self, usage: Usage, *, estimated: bool = False, error: str | None = None) -> None:
        """The answer has ended. `error`: code of the error if it broke off. May come from a finalizer."""
        lock = self._dispatcher.lock
        if lock.held:
            lock.postpone(partial(self.finish, usage, estimated=estimated, error=error))
            return
        reported = None if estimated else usage
        self._dispatcher.do(lambda now: self._call.finish(reported, now))
        self._end(usage, estimated=estimated, error=error)

    def abandon(self, usage: Usage | None = None) -> None:
        """The caller left or something broke. `usage`: an estimate of what was spent until then. May come
        from a finalizer."""
        lock = self._dispatcher.lock
        if lock.held:
            lock.postpone(partial(self.abandon, usage))
            return
        self._dispatcher.do(self._call.abandon)
        self._end(usage, estimated=usage is not None, error="abandoned")

    def stop(self) -> None:
        """Neither wait any longer nor send again; an answer that is on its way is taken. From any thread."""
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        self.woken = True
        if self.on_wake is not None:
            self.on_wake()

    def cost_nusd(self, usage: Usage) -> int | None:
        """Nano-USD for `usage` on the upstream that answered; None where the price is not known."""
        spec = self.upstream
        return self._dispatcher.cost_nusd(spec, usage) if spec else None

    def _tell_begin(self, sinks: Sequence[BeginSink]) -> None:
        facts, told = self.facts, self._circumstances
        begun = CallBegun(
            self.request_id,
            facts.operation,
            facts.model,
            facts.stream,
            self.prompt_tokens,
            self._started_at,
            self._caller or None,
            told.session,
            told.tags,
        )
        for sink in sinks:
            sink(begun)

    def _tell_wait(self, until_s: float) -> None:
        """Once after each failed attempt: a call that was woken too early goes on waiting."""
        on_wait, failed = self._circumstances.on_wait, len(self.attempts)
        if on_wait is not None and failed > self._waited_after:
            self._waited_after = failed
            on_wait(self.attempts[-1], until_s - time.monotonic())

    def _hold_tokens(self, budgets: Budgets) -> None:
        """Raises BudgetExceeded, once that is told."""
        load, tags, agent = self._call.load, self._circumstances.tags, self.facts.agent
        try:
            with self._dispatcher.lock:
                self._hold = budgets.hold(load.input_tokens + load.output_tokens, tags, wall_clock(), agent)
        except BudgetExceeded as error:
            self._end(None, error=error.code)
            raise

    def _settle(self, hold: Hold, usage: Usage | None) -> None:
        """An attempt that may be billed, but did not tell its usage, counts as estimated."""
        untold = sum(attempt.fate in _MAY_BE_BILLED for attempt in self.attempts)
        used = 0
        if usage is not None:
            untold -= 1
            used = usage.input_tokens + usage.output_tokens
        hold.settle(used + max(0, untold) * hold.tokens, wall_clock())

    @property
    def _failed(self) -> Failure | None:
        return self.attempts[-1].failure if self.attempts else None

    def _end(self, usage: Usage | None, *, estimated: bool = False, error: str | None = None) -> None:
        with self._dispatcher.lock:  # one thread may close what another is reading
            if self._ended:
                return
            self._ended = True
            if self._hold is not None:
                self._settle(self._hold, usage)
        upstream, circumstances, attempts = self.upstream, self._circumstances, tuple(self.attempts)
        cost_nusd = self.cost_nusd(usage) if usage else None
        record = CallRecord(
            request_id=self.request_id,
            operation=self.facts.operation,
            model=self.facts.model,
            upstream=upstream.name if upstream else None,
            region=upstream.region if upstream else None,
            attempts=attempts,
            usage=usage,
            estimated=estimated,
            cost_nusd=cost_nusd,
            prices_as_of=None if cost_nusd is None else model_table().as_of,
            rewrites=(*circumstances.rewrites, *self.rewrites),
            upstream_ids=attempts[-1].upstream_ids if attempts else NO_IDS,
            session=circumstances.session,
            tags=circumstances.tags,
            duration_s=time.monotonic() - self._started_s,
            first_byte_s=self._first_byte_s,
            error=error,
            principal=self._caller or None,
            started_at=self._started_at,
            trace=circumstances.trace,
            stream=self.facts.stream,
            degraded=self._degraded,
        )
        self._dispatcher.tell(record)
        circumstances.tell(record)
