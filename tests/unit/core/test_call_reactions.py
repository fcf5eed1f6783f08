"""What came back, and what follows: one table, then what needs more words than a row has."""

from typing import NamedTuple

import pytest
from tests.unit.core.builders import (
    BROKEN,
    CAPACITY,
    INVALID,
    KEY_REFUSED,
    MISSING,
    QUOTA_7S,
    QUOTA_DAY,
    REFUSED,
    RESET,
    SLOW,
    STALE,
    TOO_LONG,
    UNREACHED,
    error_of,
    facts,
    fail_once,
    failed,
    make_engine,
    open_call,
    sent,
    sent_to,
    spec,
    status,
)

from smalt.core.call import Fail, Relay, Send, Step, Wait
from smalt.core.settings import RetrySpec, Throughput
from smalt.errors import (
    DeploymentNotFound,
    NoUpstreamAvailable,
    RateLimited,
    SmaltError,
    UpstreamAuthFailed,
    UpstreamTimeout,
)
from smalt.types import Failure, FailureKind, Fate

ELSEWHERE = Send("west/a", 2, 5)
AGAIN = Send("east/a", 2, 5)
RELAY = Relay()
Rest = tuple[str, float]
FREE: Rest = ("available", 0)


class Row(NamedTuple):
    """`then`: the next step while another upstream is free; `alone`: if there is none, an error by its class.
    `rest`, `sibling`: of the upstream and of another deployment of its resource."""

    came_back: str
    failure: Failure
    then: Step | type[SmaltError]
    alone: Step | type[SmaltError]
    rest: Rest
    sibling: Rest
    fate: Fate


def quota(wait_s: float | None) -> Failure:
    return Failure(FailureKind.QUOTA, "Rate limit is exceeded.", 429, wait_s)


def access(status: int, text: str) -> Failure:
    return Failure(FailureKind.ACCESS, text, status)


FILTERED = Failure(FailureKind.CONTENT_FILTER, "filtered", 400)
TRUNCATED = Failure(FailureKind.TRUNCATED, "broke off", 200)
OVERLOADED = Failure(FailureKind.CAPACITY, "overloaded", 503, wait_s=20)
LOCKED_OUT = Failure(FailureKind.NO_CREDENTIAL, "the vault is down")
FLAGGED: Rest = ("flagged", 30)
LOCKED: Rest = ("flagged", 5)

TABLE = [
    Row("429 of the quota", QUOTA_7S, ELSEWHERE, Wait(7), ("cooling", 7), FREE, Fate.FREE),
    Row("429 to the millisecond", quota(0.035), ELSEWHERE, Wait(0.035), ("cooling", 0.035), FREE, Fate.FREE),
    Row("429 without a time", quota(None), ELSEWHERE, Wait(10), ("cooling", 10), FREE, Fate.FREE),
    Row("429 with hours", QUOTA_DAY, ELSEWHERE, RateLimited, ("parked", 60), FREE, Fate.FREE),
    Row("429 capacity pressure", CAPACITY, ELSEWHERE, Wait(10), ("cooling", 10), FREE, Fate.FREE),
    Row("503 overloaded", OVERLOADED, ELSEWHERE, Wait(20), ("cooling", 20), FREE, Fate.FREE),
    Row("401 bad key", REFUSED, ELSEWHERE, UpstreamAuthFailed, FLAGGED, FLAGGED, Fate.FREE),
    Row("401 bad key of two", KEY_REFUSED, AGAIN, AGAIN, FREE, FREE, Fate.FREE),
    Row("no credential", LOCKED_OUT, ELSEWHERE, UpstreamAuthFailed, LOCKED, LOCKED, Fate.NOT_SENT),
    Row("403 firewall", access(403, "Firewall"), ELSEWHERE, UpstreamAuthFailed, FLAGGED, FLAGGED, Fate.FREE),
    Row("400 tenant", access(400, "Tenant"), ELSEWHERE, UpstreamAuthFailed, FLAGGED, FLAGGED, Fate.FREE),
    Row("404 no deployment", MISSING, ELSEWHERE, DeploymentNotFound, FLAGGED, FREE, Fate.FREE),
    Row("400 invalid request", INVALID, RELAY, RELAY, FREE, FREE, Fate.FREE),
    Row("400 content filter", FILTERED, RELAY, RELAY, FREE, FREE, Fate.BILLED),
    Row("400 context too long", TOO_LONG, RELAY, RELAY, FREE, FREE, Fate.FREE),
    Row("connect failed", UNREACHED, ELSEWHERE, Wait(1), ("cooling", 1), ("cooling", 1), Fate.NOT_SENT),
    Row("kept connection closed", STALE, ELSEWHERE, AGAIN, FREE, FREE, Fate.UNKNOWN),
    Row("reset", RESET, ELSEWHERE, Wait(1), ("cooling", 1), FREE, Fate.UNKNOWN),
    Row("timeout", SLOW, UpstreamTimeout, UpstreamTimeout, FREE, FREE, Fate.UNKNOWN),
    Row("answer broke off", TRUNCATED, ELSEWHERE, Wait(1), ("cooling", 1), FREE, Fate.BILLED),
    Row("500", BROKEN, ELSEWHERE, Wait(1), ("cooling", 1), FREE, Fate.FREE),
]
each_row = pytest.mark.parametrize("row", TABLE, ids=[row.came_back for row in TABLE])


