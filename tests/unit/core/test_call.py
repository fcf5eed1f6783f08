"""One call from its first step to its last: attempts, repeats, deadlines, ends."""

import pytest
from tests.unit.core.builders import (
    BROKEN,
    MISSING,
    QUOTA_7S,
    REFUSED,
    RESET,
    SLOW,
    STALE,
    UNREACHED,
    WINDOW_S,
    answer_once,
    error_of,
    facts,
    fail_once,
    failed,
    make_engine,
    open_call,
    sent,
    spec,
    spent,
    status,
)

from smalt.core.call import Fail, Relay, Send, Wait
from smalt.core.settings import RetrySpec
from smalt.errors import (
    ServiceUnavailable,
    UpstreamTimeout,
)
from smalt.types import Failure, FailureKind, Fate, Usage

ONCE = RetrySpec(max_attempts=1)


def test_an_answer_is_relayed() -> None:
    """A call that is answered at once takes one attempt and names who answered."""
    call = open_call(make_engine(spec("east/a", region="eastus")))
    assert call.next(0) == Send("east/a", 1, 5)
    call.record(None, 2)
    assert call.next(2) == Relay()
    assert call.answered_by == spec("east/a", region="eastus")
    (attempt,) = call.attempts
    assert (attempt.upstream, attempt.region, attempt.number, attempt.of) == ("east/a", "eastus", 1, 5)
    assert (attempt.fate, attempt.failure, attempt.duration_s) == (Fate.BILLED, None, 2)


def test_nobody_has_answered_yet() -> None:
    """While a call is open nobody has answered it."""
    assert sent(make_engine("east/a"), 0).answered_by is None


def test_a_call_knows_how_long_its_prompt_is() -> None:
    """As estimated when it was opened."""
    assert open_call(make_engine("east/a"), facts(100)).load.input_tokens == 84


def test_an_upstream_is_busy_until_the_answer_has_ended() -> None:
    """An answered call counts in flight until it is finished."""
    engine = make_engine("east/a")
    call = sent(engine, 0)
    call.record(None, 1)
    assert status(engine).in_flight == 1
    call.finish(None, 2)
    assert status(engine).in_flight == 0


def test_a_failed_attempt_is_not_in_flight() -> None:
    """While the call goes on elsewhere."""
    engine = make_engine("east/a west/a")
    failed(engine, BROKEN, 0).next(0)
    assert (status(engine, "east/a").in_flight, status(engine, "west/a").in_flight) == (0, 1)


def test_finishing_twice_counts_once() -> None:
    """A call that is finished and abandoned again gives its place back once."""
    engine = make_engine("east/a")
    call = sent(engine, 0)
    call.record(None, 1)
    call.finish(Usage(84, 16), 2)
    call.finish(Usage(84, 16), 2)
    call.abandon(2)
    assert status(engine).in_flight == 0
    assert len(call.attempts) == 1


def test_leaving_while_sending_is_recorded() -> None:
    """A caller that leaves during an attempt leaves a record of unknown fate and nothing in flight."""
    engine = make_engine(spec("east/a", limit_tpm=1_000))
    call = sent(engine, 0)
    call.abandon(3)
    call.abandon(4)
    (attempt,) = call.attempts
    assert (attempt.fate, attempt.duration_s) == (Fate.UNKNOWN, 3)
    assert attempt.failure == Failure(FailureKind.CALLER_LEFT, "the caller left")
    assert status(engine).in_flight == 0
    assert spent(engine, now=3) == 100
    assert status(engine, now=3).available


def test_leaving_before_the_first_attempt_leaves_nothing() -> None:
    """A caller that leaves before anything was sent leaves no record."""
    call = open_call(make_engine("east/a"))
    call.abandon(0)
    assert call.attempts == []


def test_leaving_during_the_answer_adds_no_attempt() -> None:
    """A caller that leaves in mid-answer frees the upstream; the attempt stays billed."""
    engine = make_engine("east/a")
    call = sent(engine, 0)
    call.record(None, 1)
    call.abandon(2)
    assert [attempt.fate for attempt in call.attempts] == [Fate.BILLED]
    assert status(engine).in_flight == 0
    assert call.next(3) == Relay()


