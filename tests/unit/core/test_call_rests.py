"""What calls learn of upstreams that rest: the breaker, flags, quotas gone for hours, the retry budget."""

import pytest
from tests.unit.core.builders import (
    BROKEN,
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
    answer_once,
    error_of,
    fail_once,
    failed,
    make_engine,
    open_call,
    sent,
    sent_to,
    spec,
    status,
)

from smalt.core.call import Fail, Send, Wait
from smalt.core.settings import RetrySpec
from smalt.errors import (
    DeploymentNotFound,
    NoUpstreamAvailable,
    RateLimited,
    UpstreamAuthFailed,
)


def test_one_incident_counts_once() -> None:
    """Many calls that fail together rest the upstream as long as one failure does."""
    engine = make_engine("east/a")
    calls = [sent(engine, 0) for _ in range(20)]
    for call in calls:
        call.record(UNREACHED, 5)
    assert open_call(engine).next(5) == Wait(6)


def test_quota_refusals_do_not_lengthen_other_rests() -> None:
    """The first connect failure rests an upstream for one second, whatever was refused before."""
    engine = make_engine("east/a")
    for now in (0, 10, 20):
        fail_once(engine, QUOTA_7S, now)
    fail_once(engine, UNREACHED, 30)
    assert open_call(engine).next(30) == Wait(31)


def test_req_1_28_the_breaker() -> None:
    """Five errors of the server open it: the next call fails without an attempt. After 30 s exactly one call
    probes; its success lets everybody through again, and both events are told."""
    engine = make_engine("east/a")
    for now in (0, 1, 3, 7, 15):
        fail_once(engine, BROKEN, now)
    sixth = open_call(engine)
    assert type(error_of(sixth.next(16))) is NoUpstreamAvailable
    assert error_of(sixth.next(16)).retry_after_s == 29
    assert sixth.attempts == []
    probe = sent(engine, 45)
    assert isinstance(open_call(engine).next(45), Fail)
    assert status(engine, now=45).state == "probing"
    probe.record(None, 46)
    assert sent_to(open_call(engine).next(46)) == "east/a"
    assert [str(notice.kind) for notice in engine.take_notices()] == ["breaker_opened", "breaker_closed"]


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """For another half minute."""
    engine = make_engine("east/a")
    for now in (0, 1, 3, 7, 15, 45):
        fail_once(engine, BROKEN, now)
    assert status(engine, now=45).rests_for_s == 30
    assert status(engine, now=75).available


@pytest.mark.parametrize("ends", ["left", "timed out", "stale"])
def test_a_probe_that_says_nothing_leaves_the_question_open(ends: str) -> None:
    """The next call probes instead."""
    engine = make_engine("east/a")
    for now in (0, 1, 3, 7, 15):
        fail_once(engine, BROKEN, now)
    probe = sent(engine, 45)
    if ends == "left":
        probe.abandon(46)
    else:
        probe.record(SLOW if ends == "timed out" else STALE, 46)
    assert status(engine, now=46).available
    sent(engine, 46)
    assert status(engine, now=46).state == "probing"


def test_slowness_does_not_open_the_breaker() -> None:
    """Ten timeouts in a row: the upstream is still asked, but no more taken to be fast."""
    engine = make_engine("east/a")
    for now in range(0, 6_000, 600):
        call = sent(engine, now)
        call.record(SLOW, now + 600)
    assert status(engine, now=6_000).available
    assert status(engine, now=6_000).total_s is not None


def test_repeats_on_one_upstream_are_paid_from_a_budget() -> None:
    """A hundred calls may repeat on an upstream that fails them all; the next one fails at once."""
    engine = make_engine("east/a")
    calls = [sent(engine, 0) for _ in range(101)]
    for call in calls:
        call.record(RESET, 1)
    steps = [call.next(1) for call in calls]
    assert all(isinstance(step, Wait) for step in steps[:100])
    assert type(error_of(steps[100])) is NoUpstreamAvailable


@pytest.mark.parametrize("ends", ["answered", "left", "failed", "queue full"])
def test_repeats_that_did_not_happen_are_paid_back(ends: str) -> None:
    """However the call ends."""
    engine = make_engine("east/a west/a", retry=RetrySpec(max_attempts=2), max_waiting=0)
    for number in range(200):
        now = 1_000.0 * number
        call = failed(engine, RESET, now)
        if ends == "queue full":
            fail_once(engine, RESET, now)
            call.next(now)
            continue
        if ends != "left":
            call.next(now)
            call.record(None if ends == "answered" else RESET, now)
            call.next(now)
        call.abandon(now)
    assert [state.repeats_left for state in engine._states.values()] == [100, 100]


