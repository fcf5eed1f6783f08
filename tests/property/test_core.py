"""Whatever happens to calls, in whatever order: what must stay true of the core."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from smalt.core.call import Call, Fail, Relay, Send, Wait
from smalt.core.engine import Engine
from smalt.core.limits import arrival_charge
from smalt.core.settings import EngineSettings, RetrySpec, RouteSpec, UpstreamSpec
from smalt.core.upstream import UpstreamState
from smalt.types import Facts, Failure, FailureKind, Fate, Operation

MAX_STEPS = 1_000  # of one call; more means that it does not end
NAMES = ("east/a", "east/b", "west/a", "north/a")
KINDS = [kind for kind in FailureKind if kind is not FailureKind.CALLER_LEFT]

waits_s = st.none() | st.sampled_from([0.0, 0.001, 6.85, 60.0, 61.0, 86_400.0, float("inf")])
outcomes = st.none() | st.builds(Failure, st.sampled_from(KINDS), st.just("no"), wait_s=waits_s)
durations_s = st.sampled_from([0.0, 0.001, 0.5, 1.0, 10.0, 60.0, 601.0])
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
    st.just("m"),
    prompt_tokens=st.sampled_from([0, 1, 84, 500]),
    max_tokens=st.none() | st.sampled_from([1, 400, 10**9]),
)


@st.composite
def engines(draw: st.DrawFn) -> Engine:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    cut = draw(st.integers(0, len(names)))
    limits = st.none() | st.sampled_from([100, 1_000])
    specs = {name: UpstreamSpec(name, "m", limit_tpm=draw(limits)) for name in names}
    route = RouteSpec("m", (tuple(names[:cut]), tuple(names[cut:])))
    return Engine(EngineSettings(specs, {"m": route}, draw(retries)))


def states(engine: Engine) -> list[UpstreamState]:
    return list(engine._states.values())


def check_choice(engine: Engine, send: Send, tokens: int, was: dict[str, str], now: float) -> None:
    """`was`: the health of each upstream before the choice."""
    state = engine._states[send.upstream]
    assert was[send.upstream] != "cooling"
    if was[send.upstream] == "flagged":
        assert "available" not in was.values()
    alone = state.window.charged(now) == tokens  # one too large for a minute has the minute for itself
    assert alone or state.spec.limit_tpm is None or state.window.charged(now) <= state.spec.limit_tpm
    assert state.window.charged(now) >= tokens


def healths(engine: Engine, call: Call, tokens: int, now: float) -> dict[str, str]:
    def health(state: UpstreamState) -> str:
        if state.healthy(now):
            usable = state.available(tokens, now) and call._again(state) <= now
            return "available" if usable else "full"
        return "flagged" if state.flagged else "cooling"

    return {state.spec.name: health(state) for state in states(engine)}


@dataclass
class World:
    """Some calls on one engine and one clock."""

    engine: Engine
    now: float = 0.0
    calls: list[Call] = field(default_factory=list)
    deadlines_s: list[float] = field(default_factory=list)

    def open(self, facts: Facts, total_s: float, unit: float) -> None:
        self.calls.append(self.engine.open_call(facts, unit=unit, deadline_s=self.now + total_s))
        self.deadlines_s.append(self.now + total_s)

    def ask(self, index: int) -> Send | Wait | Relay | Fail:
        call = self.calls[index]
        tokens = arrival_charge(call.facts)
        was = healths(self.engine, call, tokens, self.now)
        step = call.next(self.now)
        if isinstance(step, Wait):
            assert self.now < step.until_s <= self.deadlines_s[index]
            assert step.until_s != float("inf")
        if isinstance(step, Send):
            check_choice(self.engine, step, tokens, was, self.now)
        return step

    def spend(self, facts: Facts, outcomes: list[Failure | None]) -> None:
        """One call of one attempt for each of `outcomes`."""
        for outcome in outcomes:
            self.open(facts, 0.0, 0.0)
            if isinstance(self.ask(-1), Send):
                self.calls[-1].record(outcome, self.now)
            self.calls[-1].abandon(self.now)

    def check_counts(self) -> None:
        under_way = [call._sending.state.spec.name for call in self.calls if call._sending is not None]
        for state in states(self.engine):
            assert state.in_flight == under_way.count(state.spec.name)
            assert state.window.charged_tokens >= 0
        for call in self.calls:
            assert len(call.attempts) <= self.engine._settings.retry.max_attempts

    def check_end(self) -> None:
        for call in self.calls:
            call.abandon(self.now)
        assert all(state.in_flight == 0 for state in states(self.engine))
        for call in self.calls:
            assert [attempt.number for attempt in call.attempts] == list(range(1, len(call.attempts) + 1))
            assert all((attempt.fate is Fate.BILLED) or attempt.failure for attempt in call.attempts)


@given(engines(), requests, st.floats(0, 0.999), st.sampled_from([0.0, 5.0, 600.0, float("inf")]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_driven_call_ends(
    engine: Engine, facts: Facts, unit: float, total_s: float, data: st.DataObject
) -> None:
    """A call driven as intended ends within its attempts and its deadline, and holds nothing then."""
    world = World(engine)
    world.open(facts, total_s, unit)
    call = world.calls[0]
    for _ in range(MAX_STEPS):
        step = world.ask(0)
        if isinstance(step, Send):
            assert step.attempt == len(call.attempts) + 1 <= step.of
            world.now += data.draw(durations_s)
            call.record(data.draw(outcomes), world.now)
        elif isinstance(step, Wait):
            world.now = step.until_s
        else:
            break
        world.check_counts()
    else:
        raise AssertionError("the call does not end")
    assert (call.answered_by is not None) == isinstance(step, Relay)
    world.check_end()


@given(engines(), st.lists(st.tuples(requests, st.floats(0, 0.999)), min_size=1, max_size=4), st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_stays_in_flight(
    engine: Engine, asked: list[tuple[Facts, float]], data: st.DataObject
) -> None:
    """Calls side by side, driven in any order and even wrongly, never leave anything behind."""
    world = World(engine)
    for facts, unit in asked:
        world.open(facts, data.draw(st.sampled_from([0.0, 30.0, float("inf")])), unit)
    for _ in range(data.draw(st.integers(1, 25))):
        index = data.draw(st.integers(0, len(world.calls) - 1))
        call = world.calls[index]
        try:
            match data.draw(
                st.sampled_from(["next", "next", "record", "record", "finish", "abandon", "time"])
            ):
                case "next":
                    world.ask(index)
                case "record":
                    call.record(data.draw(outcomes), world.now)
                case "finish":
                    call.finish()
                case "abandon":
                    call.abandon(world.now)
                case _:
                    world.now += data.draw(durations_s)
        except RuntimeError as error:
            assert "under way" in str(error)  # noqa: PT017  wrong driving is told, and changes nothing
        world.check_counts()
    world.check_end()


@given(engines(), requests, st.lists(outcomes, max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_waiting_call_goes_on_in_time(engine: Engine, facts: Facts, before: list[Failure | None]) -> None:
    """Alone with the engine, a call that was told to wait may send when the time has come."""
    world = World(engine)
    world.spend(facts, before)
    world.open(facts, float("inf"), 0.5)
    step = world.ask(-1)
    if isinstance(step, Wait):
        world.now = step.until_s
        assert isinstance(world.ask(-1), Send)


@given(engines(), requests, st.lists(outcomes, max_size=6))
@settings(max_examples=150, deadline=None)
def test_the_told_time_is_true(engine: Engine, facts: Facts, before: list[Failure | None]) -> None:
    """A new call at the time a refused one was told finds a free upstream."""
    world = World(engine)
    world.spend(facts, before)
    world.open(facts, 0.0, 0.0)
    step = world.ask(-1)
    retry_after_s = getattr(step.error, "retry_after_s", None) if isinstance(step, Fail) else None
    if retry_after_s is not None:
        world.now += retry_after_s
        world.open(facts, 0.0, 0.0)
        assert isinstance(world.ask(-1), Send)