def check(step: Step, expected: Step | type[SmaltError]) -> None:
    if isinstance(expected, type):
        assert isinstance(step, Fail)
        assert type(step.error) is expected
    else:
        assert step == expected


def test_the_table_has_every_kind() -> None:
    """But two: the caller's own leaving, and the request that is too large, which is told by its size."""
    told = {row.failure.kind for row in TABLE}
    assert told == set(FailureKind) - {FailureKind.CALLER_LEFT, FailureKind.OVERSIZED}


@each_row
def test_what_the_call_does(row: Row) -> None:
    """With another upstream free, at once; nobody sleeps while capacity is free elsewhere."""
    call = failed(make_engine("east/a west/a"), row.failure, 0)
    check(call.next(0), row.then)


@each_row
def test_what_the_call_does_when_nobody_else_is_left(row: Row) -> None:
    """It waits as long as it must, or says at once that it cannot."""
    call = failed(make_engine("east/a"), row.failure, 0)
    check(call.next(0), row.alone)


@each_row
def test_what_becomes_of_the_upstream(row: Row) -> None:
    """It is hit once and then left alone, with its resource or without."""
    engine = make_engine("east/a", "east/b")
    fail_once(engine, row.failure, 0)
    for name, expected in (("east/a", row.rest), ("east/b", row.sibling)):
        shot = status(engine, name)
        assert (shot.state, shot.rests_for_s) == expected
        assert shot.reason == (None if expected == FREE else row.failure.text)


@each_row
def test_what_the_attempt_may_have_cost(row: Row) -> None:
    """Every attempt is recorded with its fate."""
    (attempt,) = failed(make_engine("east/a"), row.failure, 0).attempts
    assert (attempt.fate, attempt.failure) == (row.fate, row.failure)


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (QUOTA_7S, 5),
        (CAPACITY, 5),
        (UNREACHED, 5),
        (STALE, 5),
        (RESET, 5),
        (TRUNCATED, 2),
        (BROKEN, 2),
        (REFUSED, 1),
        (MISSING, 1),
        (QUOTA_DAY, 1),
        (SLOW, 1),
    ],
)
def test_how_often_a_lone_upstream_is_asked(failure: Failure, attempts: int) -> None:
    """By one call, if it fails the same way every time."""
    call, now = failed(make_engine("east/a"), failure, 0), 0.0
    while not isinstance(step := call.next(now), Fail):
        if isinstance(step, Wait):
            now = step.until_s
        else:
            call.record(failure, now)
    assert len(call.attempts) == attempts


def test_a_full_bucket_spills_just_this_call() -> None:
    """A provisioned deployment says to the millisecond when it has room again; then it is asked."""
    engine = make_engine(spec("east/a", throughput=Throughput(60_000, 1.0)), "west/a")
    call = failed(engine, quota(0.25), 0)
    assert sent_to(call.next(0)) == "west/a"
    assert sent_to(open_call(engine).next(0.2)) == "west/a"
    assert sent_to(open_call(engine).next(0.25)) == "east/a"


def test_a_request_larger_than_one_quota_goes_to_a_larger_one() -> None:
    """Told to wait for hours by the small deployment, which is not cooled for it."""
    small, large = spec("east/a", limit_tpm=50), spec("west/a", limit_tpm=500)
    engine = make_engine(small, large)
    call = failed(engine, QUOTA_DAY, 0)
    assert call.next(0) == ELSEWHERE
    assert status(engine).available
    (attempt,) = call.attempts
    assert attempt.failure is not None
    assert (attempt.failure.kind, attempt.fate) == (FailureKind.OVERSIZED, Fate.FREE)


def test_a_prompt_too_long_goes_to_larger_windows_only() -> None:
    """Neither to an equal nor to a smaller one."""
    engine = make_engine(
        spec("east/a", context_tokens=8_192),
        (spec("north/a", context_tokens=8_192), spec("south/a", context_tokens=4_096), spec("none/a")),
        spec("west/a", context_tokens=128_000),
    )
    call = failed(engine, TOO_LONG, 0)
    assert call.next(0) == ELSEWHERE
    call.record(BROKEN, 0)
    assert call.next(0) == Wait(1)


def test_a_prompt_too_long_for_everybody_is_the_callers_error() -> None:
    """The last refusal goes to the caller as it is."""
    engine = make_engine(spec("east/a", context_tokens=8_192), spec("west/a", context_tokens=128_000))
    call = failed(engine, TOO_LONG, 0)
    call.next(0)
    call.record(TOO_LONG, 0)
    assert call.next(0) == RELAY
    assert call.answered_by is not None
    assert call.answered_by.name == "west/a"