def test_callers_who_hang_up_say_nothing_of_the_upstream() -> None:
    """However many leave during an attempt, it is not blamed."""
    engine = make_engine("east/a")
    for now in range(20):
        sent(engine, now).abandon(now + 1)
    assert status(engine, now=20).available
    assert status(engine, now=20).total_s is None


def test_nothing_is_sent_after_leaving() -> None:
    """A call that was left refuses to go on."""
    call = sent(make_engine("east/a"), 0)
    call.abandon(1)
    with pytest.raises(RuntimeError):
        call.next(1)
    with pytest.raises(RuntimeError):
        call.record(None, 1)


def test_asking_while_sending_is_a_fault() -> None:
    """A driver that asks again before it reports is told so, and nothing is counted twice."""
    engine = make_engine("east/a")
    call = sent(engine, 0)
    with pytest.raises(RuntimeError):
        call.next(0)
    assert status(engine).in_flight == 1


def test_finishing_before_the_answer_is_a_fault() -> None:
    """What was sent and not reported is abandoned, not finished; the attempt stays under way."""
    engine = make_engine("east/a")
    call = sent(engine, 0)
    with pytest.raises(RuntimeError):
        call.finish(None, 1)
    assert status(engine).in_flight == 1
    call.record(None, 2)
    call.finish(None, 3)
    assert status(engine).in_flight == 0


def test_reporting_twice_is_a_fault() -> None:
    """An attempt ends once."""
    call = open_call(make_engine("east/a"))
    with pytest.raises(RuntimeError):
        call.record(None, 0)
    call.next(0)
    call.record(None, 0)
    with pytest.raises(RuntimeError):
        call.record(BROKEN, 0)


def test_the_end_is_the_end() -> None:
    """A failed call tells the same error however often it is asked, also after it was left."""
    call = failed(make_engine("east/a", retry=ONCE), BROKEN, 0)
    step = call.next(0)
    call.abandon(1)
    assert call.next(100) is step


def test_a_negative_clock_is_a_clock() -> None:
    """Times before zero are times like any other."""
    engine = make_engine(spec("east/a", limit_tpm=100, limit_rpm=6))
    assert answer_once(engine, -1_000) == "east/a"
    assert open_call(engine).next(-1_000) == Wait(-1_000 + WINDOW_S)


def test_failover_is_immediate() -> None:
    """A refused attempt goes to the free upstream at the same moment."""
    call = failed(make_engine("east/a west/a"), QUOTA_7S, 0.1)
    assert call.next(0.1) == Send("west/a", 2, 5)


def test_attempts_are_bounded_over_all_upstreams() -> None:
    """After the last allowed attempt the call fails although another upstream is free."""
    call = failed(make_engine("east/a west/a north/a", retry=RetrySpec(max_attempts=2)), BROKEN, 0)
    assert call.next(0) == Send("west/a", 2, 2)
    call.record(BROKEN, 0)
    error = error_of(call.next(0))
    assert type(error) is ServiceUnavailable
    assert error.causes[-1] == "north/a was not asked"


def test_an_untried_upstream_comes_first() -> None:
    """Nothing would keep the call from the first one, but another has not failed it yet."""
    call = failed(make_engine("east/a west/a"), STALE, 0)
    assert call.next(0) == Send("west/a", 2, 5)


def test_a_stale_connection_is_replaced_at_once() -> None:
    """A lone upstream is asked again without a wait when only the connection was old."""
    call = failed(make_engine("east/a"), STALE, 0)
    assert call.next(0) == Send("east/a", 2, 5)


