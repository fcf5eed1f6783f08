"""What failures and answers do to the upstreams they came from."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from smalt.core.limits import Load
from smalt.core.reactions import LONGEST_WAIT_S, REACTIONS, Scope, cooldown
from smalt.core.upstream import UpstreamState
from smalt.types import AttemptRecord, Failure, FailureKind, Notice, NoticeKind

ESTIMATE_DOUBT: Final = 2  # times as large as estimated a request may be


def considered(
    failure: Failure, state: UpstreamState, load: Load, before: Sequence[AttemptRecord]
) -> Failure:
    """The failure in the light of its call. `before`: the call's earlier attempts.

    Told to wait for hours: if the request may exceed the quota of a whole minute, that is why. A key is
    refused: if it is the second one of the resource, no other is left to try.
    """
    waits_long = failure.wait_s is not None and failure.wait_s > LONGEST_WAIT_S
    most = replace(load, tokens=ESTIMATE_DOUBT * load.tokens)
    if failure.kind is FailureKind.QUOTA and waits_long and state.exceeded_by(most):
        return replace(failure, kind=FailureKind.OVERSIZED)
    if failure.kind is FailureKind.KEY and sum(_was_refused_a_key(attempt, state) for attempt in before) >= 2:
        return replace(failure, kind=FailureKind.CREDENTIAL)
    return failure


def _was_refused_a_key(attempt: AttemptRecord, state: UpstreamState) -> bool:
    kind = attempt.failure.kind if attempt.failure is not None else None
    return kind is FailureKind.KEY and attempt.upstream.startswith(f"{state.spec.resource}/")


def failed(
    failure: Failure, state: UpstreamState, siblings: Sequence[UpstreamState], sent_s: float, now: float
) -> Notice | None:
    """Put the upstream to rest, or all of its resource (`siblings`, itself among them) where the failure
    reaches that far. `sent_s`: when the attempt was sent. The notice says that the breaker has opened."""
    reaction, health = REACTIONS[failure.kind], state.health
    rest = cooldown(failure)
    if rest is None:
        return _spoke(state, answered=False) if failure.status is not None else None
    was_open = health.half_open
    if reaction.trips:
        rest = health.failed(sent_s, rest, grows=failure.wait_s is None, now=now)
    if rest is not None:
        for reached in siblings if reaction.scope is Scope.RESOURCE else (state,):
            reached.health.cool(rest, failure.text, now)
    if failure.kind is FailureKind.QUOTA and failure.wait_s is not None and failure.wait_s <= LONGEST_WAIT_S:
        state.own.refused_until(now + failure.wait_s, now)
    if was_open or not health.half_open:
        return None
    text = f"{health.failures} failures in a row; rests until one call in {health.until_s - now:g} s succeeds"
    return Notice(NoticeKind.BREAKER_OPENED, state.spec.name, f"{text}: {failure.text}")


def answered(state: UpstreamState) -> Notice | None:
    """The notice says that the breaker has closed."""
    return _spoke(state, answered=True)


def missed(
    resource: str, states: Sequence[UpstreamState], trouble: str, now: float, rest_s: float
) -> Notice | None:
    """A question to a resource went wrong that no call had asked. The notice says so the first time."""
    news = [state.health.missed(trouble, now + rest_s, now) for state in states]
    if not any(news):
        return None
    return Notice(NoticeKind.PROBE_FAILED, resource, f"a probe failed: {trouble}")


def reached(resource: str, states: Sequence[UpstreamState], now: float) -> Notice | None:
    """Such a question was answered. The notice says that the one before was not."""
    news = [state.health.reached(now) for state in states]
    if not any(news):
        return None
    return Notice(NoticeKind.PROBE_ANSWERED, resource, "a probe was answered again")


def _spoke(state: UpstreamState, *, answered: bool) -> Notice | None:
    """It refused one request, or answered it: in both cases it is there."""
    if not state.health.alive(answered=answered):
        return None
    return Notice(NoticeKind.BREAKER_CLOSED, state.spec.name, "answers again")
