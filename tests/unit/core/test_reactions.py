import pytest

from smalt.core.reactions import REACTIONS, Cooldown, Scope, backoff_s, cooldown
from smalt.types import Failure, FailureKind, Fate


def failure(kind: FailureKind, wait_s: float | None = None) -> Failure:
    return Failure(kind, "no", wait_s=wait_s)


def test_every_failure_has_a_reaction() -> None:
    """The table lacks only the caller's own leaving, which is nobody's failure."""
    assert set(REACTIONS) == set(FailureKind) - {FailureKind.CALLER_LEFT}


def test_only_refused_requests_are_final() -> None:
    """Every other failure may be tried elsewhere."""
    final = {kind for kind, reaction in REACTIONS.items() if reaction.final}
    assert final == {FailureKind.REQUEST, FailureKind.CONTENT_FILTER}


def test_only_a_failed_connect_was_not_sent() -> None:
    """Of every other failure somebody may have counted the tokens."""
    assert [kind for kind, r in REACTIONS.items() if r.fate is Fate.NOT_SENT] == [FailureKind.CONNECT]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FailureKind.QUOTA, Cooldown(10, flagged=False)),
        (FailureKind.CAPACITY, Cooldown(10, flagged=False)),
        (FailureKind.CREDENTIAL, Cooldown(30, flagged=True)),
        (FailureKind.ACCESS, Cooldown(30, flagged=True)),
        (FailureKind.DEPLOYMENT_NOT_FOUND, Cooldown(30, flagged=True)),
        (FailureKind.REQUEST, None),
        (FailureKind.CONTENT_FILTER, None),
        (FailureKind.CONNECT, Cooldown(1, flagged=False)),
        (FailureKind.STALE, None),
        (FailureKind.RESET, Cooldown(1, flagged=False)),
        (FailureKind.TRUNCATED, Cooldown(1, flagged=False)),
        (FailureKind.TIMEOUT, None),
        (FailureKind.SERVER, Cooldown(1, flagged=False)),
    ],
)
def test_the_rest_after_a_first_failure(kind: FailureKind, expected: Cooldown | None) -> None:
    """Without a word from the upstream each kind has its own rest."""
    assert cooldown(failure(kind), 1) == expected


@pytest.mark.parametrize(("in_a_row", "expected"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 32), (5_000, 32)])
def test_rests_grow_up_to_a_cap(in_a_row: int, expected: float) -> None:
    """Own failures in a row double the rest up to 32 s."""
    assert cooldown(failure(FailureKind.SERVER), in_a_row) == Cooldown(expected, flagged=False)


def test_quota_rests_do_not_grow() -> None:
    """Refusals for quota rest an upstream the same however many there were."""
    assert cooldown(failure(FailureKind.QUOTA), 9) == Cooldown(10, flagged=False)


def test_the_upstreams_word_counts() -> None:
    """A time the upstream names is kept exactly, however many failures there were."""
    assert cooldown(failure(FailureKind.SERVER, 6.85), 9) == Cooldown(6.85, flagged=False)


def test_a_minute_is_waited_for() -> None:
    """A rest of exactly a minute is an ordinary one."""
    assert cooldown(failure(FailureKind.QUOTA, 60), 1) == Cooldown(60, flagged=False)


@pytest.mark.parametrize("wait_s", [60.1, 86_400, float("inf")])
def test_longer_waits_are_flagged(wait_s: float) -> None:
    """An upstream that asks for more than a minute is flagged and asked again after one."""
    assert cooldown(failure(FailureKind.QUOTA, wait_s), 1) == Cooldown(60, flagged=True)


def test_a_flag_stays_with_a_named_time() -> None:
    """A refused key is flagged whatever time comes with it."""
    assert cooldown(failure(FailureKind.CREDENTIAL, 5), 1) == Cooldown(5, flagged=True)


def test_a_request_rests_nobody() -> None:
    """A failure of the request alone rests nobody, even if it names a time."""
    assert REACTIONS[FailureKind.TIMEOUT].scope is Scope.REQUEST
    assert cooldown(failure(FailureKind.TIMEOUT, 5), 1) is None


@pytest.mark.parametrize(
    ("repeat", "unit", "expected"), [(1, 0, 1), (2, 0.5, 2.5), (6, 0, 32), (9, 0.9, 32.9)]
)
def test_backoff(repeat: int, unit: float, expected: float) -> None:
    """Repeats wait 1, 2, 4 ... 32 s and up to a second more."""
    assert backoff_s(repeat, base_s=1, cap_s=32, jitter_s=1, unit=unit) == expected
