"""Calls on one engine, driven by hand on a clock of their own, and what must hold at every moment."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from smalt.core.call import Call, Fail, Relay, Send, Step, Wait
from smalt.core.engine import Engine
from smalt.core.health import Rest
from smalt.core.limits import Load, Quota, StandardQuota
from smalt.core.line import Line, Waiter
from smalt.core.provisioned import ProvisionedQuota
from smalt.core.reactions import UNCOUNTED
from smalt.core.upstream import UpstreamState
from smalt.types import Facts, Failure, FailureKind, Fate, QuotaHints, Usage

NEVER: Final = float("inf")
ROUNDING: Final = 1e-3


@dataclass(eq=False)
class Watched:
    """A call and what its driver knows: `step`, the last it was told; `woken`, that it is to ask again.

    `earlier`: calls of its caller that were opened before. `passed`: later calls of other callers that were
    sent to an upstream it claimed.
    """

    call: Call
    caller: str
    deadline_s: float
    number: int
    earlier: int
    step: Step | None = None
    looked_s: float = 0.0
    woken: bool = False
    passed: Counter[str] = field(default_factory=Counter)
    ended: bool = False

    @property
    def waiter(self) -> Waiter | None:
        return self.call._waiter

    def due(self, now: float) -> bool:
        """Whether it is to ask again."""
        return isinstance(self.step, Wait) and (self.woken or now >= self.step.until_s)


@dataclass(eq=False)
class Charge:
    """What a request takes of the quotas of its upstream. `given_back`: Azure never saw it. `used`: as
    reported, None if only the estimate is known. `ended`: nothing more will be known."""

    state: UpstreamState
    load: Load
    sent_s: float
    given_back: bool = False
    used: Usage | None = None
    ended: bool = False


class World:
    """Every method leaves with everything checked. `told`: whether Azure has corrected our books."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.told = False
        self.charges: dict[Watched, Charge] = {}
        self.all_charges: list[Charge] = []
        self.now = 0.0
        self.calls: list[Watched] = []
        self.states: list[UpstreamState] = list(engine._states.values())
        self.line: Line = engine.line

    def open(self, facts: Facts, *, total_s: float, unit: float = 0.0, caller: str = "a") -> Watched:
        number, deadline_s = len(self.calls), self.now + total_s
        call = self.engine.open_call(
            facts, unit=unit, deadline_s=deadline_s, caller=caller, wake=lambda: self._wake(number)
        )
        earlier = sum(one.caller == caller for one in self.calls)
        self.calls.append(Watched(call, caller, deadline_s, number, earlier))
        return self.calls[-1]

    def ask(self, one: Watched) -> Step:
        joined = one.waiter.turn[1] if one.waiter else NEVER
        mine = [state for tier in one.call._tiers for state in tier.states]
        free = {state for state in mine if state.obstacle(one.call._load, self.now) is None}
        one.woken = False
        one.step = one.call.next(self.now)
        one.looked_s = self.now
        match one.step:
            case Send(upstream=name, attempt=attempt, of=of):
                assert attempt == len(one.call.attempts) + 1 <= of == self.engine._settings.retry.max_attempts
                self._charged(one, self.engine._states[name])
                self._check_choice(one, self.engine._states[name], free, joined)
            case Wait(until_s=until_s):
                assert self.now < until_s <= one.deadline_s
                assert until_s < NEVER or one.waiter is not None
            case Relay() | Fail():
                one.ended = isinstance(one.step, Fail) or one.call._sending is None
        self.check()
        return one.step

    def record(self, one: Watched, failure: Failure | None, hints: QuotaHints | None = None) -> None:
        one.call.record(failure, self.now, hints)
        self.told = self.told or hints is not None
        last, charge = one.call.attempts[-1], self.charges[one]
        if last.fate is Fate.NOT_SENT or (last.failure and last.failure.kind in UNCOUNTED):
            charge.given_back = True
        elif last.fate is Fate.FREE:
            charge.used = Usage(0)
        charge.ended = last.failure is not None
        self.check()

    def finish(self, one: Watched, usage: Usage | None) -> None:
        one.call.finish(usage, self.now)
        if one in self.charges and not self.charges[one].ended:
            self.charges[one].used, self.charges[one].ended = usage, True
        one.ended = True
        self.check()

    def abandon(self, one: Watched) -> None:
        one.call.abandon(self.now)
        if one in self.charges:
            self.charges[one].ended = True
        one.ended = True
        self.check()

    def check(self) -> None:
        """What must hold between any two events."""
        for wake in self.engine.take_wakes():
            wake()
        sending = [one.call._sending for one in self.calls if one.call._sending is not None]
        in_flight = Counter(attempt.state for attempt in sending)
        unanswered = [one.call._sending for one in self.calls if one.call._last is None]
        claimed = Counter(state for one in self.calls if one.waiter for state in one.waiter.claimed)
        assert {one.waiter for one in self.calls if one.waiter} == set(self.line._waiters)
        for state in self.states:
            assert state.in_flight == in_flight[state]
            assert state.waiting == claimed[state]
            probes = any(attempt.probes for attempt in unanswered if attempt and attempt.state is state)
            assert probes or not state.health.probing
            assert state.repeats_left >= 0
            assert state.share(self.now) >= 0
        for quota in {quota for state in self.states for quota in state.quotas}:
            self._check_books(quota)
        for one in self.calls:
            assert len(one.call.attempts) <= self.engine._settings.retry.max_attempts

    def _charged(self, one: Watched, state: UpstreamState) -> None:
        self.charges[one] = Charge(state, one.call._load, self.now)
        self.all_charges.append(self.charges[one])

    def _check_books(self, quota: Quota) -> None:
        """Every charge is given back, settled, or stays as Azure keeps it."""
        charges = [charge for charge in self.all_charges if quota in charge.state.quotas]
        match quota:
            case ProvisionedQuota():
                cost = sum(_cost(quota, charge) for charge in charges)
                assert abs(quota.charged_tokens - cost) <= ROUNDING
            case StandardQuota():
                window = quota.tokens
                spent = sum(
                    charge.load.tokens
                    for charge in charges
                    if window.holds(charge.sent_s)
                    and not charge.given_back
                    and not quota.exceeded_by(charge.load)
                )
                assert self.told or window.spent == spent

    def check_nobody_sleeps(self) -> None:
        """Once nobody is due: who is first for an upstream will look when it becomes free."""
        for one in self.calls:
            waiter, step = one.waiter, one.step
            if waiter is None or not isinstance(step, Wait) or one.due(self.now):
                continue
            for state, free_s in one.call._free_at_s(self.now).items():
                if self.line._first(state, self.now) is waiter and state.group is None:
                    in_time = step.until_s <= max(free_s, self.now) + ROUNDING
                    assert in_time or self._rested_for_nobody(state, one)

    def check_end(self) -> None:
        """Everything has been given back, and every choice can be explained."""
        for one in self.calls:
            self.abandon(one)
            assert [attempt.number for attempt in one.call.attempts] == [
                number + 1 for number in range(len(one.call.attempts))
            ]
            for decision in one.call.explain():
                assert decision.replay() == decision.chosen
                assert all(decision.obstacles.get(name) is None for name in decision.ranks)
        assert len(self.line) == 0
        for state in self.states:
            assert (state.in_flight, state.waiting, state.health.probing) == (0, 0, False)

    def _wake(self, number: int) -> None:
        self.calls[number].woken = True

    def _rested_for_nobody(self, state: UpstreamState, one: Watched) -> bool:
        """It rested, when this call looked last, in a way that calls do not wait for."""
        health = state.health
        return health.probing or (health.until_s > one.looked_s and health.rest is not Rest.COOLING)

    def _check_choice(
        self, one: Watched, state: UpstreamState, free: set[UpstreamState], joined: float
    ) -> None:
        """`free`: upstreams that could have taken it before. `joined`: when in the line, as a number."""
        call, now = one.call, self.now
        other_key = _kind_of_last(one) is FailureKind.KEY and call.attempts[-1].upstream == state.spec.name
        if now < state.health.until_s:
            assert state.health.rest is Rest.FLAGGED  # asked when nothing else can serve
            assert other_key or all(
                call._not_before_s.get(other, 0.0) > now or self.line._first(other, now) for other in free
            )
        for quota in state.quotas:
            match quota:
                case StandardQuota():
                    assert quota.tokens.spent <= max(quota.tokens.limit, call._load.tokens)
                    assert all(pace.spent_now(now) <= pace.limit for pace in quota.requests)
                case ProvisionedQuota():
                    assert quota._content_now(now) - _estimate(quota, call._load) <= quota._brim + ROUNDING
        if now >= state.health.until_s and not other_key:  # which goes on with its turn
            self._check_turns(one, state, joined)

    def _check_turns(self, one: Watched, state: UpstreamState, joined: float) -> None:
        """Nobody is passed by a later call of the same caller, or by more than a turn of another's."""
        for other in self.calls:
            waiter = other.waiter
            if waiter is None or waiter.turn[1] > joined or not waiter.claims(state, self.now):
                continue
            assert other.caller != one.caller
            other.passed[one.caller] += 1
            assert other.passed[one.caller] <= other.earlier + 1


def _kind_of_last(one: Watched) -> FailureKind | None:
    failure = one.call.attempts[-1].failure if one.call.attempts else None
    return failure.kind if failure is not None else None


def _cost(quota: ProvisionedQuota, charge: Charge) -> float:
    if charge.given_back:
        return 0.0
    if charge.used is not None:
        used = charge.used
        return quota._cost(used.input_tokens, used.output_tokens, used.cached_tokens)
    estimate = _estimate(quota, charge.load)
    return min(estimate, quota._brim) if charge.ended else estimate


def _estimate(quota: ProvisionedQuota, load: Load) -> float:
    return quota._cost(load.input_tokens, load.output_tokens)