def test_a_prompt_too_long_goes_from_provisioned_to_paid_by_token() -> None:
    """Of one model the latter may take longer ones."""
    engine = make_engine(spec("east/a", throughput=Throughput(60_000, 1.0)), "west/a")
    assert failed(engine, TOO_LONG, 0).next(0) == ELSEWHERE


def test_a_prompt_too_long_is_told_when_the_larger_one_has_failed_before() -> None:
    """The refusal says more than the other's trouble."""
    engine = make_engine(spec("west/a", context_tokens=128_000), spec("east/a", context_tokens=8_192))
    call = failed(engine, BROKEN, 0)
    assert sent_to(call.next(0)) == "east/a"
    call.record(TOO_LONG, 0)
    assert call.next(0) == RELAY


def test_ids_are_never_taken_elsewhere() -> None:
    """A request bound to a resource waits for it, or fails with its errors."""
    engine = make_engine("east/a west/a")
    call = failed(engine, QUOTA_7S, 0, facts(resource="west"))
    assert call.attempts[0].upstream == "west/a"
    assert call.next(0) == Wait(7)


def test_a_lack_of_capacity_prefers_another_region() -> None:
    """It is the region's; within the tier another one is asked first, the same one next."""
    engine = make_engine(
        (
            spec("east/a", region="eastus"),
            spec("east2/a", region="eastus"),
            spec("west/a", region="westus"),
        )
    )
    call = failed(engine, CAPACITY, 0)
    assert call.next(0) == ELSEWHERE
    call.record(BROKEN, 0)
    assert sent_to(call.next(0)) == "east2/a"


def test_a_quota_says_nothing_of_the_region() -> None:
    """The next in order is asked."""
    engine = make_engine((spec("east/a", region="eastus"), spec("east2/a", region="eastus"), spec("west/a")))
    assert sent_to(failed(engine, QUOTA_7S, 0).next(0)) == "east2/a"


def test_siblings_of_a_dead_resource_cost_no_attempt() -> None:
    """Several deployments of one model on a dead resource cost one attempt, not one each."""
    call = failed(make_engine("east/a east/b east/c east/d west/a"), UNREACHED, 0)
    assert call.next(0) == ELSEWHERE


def test_an_error_of_all_kinds_lists_each_cause() -> None:
    """In bounded time, with a time to come back."""
    engine = make_engine("east/a", "west/a", "north/a")
    call = failed(engine, MISSING, 0)
    for failure in (REFUSED, QUOTA_DAY):
        call.next(0)
        call.record(failure, 0)
    error = error_of(call.next(0))
    assert type(error) is NoUpstreamAvailable
    assert [cause.partition(": ")[2] for cause in error.causes] == [
        "404 The API deployment does not exist.",
        "401 Access denied due to invalid subscription key.",
        "429 Please retry after 86400 seconds.",
    ]
    assert error.retry_after_s == 30


def test_the_third_refused_key_flags_the_resource() -> None:
    """After one attempt with each key, and one with a key that was read again, the call goes elsewhere."""
    engine = make_engine("east/a west/a", "east/b")
    call = failed(engine, KEY_REFUSED, 0)
    for _ in range(2):
        assert isinstance(call.next(0), Send)
        call.record(KEY_REFUSED, 1)
    assert call.next(1) == Send("west/a", 4, 5)
    assert [attempt.failure for attempt in call.attempts] == [KEY_REFUSED, KEY_REFUSED, REFUSED]
    assert status(engine, "east/b", now=1).state == "flagged"


def test_a_flagged_resource_is_asked_with_both_keys() -> None:
    """When nothing else is left: its second key may have come to life."""
    engine = make_engine("east/a")
    fail_once(engine, REFUSED, 0)
    call = failed(engine, KEY_REFUSED, 1)
    assert call.next(1) == AGAIN
    call.record(REFUSED, 1)
    assert type(error_of(call.next(1))) is UpstreamAuthFailed


def test_the_other_key_pays_nothing_for_its_try() -> None:
    """The refused attempt was free: its tokens are there for the next one, and no repeat is used up."""
    engine = make_engine(spec("east/a", limit_tpm=150))
    call = failed(engine, KEY_REFUSED, 0)
    assert call.next(0) == AGAIN
    assert call.explain()[-1].chosen == "east/a"
    call.abandon(0)
    assert status(engine).in_flight == 0


def test_the_other_key_waits_where_something_else_is_in_the_way() -> None:
    """A quota that another call has met meanwhile is no matter of keys."""
    engine = make_engine("east/a", "west/a")
    slow = sent(engine, 0)
    fail_once(engine, QUOTA_7S, 0)
    slow.record(KEY_REFUSED, 1)
    assert slow.next(1) == ELSEWHERE


def test_a_key_too_many_is_no_attempt_too_many() -> None:
    """`max_attempts` holds; the next call carries the other key."""
    engine = make_engine("east/a", retry=RetrySpec(max_attempts=1))
    call = failed(engine, KEY_REFUSED, 0)
    assert type(error_of(call.next(0))) is UpstreamAuthFailed
    assert status(engine).available
