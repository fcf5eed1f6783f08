import pytest
from tests.unit.core.builders import (
    BROKEN,
    INVALID,
    KEY_REFUSED,
    MISSING,
    NEVER,
    QUOTA_7S,
    QUOTA_DAY,
    REFUSED,
    RESET,
    SLOW,
    STALE,
    UNREACHED,
    WINDOW_S,
    load,
    state,
)

from smalt.core import incidents
from smalt.core.health import Rest
from smalt.core.reactions import REACTIONS, Scope
from smalt.core.settings import Throughput
from smalt.core.upstream import UpstreamState
from smalt.types import AttemptRecord, Failure, FailureKind, Fate, Notice, NoticeKind


def fail(failure: Failure, *states: UpstreamState, now: float, sent_s: float | None = None) -> Notice | None:
    """The first of the resource's upstreams fails, an attempt sent at that moment if not said otherwise."""
    return incidents.failed(failure, states[0], states, now if sent_s is None else sent_s, now)


def rest(state: UpstreamState, now: float) -> tuple[Rest | None, float]:
    return state.health.resting(now), state.health.until_s


def attempt(upstream: str, failure: Failure | None) -> AttemptRecord:
    return AttemptRecord(upstream, None, 1, 5, Fate.FREE, failure, 0.1)


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ([], FailureKind.KEY),
        ([attempt("east/b", KEY_REFUSED)], FailureKind.KEY),
        ([attempt("east/b", KEY_REFUSED), attempt("east/a", KEY_REFUSED)], FailureKind.CREDENTIAL),
        ([attempt("east/a", KEY_REFUSED), attempt("west/a", KEY_REFUSED)], FailureKind.KEY),
        ([attempt("eastern/a", KEY_REFUSED), attempt("east/a", BROKEN)], FailureKind.KEY),
        ([attempt("east/a", None)], FailureKind.KEY),
    ],
)
def test_the_third_refused_key_of_a_resource_is_its_last(
    before: list[AttemptRecord], kind: FailureKind
) -> None:
    """Then the credential as a whole is refused; other resources have keys of their own."""
    known = incidents.considered(KEY_REFUSED, state("east/a"), load(84, 16), before)
    assert known == Failure(kind, KEY_REFUSED.text, 401)


def test_one_refused_key_rests_nobody() -> None:
    """As long as the other is untried."""
    first, sibling = state("east/a"), state("east/b")
    fail(KEY_REFUSED, first, sibling, now=0)
    assert rest(first, 0) == rest(sibling, 0) == (None, -NEVER)


def with_open_breaker() -> UpstreamState:
    """Since 0, until 30."""
    made = state()
    for _ in range(5):
        fail(BROKEN, made, now=0)
    assert rest(made, 0) == (Rest.OPEN, 30)
    return made


@pytest.mark.parametrize("kind", sorted(kind for kind, r in REACTIONS.items() if r.scope is Scope.RESOURCE))
def test_a_failure_of_the_resource_rests_all_its_deployments(kind: FailureKind) -> None:
    """Siblings on a dead or closed resource are not asked one by one."""
    first, sibling = state("east/a"), state("east/b")
    fail(Failure(kind, "no"), first, sibling, now=0)
    assert rest(first, 0) == rest(sibling, 0)
    assert rest(sibling, 0)[0] is not None
    assert sibling.health.reason == "no"


@pytest.mark.parametrize("failure", [QUOTA_7S, BROKEN, RESET, MISSING])
def test_a_failure_of_the_deployment_leaves_its_siblings_alone(failure: Failure) -> None:
    """Each has its own quota and its own troubles."""
    first, sibling = state("east/a"), state("east/b")
    fail(failure, first, sibling, now=0)
    assert rest(sibling, 0) == (None, -NEVER)


def test_siblings_rest_for_this_failure_only() -> None:
    """A deployment that is flagged as missing does not flag the others when a connection is refused."""
    first, sibling = state("east/a"), state("east/b")
    fail(MISSING, first, sibling, now=0)
    fail(UNREACHED, first, sibling, now=1)
    assert rest(sibling, 1) == (Rest.COOLING, 2)
    assert rest(first, 1) == (Rest.FLAGGED, 30)


def test_refused_connections_grow_for_all_siblings() -> None:
    """The failures are counted where they happened; the resource rests as long as that says."""
    first, sibling = state("east/a"), state("east/b")
    fail(UNREACHED, first, sibling, now=0)
    fail(UNREACHED, first, sibling, now=1)
    assert rest(sibling, 1) == (Rest.COOLING, 3)
    assert sibling.health.failures == 0


