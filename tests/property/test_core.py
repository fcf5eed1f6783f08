"""Whatever happens to calls, in whatever order: what must stay true of the core."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.watched import Watched, World

from smalt.core.call import Fail, Relay, Send, Wait
from smalt.core.engine import Engine
from smalt.core.settings import (
    BreakerSpec,
    EngineSettings,
    PoolSpec,
    QuotaGroup,
    RetrySpec,
    RouteSpec,
    Throughput,
    UpstreamSpec,
)
from smalt.core.strategies import STRATEGIES
from smalt.errors import UpstreamError
from smalt.types import Facts, Failure, FailureKind, Operation, QuotaHints, Usage

MODEL: Final = "m"
NAMES: Final = ("east/a", "east/b", "west/a", "north/a")
KINDS: Final = [kind for kind in FailureKind if kind is not FailureKind.CALLER_LEFT]
HOUR_S: Final = 3_600.0
FOREVER: Final = float("inf")

waits_s = st.none() | st.sampled_from([0.0, 0.001, 6.85, 60.0, 61.0, 86_400.0, FOREVER])
failures = st.builds(Failure, st.sampled_from(KINDS), st.just("no"), st.none() | st.just(429), waits_s)
outcomes = st.none() | failures
counts = st.none() | st.integers(1, 1_000)
hints = st.none() | st.builds(QuotaHints, counts, counts, counts, counts, st.none() | st.floats(0.01, 2.0))
usages = st.none() | st.builds(Usage, st.integers(0, 500), st.integers(0, 400))
delays_s = st.sampled_from([0.0, 0.001, 0.02, 0.5, 1.0, 10.0, 30.0, 60.03, 601.0])
totals_s = st.sampled_from([0.0, 5.0, 30.0, 600.0, FOREVER])
units = st.floats(0, 0.999)
callers = st.sampled_from(["a", "b", "c"])
retries = st.builds(
    RetrySpec,
    max_attempts=st.integers(1, 7),
    base_s=st.sampled_from([0.0, 0.5, 1.0]),
    jitter_s=st.sampled_from([0.0, 1.0]),
    after_timeout=st.booleans(),
)
requests = st.builds(
    Facts,
    st.just(Operation.CHAT),
    st.just(MODEL),
    stream=st.booleans(),
    prompt_bytes=st.sampled_from([0, 1, 300, 2_000]),
    max_tokens=st.none() | st.sampled_from([1, 400, 10**9]),
    affinity=st.none() | st.integers(0, 2**32 - 1),
    resource=st.none() | st.none() | st.just("east"),
    repeatable=st.booleans() | st.just(True),
)


@st.composite
def engines(draw: st.DrawFn) -> Engine:
    """Up to four upstreams in two tiers, every one with limits, throughput or a shared quota of its own."""
    names = [NAMES[0], *draw(st.lists(st.sampled_from(NAMES[1:]), unique=True))]
    cut = draw(st.integers(0, len(names)))
    groups = st.none() | st.none() | st.just(QuotaGroup("eastus m", 1_500))
    specs = {
        name: UpstreamSpec(
            name,
            MODEL,
            name.partition("/")[0],
            limit_tpm=draw(st.none() | st.sampled_from([100, 1_000])),
            limit_rpm=draw(st.none() | st.sampled_from([2.0, 6.0, 120.0])),
            throughput=draw(st.none() | st.none() | st.just(Throughput(1_000, 4.0))),
            group=draw(groups),
            context_tokens=draw(st.none() | st.sampled_from([200, 1_000])),
        )
        for name in names
    }
    tiers = (tuple(names[:cut]), tuple(names[cut:]))
    pool = PoolSpec(tiers, draw(st.sampled_from(list(STRATEGIES))))
    breaker = BreakerSpec(failures=draw(st.integers(1, 5)))
    return Engine(
        EngineSettings(specs, {MODEL: RouteSpec(MODEL, (pool,))}, retry=draw(retries), breaker=breaker)
    )


MOST_STEPS: Final = 5  # of a call alone, for every attempt it may make


class Driving:
    """Drives calls of a world as it is intended, in any order. `hints`: what answers may tell."""

    def __init__(
        self, engine: Engine, data: st.DataObject, hints: st.SearchStrategy[QuotaHints | None]
    ) -> None:
        self.world = World(engine)
        self._draw = data.draw
        self._hints = hints

    @property
    def under_way(self) -> list[Watched]:
        return [one for one in self.world.calls if not one.ended]

    def something_happens(self) -> None:
        """A call comes, goes on, is left by its caller, or time passes."""
        world, draw = self.world, self._draw
        what = draw(st.sampled_from(["come", "come", "go on", "go on", "go on", "leave", "time"]))
        if what == "come" or not self.under_way:
            total_s, unit, caller = draw(totals_s), draw(units), draw(callers)
            world.ask(world.open(draw(requests), total_s=total_s, unit=unit, caller=caller))
        elif what == "go on":
            self.go_on(draw(st.sampled_from(self.under_way)))
        elif what == "leave":
            world.abandon(draw(st.sampled_from(self.under_way)))
        else:
            world.now += draw(delays_s)
        self.ask_the_due()

    def go_on(self, one: Watched) -> None:
        """What a call waits for comes: a reply, the end of its answer, or the end of its wait."""
        match one.step:
            case Send():
                self.world.record(one, self._draw(outcomes), self._draw(self._hints))
                self.world.ask(one)
            case Relay():
                self.world.finish(one, self._draw(usages))
            case Wait(until_s=until_s):
                self.world.now = max(self.world.now, min(until_s, self.world.now + HOUR_S))
            case _:
                raise AssertionError(one.step)

    def ask_the_due(self) -> None:
        """In any order; asking one may wake another."""
        for _ in range(MOST_STEPS * (len(self.world.calls) + 1)):
            due = [one for one in self.under_way if one.due(self.world.now)]
            if not due:
                return self.world.check_nobody_sleeps()
            self.world.ask(self._draw(st.sampled_from(due)))
        raise AssertionError("waiting calls wake each other without end")

    def everything_ends(self) -> None:
        """Replies come, answers end, then the first wait; nobody leaves."""
        for _ in range(50 * len(self.world.calls)):
            self.ask_the_due()
            if not self.under_way:
                return
            self.go_on(min(self.under_way, key=lambda one: getattr(one.step, "until_s", 0.0)))
        raise AssertionError("calls do not end")


@given(engines(), requests, units, totals_s, st.data())
@settings(max_examples=100)
def test_a_driven_call_ends(
    engine: Engine, facts: Facts, unit: float, total_s: float, data: st.DataObject
) -> None:
    """Alone and driven as intended it ends within some steps for each attempt, and holds nothing then."""
    world = World(engine)
    one = world.open(facts, total_s=total_s, unit=unit)
    for _ in range(MOST_STEPS * (engine._settings.retry.max_attempts + 1)):
        match world.ask(one):
            case Send():
                world.now += data.draw(delays_s)
                world.record(one, data.draw(outcomes), data.draw(hints))
            case Wait(until_s=until_s):
                world.now = until_s
            case Relay() | Fail():
                break
    else:
        raise AssertionError("the call does not end")
    assert (one.call.answered_by is not None) == isinstance(one.step, Relay)
    world.check_end()


@given(engines(), st.data(), st.sampled_from([hints, st.none()]))
@settings(max_examples=120)
def test_calls_side_by_side(
    engine: Engine, data: st.DataObject, hints: st.SearchStrategy[QuotaHints | None]
) -> None:
    """Whatever happens in whatever order, everything that `World` checks holds, and every call ends."""
    driving = Driving(engine, data, hints)
    for _ in range(data.draw(st.integers(1, 30))):
        driving.something_happens()
    driving.everything_ends()
    driving.world.check_end()


@given(engines(), st.data())
@settings(max_examples=100)
def test_wrong_driving_is_told_and_changes_nothing(engine: Engine, data: st.DataObject) -> None:
    """Whoever asks, records or finishes when it is not the time for it gets an error; the rest goes on."""
    world = World(engine)
    for _ in range(data.draw(st.integers(1, 3))):
        world.open(data.draw(requests), total_s=data.draw(totals_s), unit=data.draw(units))
    for _ in range(data.draw(st.integers(1, 25))):
        one = data.draw(st.sampled_from(world.calls))
        try:
            match data.draw(st.sampled_from(["ask", "ask", "record", "record", "finish", "abandon", "time"])):
                case "ask":
                    world.ask(one)
                case "record":
                    world.record(one, data.draw(outcomes), data.draw(hints))
                case "finish":
                    world.finish(one, data.draw(usages))
                case "abandon":
                    world.abandon(one)
                case _:
                    world.now += data.draw(delays_s)
        except RuntimeError:
            world.check()
    world.check_end()


@given(engines(), requests, st.lists(outcomes, max_size=6))
@settings(max_examples=100)
def test_a_waiting_call_goes_on_in_time(engine: Engine, facts: Facts, before: list[Failure | None]) -> None:
    """Alone with the engine, a call that was told to wait may send when the time has come."""
    world = World(engine)
    spend(world, facts, before)
    one = world.open(facts, total_s=float("inf"), unit=0.5)
    step = world.ask(one)
    if isinstance(step, Wait):
        world.now = step.until_s
        assert isinstance(world.ask(one), Send)


@given(engines(), requests, st.lists(outcomes, max_size=6))
@settings(max_examples=100)
def test_the_told_time_is_true(engine: Engine, facts: Facts, before: list[Failure | None]) -> None:
    """A new call at the time a refused one was told finds a free upstream."""
    world = World(engine)
    spend(world, facts, before)
    step = world.ask(world.open(facts, total_s=0.0))
    if (
        isinstance(step, Fail)
        and isinstance(step.error, UpstreamError)
        and step.error.retry_after_s is not None
    ):
        world.now += step.error.retry_after_s
        assert isinstance(world.ask(world.open(facts, total_s=0.0)), Send)


def spend(world: World, facts: Facts, outcomes: list[Failure | None]) -> None:
    """One call of one attempt for each of `outcomes`."""
    for outcome in outcomes:
        one = world.open(facts, total_s=0.0)
        if isinstance(world.ask(one), Send):
            world.record(one, outcome)
        world.abandon(one)
