"""smalt before simulated deployments: one engine, driven as `smalt.dispatch` drives it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar, assert_never

from tests.simulation.azure import MODEL, Replied, Reply, Request
from tests.simulation.world import World

from smalt.core.call import Call, Fail, Relay, Send, Step, Wait
from smalt.core.engine import Engine
from smalt.core.settings import EngineSettings, PoolSpec, RetrySpec, RouteSpec, StrategyName, UpstreamSpec
from smalt.errors import SmaltError
from smalt.types import Usage

ResultT = TypeVar("ResultT")
MOST_WAITING: Final = 10_000
LATENESS_S: Final = 0.002  # at most, of timers and wakes: an event loop has other things to do
USUAL_RETRY: Final = RetrySpec()


class Upstream(Protocol):
    @property
    def spec(self) -> UpstreamSpec: ...

    def send(self, request: Request, replied: Replied) -> None:
        """A request leaves for there; `replied` is called once."""


@dataclass(slots=True)
class Outcome:
    """How a call went. `sent_s`: its attempts. `upstream`: who answered. `error`: None if somebody did."""

    request: Request
    caller: str
    opened_s: float
    sent_s: list[float] = field(default_factory=list)
    upstream: str | None = None
    error: SmaltError | None = None
    ended_s: float = float("inf")

    @property
    def waited_s(self) -> float:
        """Until it was sent first; infinite if it never was."""
        return (self.sent_s[0] if self.sent_s else float("inf")) - self.opened_s


class Fleet:
    """smalt before upstreams in tiers. Every call is noted in `outcomes`, in the order in which they came."""

    def __init__(
        self,
        world: World,
        *tiers: Sequence[Upstream],
        strategy: StrategyName = "least_loaded",
        retry: RetrySpec = USUAL_RETRY,
    ) -> None:
        self.world = world
        self.upstreams = {upstream.spec.name: upstream for tier in tiers for upstream in tier}
        self.outcomes: list[Outcome] = []
        specs = {name: upstream.spec for name, upstream in self.upstreams.items()}
        names = tuple(tuple(upstream.spec.name for upstream in tier) for tier in tiers)
        routes = {MODEL: RouteSpec(MODEL, (PoolSpec(names, strategy),))}
        self.engine = Engine(EngineSettings(specs, routes, retry=retry, max_waiting=MOST_WAITING))

    def call(
        self,
        request: Request,
        *,
        caller: str = "",
        total_s: float = 600.0,
        leaves_after_s: float | None = None,
    ) -> Outcome:
        """Somebody asks, and waits for the answer at most so long, or leaves without one."""
        outcome = Outcome(request, caller, self.world.now)
        self.outcomes.append(outcome)
        driver = Driver(self, outcome, total_s)
        if leaves_after_s is not None:
            self.world.after(leaves_after_s, driver.leave)
        driver.go_on()
        return outcome

    def do(self, action: Callable[[], ResultT]) -> ResultT:
        """Call something of the core; then wake whom that left to wake."""
        result = action()
        if self.engine.notices or self.engine.line.to_wake:
            self.engine.take_notices()
            for wake in self.engine.take_wakes():
                wake()
        return result


class Driver:
    """Of one call. `looks_at_s`: when it asks the waiting call again."""

    __slots__ = ("_fleet", "_left", "_outcome", "_wait", "_woken", "call", "looks_at_s")

    def __init__(self, fleet: Fleet, outcome: Outcome, total_s: float) -> None:
        self.looks_at_s = fleet.world.now
        self._fleet = fleet
        self._outcome = outcome
        self._wait: Wait | None = None
        self._woken = False
        self._left = False
        self.call: Call = fleet.do(
            lambda: fleet.engine.open_call(
                outcome.request.facts,
                unit=fleet.world.chance.random(),
                deadline_s=fleet.world.now + total_s,
                caller=outcome.caller,
                wake=self._wake,
            )
        )

    def go_on(self) -> None:
        fleet, now = self._fleet, self._fleet.world.now
        step: Step = fleet.do(lambda: self.call.next(now))
        match step:
            case Send(upstream=upstream):
                self._outcome.sent_s.append(now)
                fleet.upstreams[upstream].send(self._outcome.request, self._replied)
            case Wait(until_s=until_s):
                self._wait = step
                self._look(now if self._woken else until_s)
            case Relay():
                spec = self.call.answered_by
                self._outcome.upstream = spec.name if spec else None
            case Fail(error=error):
                self._end(error)
            case other:
                assert_never(other)

    def leave(self) -> None:
        """The caller hangs up; after the end that means nothing."""
        now = self._fleet.world.now
        self._left, self._wait = True, None
        self._fleet.do(lambda: self.call.abandon(now))

    def _wake(self) -> None:
        self._woken = True
        if self._wait is not None:
            self._look(self._fleet.world.now)

    def _look(self, at_s: float) -> None:
        self.looks_at_s = at_s + self._fleet.world.chance.uniform(0.0, LATENESS_S)
        self._fleet.world.at(self.looks_at_s, self._waited, self._wait)

    def _waited(self, wait: Wait) -> None:
        if wait is self._wait:  # else it was woken before
            self._wait, self._woken = None, False
            self.go_on()

    def _replied(self, reply: Reply) -> None:
        if self._left:
            return
        now = self._fleet.world.now
        self._fleet.do(lambda: self.call.record(reply.failure, now, reply.hints))
        if reply.failure is None:
            self._fleet.world.after(reply.rest_s, self._answered, reply.usage)
        self.go_on()

    def _answered(self, usage: Usage | None) -> None:
        if self._left:
            return
        now = self._fleet.world.now
        self._fleet.do(lambda: self.call.finish(usage, now))
        self._end(None)

    def _end(self, error: SmaltError | None) -> None:
        self._outcome.error, self._outcome.ended_s = error, self._fleet.world.now
