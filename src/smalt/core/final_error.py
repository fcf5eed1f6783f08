"""The one error a caller gets when every attempt has failed: what happened, where, and what to do."""

from collections.abc import Sequence

from smalt.errors import (
    DeploymentNotFound,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimited,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamTimeout,
)
from smalt.types import AttemptRecord, FailureKind

# The error when all attempts failed for the same reason; any mixture is NoUpstreamAvailable.
ALIKE: dict[FailureKind, type[UpstreamError]] = {
    FailureKind.QUOTA: RateLimited,
    FailureKind.CREDENTIAL: UpstreamAuthFailed,
    FailureKind.ACCESS: UpstreamAuthFailed,
    FailureKind.DEPLOYMENT_NOT_FOUND: DeploymentNotFound,
    FailureKind.TIMEOUT: UpstreamTimeout,
}


def exhausted(model: str, attempts: Sequence[AttemptRecord], retry_after_s: float | None) -> UpstreamError:
    """`attempts` is empty when no upstream became available in time."""
    if not attempts:
        message = f"no upstream of {model!r} is free in time: all are cooling down or full"
        return RateLimited(message, retry_after_s=retry_after_s)
    if attempts[-1].failure is not None and attempts[-1].failure.kind is FailureKind.TIMEOUT:
        kinds = {ALIKE[FailureKind.TIMEOUT]}
    else:
        kinds = {ALIKE.get(a.failure.kind, NoUpstreamAvailable) for a in attempts if a.failure is not None}
    error_class = kinds.pop() if len(kinds) == 1 else NoUpstreamAvailable
    causes = [cause(attempt, len(attempts)) for attempt in attempts]
    message = f"no upstream of {model!r} answered: " + "; ".join(causes)
    return error_class(message, causes=causes, retry_after_s=retry_after_s if error_class.retryable else None)


def cause(attempt: AttemptRecord, of: int) -> str:
    """`attempt 1/2 on east/gpt-4o: 429 Rate limit is exceeded.`"""
    failure = attempt.failure
    if failure is None:
        return f"attempt {attempt.number}/{of} on {attempt.upstream}: answered"
    status = f"{failure.status} " if failure.status is not None else ""
    return f"attempt {attempt.number}/{of} on {attempt.upstream}: {status}{failure.text}"


def too_large(model: str, tokens: int, largest_tpm: int) -> InvalidRequest:
    return InvalidRequest(
        f"the request needs about {tokens:,} tokens of quota at once (prompt estimate + max_tokens), more "
        f"than any deployment of {model!r} may take per minute ({largest_tpm:,})",
        resolution=("Lower max_tokens, shorten the prompt, or raise the deployment's quota.",),
    )