@pytest.mark.parametrize("failure", [SLOW, STALE, INVALID])
def test_what_is_nobodys_fault_rests_nobody(failure: Failure) -> None:
    """Slowness, an old connection, a bad request: however often."""
    made = state()
    notices = [fail(failure, made, now=now) for now in range(10)]
    assert rest(made, 9) == (None, -NEVER)
    assert notices == [None] * 10
    assert made.health.failures == 0


@pytest.mark.parametrize("failure", [QUOTA_7S, REFUSED, MISSING])
def test_refusals_do_not_trip_the_breaker(failure: Failure) -> None:
    """The upstream is there, and says what is wrong."""
    made = state()
    for now in range(0, 1_000, 100):
        fail(failure, made, now=now)
    assert (made.health.failures, made.health.half_open) == (0, False)


def test_a_500_that_names_a_time_rests_that_long() -> None:
    """Not a second of ours, and not doubled."""
    made = state()
    for now in (0, 1, 2):
        fail(Failure(FailureKind.SERVER, "no", 500, wait_s=0.25), made, now=now)
    assert rest(made, 2) == (Rest.COOLING, 2.25)


def test_a_failure_of_the_same_incident_rests_no_longer() -> None:
    """Twenty calls that fail together count as one."""
    made = state()
    for now in (1, 1.5, 1.9):
        fail(BROKEN, made, now=now, sent_s=0)
    assert rest(made, 1.9) == (Rest.COOLING, 2)


def test_a_named_quota_ends_the_minute_then() -> None:
    """Azure's window is not where we thought: what is known of it is corrected."""
    made = state(limit_tpm=1_000)
    made.own.charge(load(900), 0)
    fail(QUOTA_7S, made, now=1)
    assert made.own.free_at_s(load(900), 1) == 8


@pytest.mark.parametrize(
    "failure", [QUOTA_DAY, Failure(FailureKind.QUOTA, "no", 429), Failure(FailureKind.CAPACITY, "no", 429, 7)]
)
def test_other_refusals_say_nothing_of_the_minute(failure: Failure) -> None:
    """Hours, no time at all, or a lack of capacity whatever the quota."""
    made = state(limit_tpm=1_000)
    made.own.charge(load(900), 0)
    fail(failure, made, now=1)
    assert made.own.free_at_s(load(900), 1) == WINDOW_S


def test_a_minute_is_the_longest_that_a_quota_window_takes() -> None:
    """A refusal for exactly a minute is one of the quota's."""
    made = state(limit_tpm=1_000)
    made.own.charge(load(900), 0)
    fail(Failure(FailureKind.QUOTA, "no", 429, wait_s=60), made, now=30)
    assert made.own.free_at_s(load(900), 30) == 90


def test_a_full_bucket_is_full_until_the_named_time() -> None:
    """A provisioned deployment says how long it takes to drain to its brim."""
    made = state(throughput=Throughput(60_000, 4.0))
    fail(Failure(FailureKind.QUOTA, "no", 429, wait_s=0.5), made, now=1)
    assert made.own.free_at_s(load(1), 1) == pytest.approx(1.5)
    assert made.share(1) == pytest.approx(1 + 0.5 / 60)


def test_opening_the_breaker_is_told() -> None:
    """Once, with the failure that did it, and not again when a probe fails."""
    made = state()
    notices = [fail(BROKEN, made, now=now) for now in (0, 1, 3, 7, 15, 45)]
    text = "5 failures in a row; rests until one call in 30 s succeeds: Internal server error"
    told = Notice(NoticeKind.BREAKER_OPENED, "east/a", text)
    assert notices == [None] * 4 + [told, None]


def test_closing_the_breaker_is_told() -> None:
    """Once, by the answer that did it."""
    made = with_open_breaker()
    told = Notice(NoticeKind.BREAKER_CLOSED, "east/a", "answers again")
    assert [incidents.answered(made) for _ in range(2)] == [told, None]
    assert rest(made, 0)[0] is None


def test_a_refused_request_closes_the_breaker_too() -> None:
    """Who finds fault with a request is there."""
    made = with_open_breaker()
    told = Notice(NoticeKind.BREAKER_CLOSED, "east/a", "answers again")
    assert fail(INVALID, made, now=30) == told
    assert rest(made, 30)[0] is None


def test_a_refused_request_lifts_no_flag() -> None:
    """A bad request may be refused before anybody looks for the deployment."""
    made = state()
    fail(MISSING, made, now=0)
    fail(INVALID, made, now=1)
    assert rest(made, 1) == (Rest.FLAGGED, 30)


@pytest.mark.parametrize("failure", [SLOW, STALE])
def test_silence_does_not_close_the_breaker(failure: Failure) -> None:
    """Where nothing was heard, nothing is known."""
    made = with_open_breaker()
    assert fail(failure, made, now=30) is None
    assert made.health.half_open
