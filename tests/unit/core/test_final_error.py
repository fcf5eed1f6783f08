import pytest

from smalt.core.final_error import cause, exhausted, too_large
from smalt.errors import (
    DeploymentNotFound,
    NoUpstreamAvailable,
    RateLimited,
    SmaltError,
    UpstreamAuthFailed,
    UpstreamTimeout,
)
from smalt.types import AttemptRecord, Failure, FailureKind, Fate


def attempts(*kinds: FailureKind) -> list[AttemptRecord]:
    return [
        AttemptRecord(f"r{number}/d", number, Fate.FREE, Failure(kind, "no", 429), 0.1)
        for number, kind in enumerate(kinds, 1)
    ]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([FailureKind.QUOTA], RateLimited),
        ([FailureKind.QUOTA, FailureKind.QUOTA], RateLimited),
        ([FailureKind.CREDENTIAL], UpstreamAuthFailed),
        ([FailureKind.CREDENTIAL, FailureKind.ACCESS], UpstreamAuthFailed),
        ([FailureKind.DEPLOYMENT_NOT_FOUND], DeploymentNotFound),
        ([FailureKind.TIMEOUT], UpstreamTimeout),
        ([FailureKind.QUOTA, FailureKind.TIMEOUT], UpstreamTimeout),
        ([FailureKind.TIMEOUT, FailureKind.QUOTA], NoUpstreamAvailable),
        ([FailureKind.QUOTA, FailureKind.CREDENTIAL], NoUpstreamAvailable),
        ([FailureKind.QUOTA, FailureKind.CAPACITY], NoUpstreamAvailable),
        ([FailureKind.SERVER], NoUpstreamAvailable),
        ([FailureKind.CONNECT], NoUpstreamAvailable),
        ([FailureKind.CAPACITY], NoUpstreamAvailable),
    ],
)
def test_the_error_follows_the_causes(kinds: list[FailureKind], expected: type[SmaltError]) -> None:
    """Attempts that failed alike give that error, any mixture gives the general one."""
    assert type(exhausted("gpt-4o", attempts(*kinds), None)) is expected


def test_every_cause_is_told() -> None:
    """The message and `causes` name each attempt."""
    error = exhausted("gpt-4o", attempts(FailureKind.QUOTA, FailureKind.SERVER), 3)
    assert error.causes == ("attempt 1/2 on r1/d: 429 no", "attempt 2/2 on r2/d: 429 no")
    assert error.message == "no upstream of 'gpt-4o' answered: " + "; ".join(error.causes)


def test_a_time_is_told_where_trying_again_helps() -> None:
    """A retryable error says when the next upstream is free."""
    assert exhausted("gpt-4o", attempts(FailureKind.QUOTA), 3.5).retry_after_s == 3.5


@pytest.mark.parametrize("kind", [FailureKind.TIMEOUT, FailureKind.CREDENTIAL])
def test_no_time_is_told_where_trying_again_does_not_help(kind: FailureKind) -> None:
    """An error that should not be repeated invites nobody to repeat it."""
    assert exhausted("gpt-4o", attempts(kind), 3.5).retry_after_s is None


def test_without_attempts_nobody_was_free() -> None:
    """A call that never found a free upstream is rate limited."""
    error = exhausted("gpt-4o", [], 12)
    assert type(error) is RateLimited
    assert (error.causes, error.retry_after_s) == ((), 12)


def test_a_cause_without_a_status() -> None:
    """A network failure is told without a number."""
    attempt = AttemptRecord("east/a", 1, Fate.NOT_SENT, Failure(FailureKind.CONNECT, "refused"), 0.1)
    assert cause(attempt, 3) == "attempt 1/3 on east/a: refused"


def test_a_cause_of_an_answered_attempt() -> None:
    """An attempt that was answered is told as such."""
    assert cause(AttemptRecord("east/a", 2, Fate.BILLED, None, 0.1), 2) == "attempt 2/2 on east/a: answered"


def test_a_request_too_large_is_told_with_numbers() -> None:
    """The caller reads what was asked and what is allowed."""
    error = too_large("gpt-4o", 250_000, 120_000)
    assert "250,000" in error.message
    assert "120,000" in error.message
    assert error.http_status == 400