def test_a_repeat_is_paid_for_once() -> None:
    """Four repeats of one call take four from the budget."""
    engine = make_engine("east/a")
    call, now = sent(engine, 0), 0.0
    call.record(RESET, now)
    while isinstance(step := call.next(now), Wait):
        now = step.until_s
        call.next(now)
        call.record(RESET, now)
    (upstream,) = engine._states.values()
    assert upstream.repeats_left == 96


def test_hours_are_never_waited_for() -> None:
    """An upstream that asks for a day fails the call at once, and is asked again after a minute by others."""
    engine = make_engine("east/a")
    call = sent(engine, 0, deadline_s=1e9)
    call.record(QUOTA_DAY, 0)
    error = error_of(call.next(0))
    assert type(error) is RateLimited
    assert error.retry_after_s == 60
    parked = open_call(engine)
    assert type(error_of(parked.next(59))) is RateLimited
    assert parked.attempts == []
    assert sent_to(open_call(engine).next(60)) == "east/a"


def test_a_wait_beyond_the_deadline_fails_at_once() -> None:
    """Nobody waits for what comes too late; the error says when it would have come."""
    call = sent(make_engine("east/a"), 0, deadline_s=6)
    call.record(QUOTA_7S, 0)
    error = error_of(call.next(0))
    assert type(error) is RateLimited
    assert error.retry_after_s == 7


def test_a_wait_up_to_the_deadline_is_worth_it() -> None:
    """At the deadline itself the call may still be sent, but no more wait."""
    engine = make_engine("east/a")
    call = sent(engine, 0, deadline_s=7)
    call.record(QUOTA_7S, 0)
    assert call.next(0) == Wait(7)
    assert call.next(7) == Send("east/a", 2, 5)
    late = open_call(engine, deadline_s=7)
    fail_once(engine, QUOTA_7S, 7)
    assert isinstance(late.next(7), Fail)


def test_without_a_deadline_nobody_waits_forever() -> None:
    """Even with an endless deadline a call fails when no upstream will come back."""
    call = sent(make_engine("east/a"), 0, deadline_s=NEVER)
    call.record(MISSING, 0)
    assert type(error_of(call.next(0))) is DeploymentNotFound


def test_a_flagged_upstream_is_asked_when_nothing_else_is_left() -> None:
    """Waiting cannot help, so its own error reaches the caller: once a call."""
    engine = make_engine("east/a")
    fail_once(engine, REFUSED, 0)
    call = open_call(engine)
    assert call.next(1) == Send("east/a", 1, 5)
    call.record(REFUSED, 1)
    assert type(error_of(call.next(1))) is UpstreamAuthFailed


def test_a_flagged_upstream_is_asked_last() -> None:
    """First who is healthy, then who may be waited for."""
    engine = make_engine("east/a west/a")
    fail_once(engine, REFUSED, 0)
    call = open_call(engine)
    assert call.next(0) == Send("west/a", 1, 5)
    call.record(QUOTA_7S, 0)
    assert call.next(0) == Wait(7)


def test_every_flagged_upstream_is_asked_once() -> None:
    """One after the other, tier by tier."""
    engine = make_engine("east/a", "west/a")
    first = failed(engine, REFUSED, 0)
    first.next(0)
    first.record(REFUSED, 0)
    call = open_call(engine)
    assert call.next(1) == Send("east/a", 1, 5)
    call.record(REFUSED, 1)
    assert call.next(1) == Send("west/a", 2, 5)
    call.record(REFUSED, 1)
    assert type(error_of(call.next(1))) is UpstreamAuthFailed


def test_a_parked_upstream_is_not_asked_as_a_last_resort() -> None:
    """Its quota is gone; asking again only adds to it."""
    engine = make_engine("east/a west/a")
    fail_once(engine, QUOTA_DAY, 0)
    fail_once(engine, MISSING, 0)
    call = open_call(engine)
    assert call.next(1) == Send("west/a", 1, 5)
    call.record(MISSING, 1)
    assert isinstance(call.next(1), Fail)


def test_a_flagged_upstream_that_is_full_is_not_asked() -> None:
    """A flag does not lift the limit of tokens per minute."""
    engine = make_engine(spec("east/a", limit_tpm=150))
    fail_once(engine, REFUSED, 0)
    error = error_of(open_call(engine).next(1))
    assert type(error) is NoUpstreamAvailable
    assert error.retry_after_s == WINDOW_S - 1


def test_an_answer_lifts_the_flag() -> None:
    """A flagged upstream that answers again serves as before."""
    engine = make_engine("east/a")
    fail_once(engine, REFUSED, 0)
    answer_once(engine, 1)
    assert engine.unavailable_models(1) == ()
