"""One caller request on its way through the upstreams.

States: open (deciding) -> sending -> open ... -> answered -> ended. `next` says what to do; after a `Send`
the driver reports with `record` before it asks again. An answered call ends with `finish`, any other with
`abandon` or by its final step. Whatever the order, an ended call holds nothing: no upstream counts it in
flight, and it has no place in the line. A call that was sent keeps its charge where Azure keeps it too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from smalt.core import final_error, incidents
from smalt.core.affinity import home
from smalt.core.decision import Choice, Decision
from smalt.core.health import Rest
from smalt.core.limits import NEVER, Load
from smalt.core.line import Line, Waiter
from smalt.core.reactions import REACTIONS, UNCOUNTED, backoff_s
from smalt.core.routes import Route, Tier
from smalt.core.settings import RetrySpec, UpstreamSpec
from smalt.core.upstream import MOST_REPEATS, UpstreamState
from smalt.errors import QueueFull, SmaltError
from smalt.types import (
    AttemptRecord,
    Facts,
    Failure,
    FailureKind,
    Fate,
    Notice,
    QuotaHints,
    Usage,
)

TRIED: Final = "tried"  # obstacle: this call has failed there and may not return yet
CLAIMED: Final = "claimed"  # obstacle: a call ahead in the line waits for it
GOLDEN: Final = 0.618_033_988_75  # makes another random number of the first for every further attempt
NOTHING: Final = Usage(0)
LEFT: Final = Failure(FailureKind.CALLER_LEFT, "the caller left")
Ids = Mapping[str, str]
NO_IDS: Final[Ids] = {}  # nobody writes to it; a proxy of it could be neither encoded nor pickled


class Send(Struct, frozen=True, gc=False):
    """Send the request to this upstream now. `attempt` counts from 1 up to `of`."""

    upstream: str
    attempt: int
    of: int


class Wait(Struct, frozen=True, gc=False):
    """Ask again at this time, or when woken before."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Relay:
    """Give the last answer to the caller."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell the caller this error."""

    error: SmaltError


RELAY: Final = Relay()
Step = Send | Wait | Relay | Fail


@dataclass(frozen=True, slots=True)
class Shared:
    """What the calls of one engine have in common. `siblings`: upstreams by resource."""

    retry: RetrySpec
    line: Line
    siblings: Mapping[str, Sequence[UpstreamState]]
    notices: list[Notice]


class Asker(Struct, frozen=True):
    """Who makes a call.

    `caller`: callers take turns when calls must wait. `wake`: told when a waiting call may go on; called
    outside of the engine's methods. `unit`: random number in [0, 1). `deadline_s`: no wait goes beyond it.
    `began_s`: when attempts begin is told from there.
    """

    caller: str
    wake: Callable[[], None]
    unit: float
    deadline_s: float
    began_s: float


class _Sending(Struct, frozen=True):
    state: UpstreamState
    number: int
    sent_s: float
    counted_tokens: float  # of those ever charged to the upstream: what its answer's hints know of
    probes: bool  # whether it is the one call that finds out whether the upstream is back


