"""The one error a caller gets when every attempt has failed: what happened, where, and what to do."""

from collections.abc import Sequence
from typing import Final

from smalt.core.health import Rest
from smalt.core.limits import Load
from smalt.core.upstream import FULL, UpstreamState
from smalt.errors import (
    DeploymentNotFound,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimited,
    SmaltError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamTimeout,
)
from smalt.types import AttemptRecord, FailureKind

# The error when all attempts failed for the same reason; any mixture is NoUpstreamAvailable.
ALIKE: Final[dict[FailureKind, type[UpstreamError]]] = {
    FailureKind.QUOTA: RateLimited,
    FailureKind.CREDENTIAL: UpstreamAuthFailed,
    FailureKind.ACCESS: UpstreamAuthFailed,
    FailureKind.DEPLOYMENT_NOT_FOUND: DeploymentNotFound,
    FailureKind.TIMEOUT: UpstreamTimeout,
}


def exhausted(
    model: str, load: Load, attempts: Sequence[AttemptRecord], states: Sequence[UpstreamState], now: float
) -> SmaltError:
    """`attempts` is empty when no upstream became available in time. `states`: every upstream of the call."""
    kinds = {attempt.failure.kind for attempt in attempts if attempt.failure is not None}
    if kinds <= {FailureKind.OVERSIZED} and all(state.exceeded_by(load) for state in states):
        return _too_large(model, load, states)
    causes = [cause(attempt) for attempt in attempts] + _rests(attempts, states, now)
    error_class = _class(attempts, states, load, now)
    regions = sorted({state.spec.region for state in states if state.spec.region})
    where = f" (all regions failed: {', '.join(regions)})" if len(regions) > 1 else ""
    message = f"no upstream of {model!r} answered{where}: " + "; ".join(causes)
    free_in_s = min((_free_at_s(state, load, now) for state in states), default=now) - now
    retry_after_s = free_in_s if error_class.retryable and free_in_s < float("inf") else None
    return error_class(message, causes=causes, retry_after_s=retry_after_s)


def cause(attempt: AttemptRecord) -> str:
    """`attempt 1/5 on east/gpt-4o (eastus): 429 Rate limit is exceeded.`"""
    where = f"{attempt.upstream} ({attempt.region})" if attempt.region else attempt.upstream
    start = f"attempt {attempt.number}/{attempt.of} on {where}: "
    if attempt.failure is None:
        return start + "answered"
    status = f"{attempt.failure.status} " if attempt.failure.status is not None else ""
    return start + status + attempt.failure.text


def _class(
    attempts: Sequence[AttemptRecord], states: Sequence[UpstreamState], load: Load, now: float
) -> type[UpstreamError]:
    failures = [attempt.failure for attempt in attempts if attempt.failure is not None]
    if not failures:
        spent = any(state.obstacle(load, now) in {FULL, Rest.COOLING, None} for state in states)
        return RateLimited if spent else NoUpstreamAvailable
    if failures[-1].kind is FailureKind.TIMEOUT:
        return UpstreamTimeout
    classes = {ALIKE.get(failure.kind, NoUpstreamAvailable) for failure in failures}
    return classes.pop() if len(classes) == 1 else NoUpstreamAvailable


def _rests(attempts: Sequence[AttemptRecord], states: Sequence[UpstreamState], now: float) -> list[str]:
    """Why the others were not asked: the failure that sent them to rest, or that they are full."""
    asked = {attempt.upstream for attempt in attempts}
    texts = []
    for state in states:
        if state.spec.name in asked:
            continue
        rest = state.health.resting(now)
        if rest is None:
            texts.append(f"{state.spec.name} is full")
        else:
            texts.append(f"{state.spec.name} rests ({rest}): {state.health.reason}")
    return texts


def _free_at_s(state: UpstreamState, load: Load, now: float) -> float:
    """Like waiting for it, but a rest that no call waits for has an end, too."""
    if state.health.probing:
        return float("inf")
    return max(now, state.health.until_s, *(quota.free_at_s(load, now) for quota in state.quotas))


def _too_large(model: str, load: Load, states: Sequence[UpstreamState]) -> InvalidRequest:
    limits = [state.spec.limit_tpm for state in states if state.spec.limit_tpm is not None]
    most = f" ({max(limits):,})" if limits else ""
    return InvalidRequest(
        f"the request needs about {load.tokens:,} tokens of quota at once (prompt estimate + max_tokens), "
        f"more than any deployment of {model!r} may take per minute{most}",
        resolution=("Lower max_tokens, shorten the prompt, or raise the deployment's quota.",),
    )
