"""One caller request on its way through the upstreams.

States: open (deciding) -> sending -> open ... -> answered -> ended. `next` says what to do; after a `Send`
the driver reports with `record` before it asks again. An answered call ends with `finish`, any other with
`abandon` or by its final step. Whatever the order, an ended call holds nothing: no upstream counts it in
flight. A call that was sent keeps its charge on the upstream's window, because Azure keeps it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from smalt.core import final_error
from smalt.core.limits import arrival_charge
from smalt.core.reactions import LONGEST_WAIT_S, REACTIONS, Scope, backoff_s, cooldown
from smalt.core.settings import RetrySpec
from smalt.core.strategies import Strategy
from smalt.core.upstream import UpstreamState
from smalt.errors import SmaltError
from smalt.types import AttemptRecord, Facts, Failure, FailureKind, Fate

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request to this upstream now. `attempt` counts from 1 up to `of`."""

    upstream: str
    attempt: int
    of: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again at this time."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Relay:
    """Give the last answer to the caller."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell the caller this error."""

    error: SmaltError


Step = Send | Wait | Relay | Fail


@dataclass(slots=True)
class _Sending:
    state: UpstreamState
    number: int
    started_s: float


class Call:
    """Driven from outside; see the module's text. Made by `Engine.open_call`.

    `deadline_s`: no wait goes beyond it. `unit`: random number in [0, 1) for the jitter.
    """

    def __init__(
        self,
        facts: Facts,
        tiers: Sequence[Sequence[UpstreamState]],
        siblings: Mapping[str, Sequence[UpstreamState]],
        strategy: Strategy,
        retry: RetrySpec,
        *,
        unit: float,
        deadline_s: float,
    ) -> None:
        self.facts = facts
        self.attempts: list[AttemptRecord] = []
        self._tiers = tiers
        self._siblings = siblings
        self._strategy = strategy
        self._retry = retry
        self._unit = unit
        self._deadline_s = deadline_s
        self._tokens = arrival_charge(facts)
        self._again_at_s: dict[str, float] = {}  # upstreams this call has failed on: when it may return
        self._sending: _Sending | None = None
        self._last: Relay | Fail | None = None
        self._left = False

    @property
    def answered_by(self) -> str | None:
        """The upstream whose answer goes to the caller."""
        return self.attempts[-1].upstream if isinstance(self._last, Relay) else None

    def next(self, now: float) -> Step:
        if self._last is not None:
            return self._last
        if self._sending is not None or self._left:
            raise RuntimeError("next() while an attempt is under way, or after the call was left")
        if len(self.attempts) >= self._retry.max_attempts:
            return self._fail(now)
        chosen = self._choose(now)
        if chosen is not None:
            return self._send(chosen, now)
        until_s = min((self._free_at_s(state, now) for state in self._eligible()), default=NEVER)
        if until_s == NEVER or until_s > self._deadline_s:
            return self._fail(now)
        return Wait(until_s)

    def record(self, failure: Failure | None, now: float) -> None:
        """How the attempt went; None: it was answered. Once per `Send`."""
        sending = self._sending
        if sending is None or self._last is not None:
            raise RuntimeError("record() without an attempt under way")
        if failure is None:
            self._note(sending, Fate.BILLED, None, now)
            sending.state.answered()
            self._last = Relay()  # in flight until finish or abandon
            return
        failure = self._size_considered(failure, sending.state)
        fate = REACTIONS[failure.kind].fate
        self._note(sending, fate, failure, now)
        self._sending = None
        counted = fate is not Fate.NOT_SENT and failure.kind is not FailureKind.OVERSIZED
        self._release(sending, counted=counted)
        self._react(sending.state, failure, now)

    def finish(self) -> None:
        """The answer has ended. Safe to repeat."""
        if self._sending is not None:
            self._release(self._sending, counted=True)
            self._sending = None

    def abandon(self, now: float) -> None:
        """The caller left or the driver broke. Safe at any time and to repeat."""
        if self._sending is not None and self._last is None:
            left = Failure(FailureKind.CALLER_LEFT, "the caller left")
            self._note(self._sending, Fate.UNKNOWN, left, now)
        self._left = self._last is None
        self.finish()

    def _choose(self, now: float) -> UpstreamState | None:
        for tier in self._tiers:
            free = [s for s in tier if s.available(self._tokens, now) and self._again(s) <= now]
            if free:
                return self._strategy.pick(self._preferred(free), now)
        flagged = [s for s in self._eligible() if s.flagged and s.spec.name not in self._again_at_s]
        return next((s for s in flagged if s.window.fits(self._tokens, now)), None)

    def _preferred(self, free: list[UpstreamState]) -> list[UpstreamState]:
        """Rather one that has not failed this call, and rather one whose quota the request fits into."""
        untried = [state for state in free if state.spec.name not in self._again_at_s] or free
        return [state for state in untried if not state.window.exceeded_by(self._tokens)] or untried

    def _send(self, state: UpstreamState, now: float) -> Send:
        number = len(self.attempts) + 1
        state.in_flight += 1
        state.window.charge(self._tokens, now)
        self._sending = _Sending(state, number, now)
        return Send(state.spec.name, number, self._retry.max_attempts)

    def _note(self, sending: _Sending, fate: Fate, failure: Failure | None, now: float) -> None:
        name = sending.state.spec.name
        self.attempts.append(AttemptRecord(name, sending.number, fate, failure, now - sending.started_s))

    def _release(self, sending: _Sending, *, counted: bool) -> None:
        """`counted`: whether the upstream's quota keeps the charge."""
        sending.state.in_flight -= 1
        if not counted:
            sending.state.window.give_back(self._tokens, sending.started_s)

    def _size_considered(self, failure: Failure, state: UpstreamState) -> Failure:
        """Told to wait for hours: if the request exceeds the quota of a whole minute, that is the cause."""
        waits_long = failure.wait_s is not None and failure.wait_s > LONGEST_WAIT_S
        if failure.kind is FailureKind.QUOTA and waits_long and state.window.exceeded_by(self._tokens):
            return replace(failure, kind=FailureKind.OVERSIZED)
        return failure

    def _react(self, state: UpstreamState, failure: Failure, now: float) -> None:
        reaction = REACTIONS[failure.kind]
        if reaction.final:
            self._last = Relay()
            return
        if failure.kind is FailureKind.TIMEOUT and not self._retry.after_timeout:
            self._fail(now)
            return
        if reaction.escalates:
            state.failed(now)
        rest = cooldown(failure, state.failures_in_a_row)
        if rest is not None:
            reached = self._siblings[state.spec.resource] if reaction.scope is Scope.RESOURCE else [state]
            for other in reached:
                other.cool(rest, failure.text, now)
        self._again_at_s[state.spec.name] = self._return_at_s(state, failure, now)

    def _return_at_s(self, state: UpstreamState, failure: Failure, now: float) -> float:
        """When this call may try the upstream it just failed on once more."""
        tries = sum(1 for attempt in self.attempts if attempt.upstream == state.spec.name)
        if tries >= REACTIONS[failure.kind].repeats:
            return NEVER
        if failure.kind is FailureKind.STALE:
            return now
        if failure.wait_s is not None:
            return now + failure.wait_s
        retry = self._retry
        return now + backoff_s(
            tries, base_s=retry.base_s, cap_s=retry.cap_s, jitter_s=retry.jitter_s, unit=self._unit
        )

    def _eligible(self) -> list[UpstreamState]:
        return [state for tier in self._tiers for state in tier]

    def _again(self, state: UpstreamState) -> float:
        return self._again_at_s.get(state.spec.name, -NEVER)

    def _free_at_s(self, state: UpstreamState, now: float) -> float:
        return max(self._again(state), state.available_at_s(self._tokens, now))

    def _fail(self, now: float) -> Fail:
        eligible = self._eligible()
        kinds = {attempt.failure.kind for attempt in self.attempts if attempt.failure}
        if kinds == {FailureKind.OVERSIZED}:
            largest_tpm = max(state.spec.limit_tpm or 0 for state in eligible)
            error: SmaltError = final_error.too_large(self.facts.model, self._tokens, largest_tpm)
        else:
            free_s = min((state.available_at_s(self._tokens, now) for state in eligible), default=NEVER)
            retry_after_s = None if free_s == NEVER else max(0.0, free_s - now)
            error = final_error.exhausted(self.facts.model, self.attempts, retry_after_s)
        self._last = Fail(error)
        return self._last