class Call:
    """Driven from outside; see the module's text. Made by `Engine.open_call`."""

    __slots__ = (
        "_asker",
        "_booked",
        "_choices",
        "_has_other_key",
        "_last",
        "_left",
        "_load",
        "_not_before_s",
        "_pressed_regions",
        "_route",
        "_sending",
        "_shared",
        "_tiers",
        "_waiter",
        "answered_by",
        "attempts",
        "facts",
    )

    def __init__(self, facts: Facts, load: Load, route: Route, shared: Shared, asker: Asker) -> None:
        self.facts = facts
        self.answered_by: UpstreamSpec | None = None  # whose answer goes to the caller
        self.attempts: list[AttemptRecord] = []
        self._choices: list[Choice] = []
        self._load = load
        self._route = route
        self._tiers: Sequence[Tier] = route.eligible(facts)
        self._shared = shared
        self._asker = asker
        self._not_before_s: dict[UpstreamState, float] = {}  # where this call has failed: when it may return
        self._booked: list[UpstreamState] = []  # whose retry budget has paid for a repeat to come
        self._pressed_regions: set[str | None] = set()
        self._waiter: Waiter | None = None
        self._sending: _Sending | None = None
        self._last: Relay | Fail | None = None
        self._left = False
        self._has_other_key: UpstreamState | None = None

    @property
    def load(self) -> Load:
        """Estimate."""
        return self._load

    def explain(self) -> Sequence[Decision]:
        """Every choice so far, with what it was made of."""
        names = [state.spec.name for tier in self._tiers for state in tier.states]
        return [choice.decision(names, self._load.tokens) for choice in self._choices]

    def next(self, now: float) -> Step:
        if self._last is not None:
            return self._last
        if self._sending is not None or self._left:
            raise RuntimeError("next() while an attempt is under way, or after the call was left")
        if len(self.attempts) < self._shared.retry.max_attempts:
            chosen = self._with_other_key(now) or self._choose(now)
            if chosen is not None:
                return self._send(chosen, now)
            step = self._wait(now) or self._last_resort(now)
            if step is not None:
                return step
        return self._fail(now)

    def record(
        self, failure: Failure | None, now: float, hints: QuotaHints | None = None, ids: Ids = NO_IDS
    ) -> None:
        """How the attempt went; None: it was answered. Once per `Send`. `hints`: what the answer's headers
        say of the quota. `ids`: the upstream's own of the request."""
        sending = self._sending
        if sending is None or self._last is not None:
            raise RuntimeError("record() without an attempt under way")
        state = sending.state
        if hints is not None:
            since = state.own.charged_tokens - sending.counted_tokens
            state.own.tell(hints, sending.sent_s, since, now)
            if state.own.nearly_spent:
                self._tell(state.nearly_spent())
        if sending.probes:
            state.health.probing = False
        if failure is not None:
            failure = incidents.considered(failure, state, self._load, self.attempts)
        fate = Fate.BILLED if failure is None else REACTIONS[failure.kind].fate
        self._note(sending, fate, failure, ids, now)
        if failure is None:
            self._answered(sending, now)
        else:
            self._failed(sending, failure, now)
        if state.waiting:
            self._shared.line.freed((state,), now)

    def finish(self, usage: Usage | None, now: float) -> None:
        """The answer has ended. `usage`: as reported, None if it was not. Safe to repeat."""
        if self._sending is not None and self._last is None:
            raise RuntimeError("finish() before the answer was recorded")
        self._let_go(usage, now)

    def _let_go(self, usage: Usage | None, now: float) -> None:
        sending, self._sending = self._sending, None
        if sending is None:
            return
        state = sending.state
        state.in_flight -= 1
        if usage is not None:
            self._route.estimate.learn(self.facts.prompt_bytes, usage.input_tokens)
        state.own.settle(self._load, usage, now)
        if state.waiting:
            self._shared.line.freed((state,), now)

    def abandon(self, now: float) -> None:
        """The caller left or the driver broke. Safe at any time and to repeat."""
        if self._sending is not None and self._last is None:
            if self._sending.probes:
                self._sending.state.health.probing = False
            self._note(self._sending, Fate.UNKNOWN, LEFT, NO_IDS, now)
        self._left = self._last is None
        self._unbook()
        self._end_waiting(now, served=False)
        self._let_go(None, now)

    def _with_other_key(self, now: float) -> UpstreamState | None:
        """The upstream that has just refused one key, flagged or not, unless something else is in the way."""
        state, self._has_other_key = self._has_other_key, None
        if state and state.health.resting(now) in {None, Rest.FLAGGED} and state.fits(self._load, now):
            self._choices.append(Choice(now, (), (state,), (0.0,), None, state))
            return state
        return None

    def _choose(self, now: float) -> UpstreamState | None:
        """The best upstream of the first tier that has a free one."""
        load, tried = self._load, bool(self._not_before_s)
        first = self._tiers[0]
        if not tried and not len(self._shared.line) and first.all_free(load, now):  # the usual case
            return self._pick(first, first.states, first.no_obstacles, now)
        obstacles: list[str | None] = []
        for tier in self._tiers:
            free = []
            for state in tier.states:
                obstacle = state.obstacle(load, now)
                if obstacle is None and (tried or state.waiting):
                    obstacle = self._own_obstacle(state, now)
                if obstacle is None:
                    free.append(state)
                obstacles.append(obstacle)
            if free:
                return self._pick(tier, free, obstacles, now)
        self._choices.append(Choice(now, obstacles, (), (), None, None))
        return None

    def _own_obstacle(self, state: UpstreamState, now: float) -> str | None:
        """Of an upstream that is free. A call that claims it could go: if it does not, its driver is gone,
        and being woken takes it out of the line."""
        if self._not_before_s and self._not_before_s.get(state, now) > now:
            return TRIED
        if state.waiting and self._shared.line.claimed(state, self._waiter, now):
            self._shared.line.freed((state,), now)
            return CLAIMED
        return None

    def _pick(
        self, tier: Tier, free: Sequence[UpstreamState], obstacles: Sequence[str | None], now: float
    ) -> UpstreamState:
        strategy, affinity = tier.strategy, self.facts.affinity
        preferred = free
        if self._not_before_s or self._route.may_be_too_small_for(self._load):
            preferred = self._preferred(free)
        at_home, unit = None, 0.0
        if strategy.keeps_shares:
            unit = (self._asker.unit + GOLDEN * len(self.attempts)) % 1.0
        elif affinity is not None:
            at_home = home(preferred, affinity, now)
        ranks = strategy.ranks(preferred, stream=self.facts.stream, unit=unit, now=now)
        chosen = at_home or preferred[ranks.index(min(ranks))]
        strategy.picked(chosen)
        self._choices.append(Choice(now, obstacles, preferred, ranks, at_home, chosen))
        return chosen

    def _preferred(self, free: Sequence[UpstreamState]) -> Sequence[UpstreamState]:
        """Rather one that has not failed this call, that the request fits into, in a region with capacity."""
        if self._not_before_s:
            free = [state for state in free if state not in self._not_before_s] or free
            free = [state for state in free if state.spec.region not in self._pressed_regions] or free
        if self._load.input_tokens > self._route.smallest_context:
            prompt = self._load.input_tokens
            free = [state for state in free if prompt <= (state.spec.context_tokens or NEVER)] or free
        if self._load.tokens > self._route.smallest_quota:
            free = [state for state in free if not state.exceeded_by(self._load)] or free
        return free

    def _send(self, state: UpstreamState, now: float) -> Send:
        if self._waiter is not None:
            self._end_waiting(now, served=True)
        if state in self._booked:
            self._booked.remove(state)
        number, of = len(self.attempts) + 1, self._shared.retry.max_attempts
        state.in_flight += 1
        probes = state.health.sent()
        counted_tokens = state.own.charge(self._load, now)
        if state.group is not None:
            state.group.charge(self._load, now)
        if state.own.nearly_spent:
            self._tell(state.nearly_spent())
        self._sending = _Sending(state, number, now, counted_tokens, probes)
        return Send(state.spec.name, number, of)

    def _wait(self, now: float) -> Send | Wait | Fail | None:
        """A place in the line, if waiting can help; on taking it the turn may be ours at once."""
        line, deadline_s = self._shared.line, self._asker.deadline_s
        at_s = self._free_at_s(now)
        soonest_s = min(at_s.values(), default=NEVER)
        if now >= deadline_s or soonest_s > deadline_s or soonest_s == NEVER:
            return None
        claimed = self._to_claim(at_s, now)
        if self._waiter is not None:
            line.claim(self._waiter, claimed, now)
        elif line.full:
            return self._refuse(QueueFull(f"{len(line):,} calls wait for a free upstream already"))
        else:
            self._waiter = Waiter(claimed, self._asker.caller, self._asker.wake, self._not_before_s)
            line.join(self._waiter)
            chosen = self._choose(now)
            if chosen is not None:
                return self._send(chosen, now)
        until_s = min(
            (time_s for state, time_s in at_s.items() if self._is_my_turn(state, now)), default=NEVER
        )
        if len(self._choices) > 1 and self._choices[-2].waits_until_s is not None:
            del self._choices[-2]  # of a long wait only the last look counts
        self._choices[-1] = replace(self._choices[-1], waits_until_s=until_s)
        return Wait(min(until_s, deadline_s))

    def _free_at_s(self, now: float) -> dict[UpstreamState, float]:
        """When waiting makes each upstream possible that this call could be sent to."""
        load, not_before_s = self._load, self._not_before_s
        return {
            state: max(not_before_s.get(state, now), state.free_at_s(load, now))
            for tier in self._tiers
            for state in tier.states
            if not_before_s.get(state, 0.0) < NEVER and not state.exceeded_by(load)
        }

    def _to_claim(self, at_s: dict[UpstreamState, float], now: float) -> list[UpstreamState]:
        """All, or the first to be free if the request is too large where others still find room."""
        if any(state.outgrown_by(self._load, now) for state in at_s):
            return [min(at_s, key=lambda state: at_s[state])]
        return list(at_s)

    def _is_my_turn(self, state: UpstreamState, now: float) -> bool:
        """Whether nobody ahead claims the upstream now, or it is not yet time to see."""
        not_yet = self._not_before_s.get(state, now) > now
        return not_yet or not self._shared.line.claimed(state, self._waiter, now)

    def _end_waiting(self, now: float, *, served: bool) -> None:
        if self._waiter is not None:
            self._shared.line.leave(self._waiter, now, served=served)
            self._waiter = None

    def _last_resort(self, now: float) -> Send | None:
        """A flagged upstream, once: its own error says more than ours."""
        for tier in self._tiers:
            for state in tier.states:
                flagged = state.health.resting(now) is Rest.FLAGGED and state not in self._not_before_s
                if flagged and state.fits(self._load, now):
                    self._choices.append(Choice(now, (), (state,), (0.0,), None, state))
                    return self._send(state, now)
        return None

    def _answered(self, sending: _Sending, now: float) -> None:
        state = sending.state
        (state.first_byte if self.facts.stream else state.total).measured(now - sending.sent_s, now)
        if not state.health.clean:
            self._tell(incidents.answered(state))
        if state.repeats_left < MOST_REPEATS:
            state.answered()
        self._relay(state)  # in flight until finish or abandon

    def _failed(self, sending: _Sending, failure: Failure, now: float) -> None:
        state, reaction = sending.state, REACTIONS[failure.kind]
        self._sending = None
        state.in_flight -= 1
        for quota in state.quotas:
            if reaction.fate is Fate.NOT_SENT or failure.kind in UNCOUNTED:
                quota.give_back(self._load, sending.sent_s)
            else:
                quota.settle(self._load, NOTHING if reaction.fate is Fate.FREE else None, now)
        if reaction.trips or failure.kind is FailureKind.TIMEOUT:
            latency = state.first_byte if self.facts.stream else state.total
            latency.failed(now - sending.sent_s, now)
        siblings = self._shared.siblings[state.spec.resource]
        self._tell(incidents.failed(failure, state, siblings, sending.sent_s, now))
        self._go_on_after(failure, state, now)

    def _go_on_after(self, failure: Failure, state: UpstreamState, now: float) -> None:
        """Whether and where this call may try again."""
        reaction = REACTIONS[failure.kind]
        if reaction.final or (failure.kind is FailureKind.CONTEXT and not self._leave_smaller_windows(state)):
            self._relay(state)
        elif not self._may_repeat_after(failure):
            self._fail(now)
        elif failure.kind is FailureKind.KEY:
            self._has_other_key = state
        else:
            if reaction.elsewhere_region:
                self._pressed_regions.add(state.spec.region)
            self._not_before_s[state] = self._return_at_s(state, failure, now)

    def _may_repeat_after(self, failure: Failure) -> bool:
        """Not what might be billed or done twice, unless the operation or the settings allow it."""
        if failure.kind is FailureKind.TIMEOUT and not self._shared.retry.after_timeout:
            return False
        return self.facts.repeatable or REACTIONS[failure.kind].fate in {Fate.FREE, Fate.NOT_SENT}

    def _relay(self, state: UpstreamState) -> None:
        self._last = RELAY
        self.answered_by = state.spec
        if self._booked:
            self._unbook()

    def _leave_smaller_windows(self, state: UpstreamState) -> bool:
        """The prompt is too long for this upstream: only those that take longer ones remain, if any does."""
        larger = False
        for other in (other for tier in self._tiers for other in tier.states):
            if other.takes_longer_prompts_than(state):
                larger = larger or other not in self._not_before_s
            else:
                self._not_before_s[other] = NEVER
        return larger

    def _return_at_s(self, state: UpstreamState, failure: Failure, now: float) -> float:
        """When this call may try the upstream it just failed on once more; the repeat is paid for here."""
        name, retry = state.spec.name, self._shared.retry
        tries = sum(1 for attempt in self.attempts if attempt.upstream == name)
        if tries >= REACTIONS[failure.kind].repeats or not state.may_repeat():
            return NEVER
        self._booked.append(state)
        if failure.kind is FailureKind.STALE:
            return now
        if failure.wait_s is not None:
            return now + failure.wait_s
        return now + backoff_s(
            tries, base_s=retry.base_s, cap_s=retry.cap_s, jitter_s=retry.jitter_s, unit=self._asker.unit
        )

    def _note(self, sending: _Sending, fate: Fate, failure: Failure | None, ids: Ids, now: float) -> None:
        spec, of, sent_s = sending.state.spec, self._shared.retry.max_attempts, sending.sent_s
        took_s, after_s = now - sent_s, sent_s - self._asker.began_s
        record = AttemptRecord(
            spec.name, spec.region, sending.number, of, fate, failure, took_s, after_s, ids
        )
        self.attempts.append(record)

    def _tell(self, notice: Notice | None) -> None:
        if notice is not None:
            self._shared.notices.append(notice)

    def _unbook(self) -> None:
        """The call has ended; repeats that were paid for did not happen."""
        for state in self._booked:
            state.repeats_left += 1
        self._booked.clear()

    def _fail(self, now: float) -> Fail:
        self._end_waiting(now, served=False)
        states = [state for tier in self._tiers for state in tier.states]
        return self._refuse(final_error.exhausted(self._route.model, self._load, self.attempts, states, now))

    def _refuse(self, error: SmaltError) -> Fail:
        self._unbook()
        self._last = Fail(error)
        return self._last