def test_req_1_23_retry_after_wins() -> None:
    """With nothing else free the call waits as long as the upstream asked: no backoff, no jitter."""
    call = failed(make_engine("east/a"), QUOTA_7S, 1)
    assert call.next(1) == Wait(8)
    assert call.next(8) == Send("east/a", 2, 5)
    for wait_s in (0.05, 0.25, 33):
        call = open_call(make_engine("east/a"), unit=0.9)
        call.next(0)
        call.record(Failure(FailureKind.SERVER, "busy", 500, wait_s=wait_s), 0)
        assert call.next(0) == Wait(wait_s)


@pytest.mark.parametrize("unit", [0.0, 0.5, 0.999])
def test_req_1_23_delays_in_bounds(unit: float) -> None:
    """Repeats on the same upstream wait 1, 2, 4 and 8 s plus up to one second."""
    engine = make_engine("east/a")
    call, now, waits = sent(engine, 0, unit=unit), 0.0, []
    call.record(RESET, now)
    while isinstance(step := call.next(now), Wait):
        waits.append(step.until_s - now)
        now = step.until_s
        call.next(now)
        call.record(RESET, now)
    assert waits == pytest.approx([1 + unit, 2 + unit, 4 + unit, 8 + unit])
    assert len(call.attempts) == 5
    assert isinstance(step, Fail)


def test_req_1_23_delays_follow_the_settings() -> None:
    """Base, cap and jitter are the user's, where the upstream's own rest is over by then."""
    engine = make_engine("east/a", retry=RetrySpec(base_s=6, cap_s=9, jitter_s=2))
    call = sent(engine, 0, unit=0.5)
    call.record(RESET, 0)
    assert call.next(0) == Wait(7)
    call.next(7)
    call.record(RESET, 7)
    assert call.next(7) == Wait(17)


def test_req_1_23_attempts_are_named() -> None:
    """The error's text says which of how many attempts failed where and why."""
    call = failed(make_engine(spec("east/a", region="eastus")), BROKEN, 0)
    call.next(1)
    call.record(BROKEN, 1)
    assert error_of(call.next(1)).causes == (
        "attempt 1/5 on east/a (eastus): 500 Internal server error",
        "attempt 2/5 on east/a (eastus): 500 Internal server error",
    )


def test_other_calls_respect_the_rest_too() -> None:
    """A rest told to one call holds for the next call."""
    engine = make_engine("east/a")
    fail_once(engine, QUOTA_7S, 0)
    assert open_call(engine).next(3) == Wait(7)


@pytest.mark.parametrize("failure", [RESET, STALE, SLOW, Failure(FailureKind.TRUNCATED, "broke off", 200)])
def test_what_may_be_done_twice_only_once_is_not_repeated(failure: Failure) -> None:
    """A stored response or an upload that may have arrived: no second one, whatever the settings say."""
    engine = make_engine("east/a west/a", retry=RetrySpec(after_timeout=True))
    call = failed(engine, failure, 0, facts(repeatable=False))
    assert isinstance(call.next(0), Fail)
    assert len(call.attempts) == 1


@pytest.mark.parametrize("failure", [QUOTA_7S, BROKEN, UNREACHED, REFUSED, MISSING])
def test_what_was_not_done_may_be_done_elsewhere(failure: Failure) -> None:
    """A refused or unsent request has created nothing."""
    call = failed(make_engine("east/a", "west/a"), failure, 0, facts(repeatable=False))
    assert call.next(0) == Send("west/a", 2, 5)


def test_a_timeout_is_not_repeated() -> None:
    """A call that timed out fails at once: it may have been billed. The upstream is not blamed."""
    engine = make_engine("east/a west/a")
    call = failed(engine, SLOW, 600)
    error = error_of(call.next(600))
    assert type(error) is UpstreamTimeout
    assert error.retry_after_s is None
    assert call.attempts[0].fate is Fate.UNKNOWN
    assert engine.unavailable_models(600) == ()


def test_a_timeout_is_repeated_on_request() -> None:
    """With after_timeout another upstream is tried."""
    call = failed(make_engine("east/a west/a", retry=RetrySpec(after_timeout=True)), SLOW, 10)
    assert call.next(10) == Send("west/a", 2, 5)
