import pytest

from smalt.core.health import Cooldown, Rest
from smalt.core.reactions import REACTIONS, Reaction, Scope, backoff_s, cooldown
from smalt.types import Failure, FailureKind, Fate

ALL = set(FailureKind) - {FailureKind.CALLER_LEFT}


def failure(kind: FailureKind, wait_s: float | None = None) -> Failure:
    return Failure(kind, "no", wait_s=wait_s)


def kinds(**wanted: object) -> set[FailureKind]:
    """Those whose reaction has these values."""
    return {
        kind
        for kind, reaction in REACTIONS.items()
        if all(getattr(reaction, name) == value for name, value in wanted.items())
    }


def test_every_failure_has_a_reaction() -> None:
    """The table lacks only the caller's own leaving, which is nobody's failure."""
    assert set(REACTIONS) == ALL


def test_only_refused_requests_are_final() -> None:
    """Every other failure may be tried elsewhere."""
    assert kinds(final=True) == {FailureKind.REQUEST, FailureKind.CONTENT_FILTER}


def test_what_an_attempt_may_have_cost() -> None:
    """Refusals are free; an answer that began and a filtered prompt are billed; of the rest nobody knows."""
    assert kinds(fate=Fate.NOT_SENT) == {FailureKind.CONNECT, FailureKind.NO_CREDENTIAL}
    assert kinds(fate=Fate.BILLED) == {FailureKind.CONTENT_FILTER, FailureKind.TRUNCATED}
    assert kinds(fate=Fate.UNKNOWN) == {FailureKind.STALE, FailureKind.RESET, FailureKind.TIMEOUT}


def test_how_far_a_failure_reaches() -> None:
    """A refused connection or credential concerns the resource, what the request brought with it nobody."""
    assert kinds(scope=Scope.RESOURCE) == {
        FailureKind.CONNECT,
        FailureKind.CREDENTIAL,
        FailureKind.NO_CREDENTIAL,
        FailureKind.ACCESS,
    }
    assert kinds(scope=Scope.DEPLOYMENT) == {
        FailureKind.QUOTA,
        FailureKind.CAPACITY,
        FailureKind.DEPLOYMENT_NOT_FOUND,
        FailureKind.RESET,
        FailureKind.TRUNCATED,
        FailureKind.SERVER,
    }


def test_what_counts_towards_the_breaker() -> None:
    """The upstream's own failures; not its quota, not a refusal, not slowness."""
    assert kinds(trips=True) == {
        FailureKind.CONNECT,
        FailureKind.RESET,
        FailureKind.TRUNCATED,
        FailureKind.SERVER,
    }


def test_only_a_lack_of_capacity_prefers_another_region() -> None:
    """Capacity is the region's; everything else is not."""
    assert kinds(elsewhere_region=True) == {FailureKind.CAPACITY}


def test_how_often_one_call_may_ask_the_same_upstream() -> None:
    """Once where its mind is made up, twice for errors of the server, else as often as a call may try."""
    assert kinds(repeats=1) == {
        FailureKind.OVERSIZED,
        FailureKind.CREDENTIAL,
        FailureKind.NO_CREDENTIAL,
        FailureKind.ACCESS,
        FailureKind.DEPLOYMENT_NOT_FOUND,
        FailureKind.CONTEXT,
    }
    assert kinds(repeats=2) == {FailureKind.TRUNCATED, FailureKind.SERVER}
    assert {reaction.repeats for reaction in REACTIONS.values()} == {1, 2, 5}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FailureKind.QUOTA, Cooldown(10, Rest.COOLING)),
        (FailureKind.OVERSIZED, None),
        (FailureKind.CAPACITY, Cooldown(10, Rest.COOLING)),
        (FailureKind.CREDENTIAL, Cooldown(30, Rest.FLAGGED)),
        (FailureKind.KEY, None),
        (FailureKind.NO_CREDENTIAL, Cooldown(5, Rest.FLAGGED)),
        (FailureKind.ACCESS, Cooldown(30, Rest.FLAGGED)),
        (FailureKind.DEPLOYMENT_NOT_FOUND, Cooldown(30, Rest.FLAGGED)),
        (FailureKind.CONTEXT, None),
        (FailureKind.REQUEST, None),
        (FailureKind.CONTENT_FILTER, None),
        (FailureKind.CONNECT, Cooldown(1, Rest.COOLING)),
        (FailureKind.STALE, None),
        (FailureKind.RESET, Cooldown(1, Rest.COOLING)),
        (FailureKind.TRUNCATED, Cooldown(1, Rest.COOLING)),
        (FailureKind.TIMEOUT, None),
        (FailureKind.SERVER, Cooldown(1, Rest.COOLING)),
    ],
)
def test_the_rest_after_a_failure(kind: FailureKind, expected: Cooldown | None) -> None:
    """Without a word from the upstream each kind has its own rest."""
    assert cooldown(failure(kind)) == expected


@pytest.mark.parametrize("kind", [FailureKind.QUOTA, FailureKind.CAPACITY, FailureKind.SERVER])
@pytest.mark.parametrize("wait_s", [0.0, 0.05, 6.85, 60.0])
def test_the_upstreams_word_counts(kind: FailureKind, wait_s: float) -> None:
    """A time the upstream names is kept exactly, up to a minute."""
    assert cooldown(failure(kind, wait_s)) == Cooldown(wait_s, Rest.COOLING)


@pytest.mark.parametrize("wait_s", [60.1, 86_400, float("inf")])
def test_who_asks_for_more_than_a_minute_is_parked(wait_s: float) -> None:
    """And asked again after a minute."""
    assert cooldown(failure(FailureKind.QUOTA, wait_s)) == Cooldown(60, Rest.PARKED)


@pytest.mark.parametrize(("wait_s", "seconds"), [(5, 5), (86_400, 60)])
def test_a_flag_stays_a_flag_with_a_named_time(wait_s: float, seconds: float) -> None:
    """A refused key is not a quota that is gone."""
    assert cooldown(failure(FailureKind.CREDENTIAL, wait_s)) == Cooldown(seconds, Rest.FLAGGED)


@pytest.mark.parametrize("kind", sorted(kinds(scope=Scope.REQUEST)))
def test_a_request_rests_nobody(kind: FailureKind) -> None:
    """A failure of the request alone rests nobody, even if it names a time."""
    assert cooldown(failure(kind, 5)) is None


@pytest.mark.parametrize(
    ("repeat", "unit", "expected"), [(1, 0, 1), (2, 0.5, 2.5), (3, 0, 4), (6, 0, 32), (9, 0.9, 32.9)]
)
def test_backoff(repeat: int, unit: float, expected: float) -> None:
    """Repeats wait 1, 2, 4 ... 32 s and up to a second more."""
    assert backoff_s(repeat, base_s=1, cap_s=32, jitter_s=1, unit=unit) == expected


def test_backoff_follows_its_settings() -> None:
    """Base, cap and jitter are the user's."""
    assert backoff_s(3, base_s=0.5, cap_s=10, jitter_s=4, unit=0.25) == 3
    assert backoff_s(9, base_s=0.5, cap_s=10, jitter_s=4, unit=0.25) == 11


def test_without_a_word_a_reaction_is_mild() -> None:
    """A kind states only what differs: a rest of its own deployment, nothing final, five tries."""
    mild = Reaction(Fate.FREE)
    assert (mild.scope, mild.cooldown_s, mild.rest) == (Scope.DEPLOYMENT, 0, Rest.COOLING)
    assert (mild.trips, mild.final, mild.repeats, mild.elsewhere_region) == (False, False, 5, False)
