"""The one error a caller gets when every attempt has failed: what happened, where, and what to do."""

from collections.abc import Collection, Sequence
from typing import Final

from smalt.core.health import Rest
from smalt.core.limits import Load, StandardQuota
from smalt.core.upstream import FULL, UpstreamState
from smalt.errors import (
    ContentFiltered,
    ContextTooLong,
    DeploymentNotFound,
    InvalidRequest,
    NotFound,
    NoUpstreamAvailable,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    ServiceUnavailable,
    SmaltError,
    Unauthorized,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamTimeout,
)
from smalt.types import AttemptRecord, Failure, FailureKind

# The error when all attempts failed for the same reason; any mixture is NoUpstreamAvailable.
ALIKE: Final[dict[FailureKind, type[UpstreamError]]] = {
    FailureKind.QUOTA: RateLimited,
    FailureKind.CREDENTIAL: UpstreamAuthFailed,
    FailureKind.KEY: UpstreamAuthFailed,
    FailureKind.NO_CREDENTIAL: UpstreamAuthFailed,
    FailureKind.ACCESS: UpstreamAuthFailed,
    FailureKind.DEPLOYMENT_NOT_FOUND: DeploymentNotFound,
    FailureKind.CAPACITY: ServiceUnavailable,
    FailureKind.SERVER: ServiceUnavailable,
    FailureKind.TIMEOUT: UpstreamTimeout,
}
# What an upstream's own answer is called where it reaches the caller as it is.
RELAYED: Final[dict[FailureKind, type[SmaltError]]] = {
    **ALIKE,
    FailureKind.CREDENTIAL: Unauthorized,
    FailureKind.ACCESS: PermissionDenied,
    FailureKind.REQUEST: InvalidRequest,
    FailureKind.CONTENT_FILTER: ContentFiltered,
    FailureKind.CONTEXT: ContextTooLong,
}
REFUSED: Final[dict[int | None, type[SmaltError]]] = {404: NotFound, 413: PayloadTooLarge}  # by HTTP status
OUT_OF_QUOTA: Final = frozenset({FULL, Rest.COOLING, Rest.PARKED, None})  # what a call without attempts met


def exhausted(
    model: str, load: Load, attempts: Sequence[AttemptRecord], states: Sequence[UpstreamState], now: float
) -> SmaltError:
    """`attempts` is empty when no upstream became available in time. `states`: every upstream of the call."""
    kinds = [attempt.failure.kind for attempt in attempts if attempt.failure is not None]
    if set(kinds) <= {FailureKind.OVERSIZED} and all(state.exceeded_by(load) for state in states):
        return _too_large(model, load, states)
    asked = {attempt.upstream for attempt in attempts}
    obstacles = {state: state.obstacle(load, now) for state in states if state.spec.name not in asked}
    causes = [cause(attempt) for attempt in attempts]
    causes += [_why_not_asked(state, obstacle, now) for state, obstacle in obstacles.items()]
    error_class = _class(kinds, obstacles.values())
    regions = sorted({state.spec.region for state in states if state.spec.region})
    all_failed = len(regions) > 1 and None not in obstacles.values()
    where = f" (all regions failed: {', '.join(regions)})" if all_failed else ""
    message = f"no upstream of {model!r} answered{where}: " + "; ".join(causes)
    free_in_s = min(_free_at_s(state, load, now) for state in states) - now
    retry_after_s = free_in_s if error_class.retryable and free_in_s < float("inf") else None
    return error_class(message, causes=causes, retry_after_s=retry_after_s)


def named(failure: Failure) -> type[SmaltError]:
    """The class that describes an answer of the upstream's own."""
    if failure.kind is FailureKind.REQUEST and failure.status in REFUSED:
        return REFUSED[failure.status]
    return RELAYED.get(failure.kind, NoUpstreamAvailable)


def cause(attempt: AttemptRecord) -> str:
    """`attempt 1/5 on east/gpt-4o (eastus): 429 Rate limit is exceeded.`"""
    where = f"{attempt.upstream} ({attempt.region})" if attempt.region else attempt.upstream
    start = f"attempt {attempt.number}/{attempt.of} on {where}: "
    if attempt.failure is None:
        return start + "answered"
    status = f"{attempt.failure.status} " if attempt.failure.status is not None else ""
    return start + status + attempt.failure.text


def _class(kinds: Sequence[FailureKind], obstacles: Collection[str | None]) -> type[UpstreamError]:
    if not kinds:
        return NoUpstreamAvailable if OUT_OF_QUOTA.isdisjoint(obstacles) else RateLimited
    if kinds[-1] is FailureKind.TIMEOUT:
        return UpstreamTimeout
    classes = {ALIKE.get(kind, NoUpstreamAvailable) for kind in kinds}
    return classes.pop() if len(classes) == 1 else NoUpstreamAvailable


def _why_not_asked(state: UpstreamState, obstacle: str | None, now: float) -> str:
    """The failure that sent it to rest, or that it is full, or that nothing was wrong with it."""
    if obstacle is None:
        return f"{state.spec.name} was not asked"
    if obstacle == FULL:
        return f"{state.spec.name} is full"
    return f"{state.spec.name} rests ({obstacle}): {state.health.why(now)}"


def _free_at_s(state: UpstreamState, load: Load, now: float) -> float:
    """Like waiting for it, but a rest that no call waits for has an end, too."""
    if state.health.probing:
        return float("inf")
    return max(now, state.health.until_s, *(quota.free_at_s(load, now) for quota in state.quotas))


def _too_large(model: str, load: Load, states: Sequence[UpstreamState]) -> InvalidRequest:
    quotas = ([quota for quota in state.quotas if isinstance(quota, StandardQuota)] for state in states)
    most = max(min(quota.tokens.limit for quota in of_one) for of_one in quotas)
    return InvalidRequest(
        f"the request needs about {load.tokens:,} tokens of quota at once (prompt estimate + max_tokens), "
        f"more than any deployment of {model!r} may take per minute ({most:,.0f})",
        resolution=("Lower max_tokens, shorten the prompt, or raise the deployment's quota.",),
    )
