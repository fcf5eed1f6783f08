import pytest

from smalt.core.call import Call, Fail, Relay, Send, Step, Wait
from smalt.core.engine import Engine
from smalt.core.settings import EngineSettings, RetrySpec, RouteSpec, UpstreamSpec
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
from smalt.types import Facts, Failure, FailureKind, Fate, Operation

FACTS = Facts(Operation.CHAT, "gpt-4o", prompt_tokens=84)  # charged as 100
QUOTA_7S = Failure(FailureKind.QUOTA, "Rate limit is exceeded.", 429, wait_s=7)
BROKEN = Failure(FailureKind.SERVER, "Internal server error", 500)
REFUSED = Failure(FailureKind.CREDENTIAL, "Access denied", 401)
MISSING = Failure(FailureKind.DEPLOYMENT_NOT_FOUND, "does not exist", 404)
STALE = Failure(FailureKind.STALE, "closed by the other side")
UNREACHED = Failure(FailureKind.CONNECT, "connection refused")
SLOW = Failure(FailureKind.TIMEOUT, "no answer within 600 s")
DAY = Failure(FailureKind.QUOTA, "Please retry after 86400 seconds.", 429, wait_s=86_400)


def make_engine(*tiers: str, retry: RetrySpec | None = None, **limits_tpm: int) -> Engine:
    """Each tier as `east/a west/a`; `east=1000` limits the upstreams of that resource."""
    names = [tuple(tier.split()) for tier in tiers]
    specs = {
        name: UpstreamSpec(name, "gpt-4o", limit_tpm=limits_tpm.get(name.partition("/")[0]))
        for tier in names
        for name in tier
    }
    return Engine(EngineSettings(specs, {"gpt-4o": RouteSpec("gpt-4o", tuple(names))}, retry or RetrySpec()))


def open_call(engine: Engine, facts: Facts = FACTS, *, unit: float = 0.0, deadline_s: float = 600.0) -> Call:
    return engine.open_call(facts, unit=unit, deadline_s=deadline_s)


def error_of(step: Step) -> SmaltError:
    assert isinstance(step, Fail)
    return step.error


def retry_after_of(step: Step) -> float | None:
    error = error_of(step)
    assert isinstance(error, UpstreamError)
    return error.retry_after_s


def in_flight(engine: Engine) -> dict[str, int]:
    return {status.name: status.in_flight for status in engine.status(0)}


def charged(engine: Engine, now: float) -> dict[str, int]:
    return {status.name: status.charged_tokens for status in engine.status(now)}


def fail_once(engine: Engine, failure: Failure, now: float) -> str:
    """One call's first attempt ends in `failure`, and the caller leaves."""
    call = open_call(engine)
    step = call.next(now)
    assert isinstance(step, Send)
    call.record(failure, now)
    call.abandon(now)
    return step.upstream


def test_an_answer_is_relayed() -> None:
    """A call that is answered at once takes one attempt and names who answered."""
    call = open_call(make_engine("east/a"))
    assert call.next(0) == Send("east/a", 1, 5)
    call.record(None, 2)
    assert call.next(2) == Relay()
    assert call.answered_by == "east/a"
    (attempt,) = call.attempts
    assert (attempt.fate, attempt.failure, attempt.duration_s) == (Fate.BILLED, None, 2)


def test_nobody_has_answered_yet() -> None:
    """While a call is open nobody has answered it."""
    call = open_call(make_engine("east/a"))
    call.next(0)
    assert call.answered_by is None


def test_an_upstream_is_busy_until_the_answer_has_ended() -> None:
    """An answered call counts in flight until it is finished."""
    engine = make_engine("east/a")
    call = open_call(engine)
    call.next(0)
    call.record(None, 1)
    assert in_flight(engine) == {"east/a": 1}
    call.finish()
    assert in_flight(engine) == {"east/a": 0}


def test_finishing_twice_counts_once() -> None:
    """A call that is finished and abandoned again gives its place back once."""
    engine = make_engine("east/a")
    call = open_call(engine)
    call.next(0)
    call.record(None, 1)
    call.finish()
    call.finish()
    call.abandon(2)
    assert in_flight(engine) == {"east/a": 0}
    assert len(call.attempts) == 1


def test_failover_is_immediate() -> None:
    """A refused attempt goes to the free upstream at the same moment."""
    call = open_call(make_engine("east/a west/a"))
    assert call.next(0) == Send("east/a", 1, 5)
    call.record(QUOTA_7S, 0.1)
    assert call.next(0.1) == Send("west/a", 2, 5)


def test_a_later_tier_serves_when_the_first_cannot() -> None:
    """With every upstream of the first tier cooling the second tier is used at once."""
    call = open_call(make_engine("east/a", "west/a"))
    call.next(0)
    call.record(BROKEN, 0)
    assert call.next(0) == Send("west/a", 2, 5)


def test_the_first_tier_is_used_again_when_it_is_back() -> None:
    """After its rest the first tier is preferred again."""
    engine = make_engine("east/a", "west/a")
    fail_once(engine, BROKEN, 0)
    assert open_call(engine).next(0.5) == Send("west/a", 1, 5)
    assert open_call(engine).next(1) == Send("east/a", 1, 5)


def test_retry_after_is_waited_for_exactly() -> None:
    """With nothing else free the call waits as long as the upstream asked, and no jitter is added."""
    call = open_call(make_engine("east/a"), unit=0.9)
    call.next(0)
    call.record(QUOTA_7S, 1)
    assert call.next(1) == Wait(8)
    assert call.next(8) == Send("east/a", 2, 5)


def test_other_calls_respect_the_rest_too() -> None:
    """A rest told to one call holds for the next call."""
    engine = make_engine("east/a")
    fail_once(engine, QUOTA_7S, 0)
    assert open_call(engine).next(3) == Wait(7)


def test_backoff_doubles_on_the_same_upstream() -> None:
    """Repeats on the same upstream wait 1, 2, 4 and 8 s plus the jitter."""
    failure = Failure(FailureKind.RESET, "connection lost")
    call, now, waits = open_call(make_engine("east/a"), unit=0.5), 0.0, []
    while isinstance(call.next(now), Send):
        call.record(failure, now)
        step = call.next(now)
        if isinstance(step, Wait):
            waits.append(step.until_s - now)
            now = step.until_s
    assert waits == [1.5, 2.5, 4.5, 8.5]
    assert len(call.attempts) == 5


def test_server_errors_are_tried_twice_on_the_same_upstream() -> None:
    """A lone upstream that answers 500 is asked once more and no further."""
    call = open_call(make_engine("east/a"))
    call.next(0)
    call.record(BROKEN, 0)
    assert call.next(0) == Wait(1)
    call.next(1)
    call.record(BROKEN, 1)
    error = error_of(call.next(1))
    assert type(error) is NoUpstreamAvailable
    assert retry_after_of(call.next(1)) == 2


def test_attempts_are_bounded_over_all_upstreams() -> None:
    """After the last allowed attempt the call fails although another upstream is free."""
    call = open_call(make_engine("east/a west/a north/a", retry=RetrySpec(max_attempts=2)))
    for _ in range(2):
        assert isinstance(call.next(0), Send)
        call.record(BROKEN, 0)
    assert isinstance(error_of(call.next(0)), NoUpstreamAvailable)


def test_the_end_is_the_end() -> None:
    """A failed call tells the same error however often it is asked."""
    call = open_call(make_engine("east/a", retry=RetrySpec(max_attempts=1)))
    call.next(0)
    call.record(BROKEN, 0)
    assert call.next(0) is call.next(100)


def test_an_untried_upstream_comes_first() -> None:
    """A stale connection moves the call to an upstream it has not tried."""
    call = open_call(make_engine("east/a west/a"))
    assert call.next(0) == Send("east/a", 1, 5)
    call.record(STALE, 0)
    assert call.next(0) == Send("west/a", 2, 5)


def test_a_stale_connection_is_replaced_at_once() -> None:
    """A lone upstream is asked again without a wait when only the connection was old."""
    call = open_call(make_engine("east/a"))
    call.next(0)
    call.record(STALE, 0)
    assert call.next(0) == Send("east/a", 2, 5)


def test_a_request_that_never_left_costs_nothing() -> None:
    """A failed connect gives its tokens back to the window."""
    engine = make_engine("east/a")
    call = open_call(engine)
    call.next(0)
    assert charged(engine, 0) == {"east/a": 100}
    call.record(UNREACHED, 0)
    assert charged(engine, 0) == {"east/a": 0}
    assert call.attempts[0].fate is Fate.NOT_SENT


def test_a_refused_request_keeps_its_charge() -> None:
    """Azure counts refused requests, so their tokens stay charged."""
    engine = make_engine("east/a")
    fail_once(engine, QUOTA_7S, 0)
    assert charged(engine, 1) == {"east/a": 100}


@pytest.mark.parametrize("kind", [FailureKind.REQUEST, FailureKind.CONTENT_FILTER])
def test_a_refused_request_is_relayed(kind: FailureKind) -> None:
    """A request that is refused everywhere the same goes back as it is, with no second attempt."""
    engine = make_engine("east/a west/a")
    call = open_call(engine)
    call.next(0)
    call.record(Failure(kind, "bad", 400), 0)
    assert call.next(0) == Relay()
    assert call.answered_by == "east/a"
    assert in_flight(engine) == {"east/a": 0, "west/a": 0}
    assert engine.unavailable_models(0) == ()


def test_a_timeout_is_not_repeated() -> None:
    """A call that timed out fails at once: it may have been billed. The upstream is not blamed."""
    engine = make_engine("east/a west/a")
    call = open_call(engine)
    call.next(0)
    call.record(SLOW, 600)
    error = error_of(call.next(600))
    assert type(error) is UpstreamTimeout
    assert error.retry_after_s is None
    assert call.attempts[0].fate is Fate.UNKNOWN
    assert engine.unavailable_models(600) == ()


def test_a_timeout_is_repeated_on_request() -> None:
    """With after_timeout another upstream is tried."""
    call = open_call(make_engine("east/a west/a", retry=RetrySpec(after_timeout=True)))
    call.next(0)
    call.record(SLOW, 10)
    assert call.next(10) == Send("west/a", 2, 5)


def test_a_refused_key_counts_for_the_whole_resource() -> None:
    """After a refused key the siblings of the upstream are avoided too."""
    engine = make_engine("east/a east/b west/a")
    assert fail_once(engine, REFUSED, 0) == "east/a"
    assert open_call(engine).next(0) == Send("west/a", 1, 5)
    assert [status.available for status in engine.status(0)] == [False, False, True]


def test_a_flagged_upstream_is_asked_when_nothing_else_is_left() -> None:
    """With every upstream flagged the next call tries at once instead of waiting."""
    engine = make_engine("east/a")
    fail_once(engine, REFUSED, 0)
    call = open_call(engine)
    assert call.next(1) == Send("east/a", 1, 5)
    call.record(REFUSED, 1)
    assert isinstance(error_of(call.next(1)), UpstreamAuthFailed)


def test_a_flagged_upstream_that_is_full_is_not_asked() -> None:
    """A flag does not lift the limit of tokens per minute."""
    engine = make_engine("east/a", east=150)
    fail_once(engine, REFUSED, 0)
    error = error_of(open_call(engine).next(1))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s is None


def test_an_answer_lifts_the_flag() -> None:
    """A flagged upstream that answers again serves as before."""
    engine = make_engine("east/a")
    fail_once(engine, REFUSED, 0)
    call = open_call(engine)
    call.next(1)
    call.record(None, 1)
    assert engine.unavailable_models(1) == ()


def test_hours_are_never_waited_for() -> None:
    """An upstream that asks for a day fails the call at once."""
    call = open_call(make_engine("east/a"), deadline_s=1e9)
    call.next(0)
    call.record(DAY, 0)
    assert isinstance(error_of(call.next(0)), RateLimited)


def test_a_wait_beyond_the_deadline_fails_at_once() -> None:
    """Nobody waits for what comes too late; the error says when it would have come."""
    call = open_call(make_engine("east/a"), deadline_s=6)
    call.next(0)
    call.record(QUOTA_7S, 0)
    step = call.next(0)
    assert isinstance(error_of(step), RateLimited)
    assert retry_after_of(step) == 7


def test_without_a_deadline_nobody_waits_forever() -> None:
    """Even with an endless deadline a call fails when no upstream will come back."""
    call = open_call(make_engine("east/a"), deadline_s=float("inf"))
    call.next(0)
    call.record(MISSING, 0)
    assert isinstance(error_of(call.next(0)), DeploymentNotFound)


def test_a_full_upstream_is_waited_for() -> None:
    """A call that does not fit into this minute waits for the next one."""
    engine = make_engine("east/a", east=150)
    open_call(engine).next(10)
    assert open_call(engine).next(30) == Wait(70)


def test_a_full_upstream_spills_over() -> None:
    """A call that does not fit into the first tier goes to the second."""
    engine = make_engine("east/a", "west/a", east=150)
    assert open_call(engine).next(0) == Send("east/a", 1, 5)
    assert open_call(engine).next(0) == Send("west/a", 1, 5)


def test_nobody_free_in_time() -> None:
    """A call without any attempt says that all upstreams are busy."""
    engine = make_engine("east/a", east=150)
    open_call(engine).next(0)
    step = open_call(engine, deadline_s=30).next(20)
    assert isinstance(error_of(step), RateLimited)
    assert retry_after_of(step) == 40


def test_a_request_larger_than_every_quota_is_the_callers_error() -> None:
    """Told to wait for a day by every upstream it exceeds, it ends at once, with the numbers in the error."""
    engine = make_engine("east/a west/a", east=50, west=80)
    call = open_call(engine)
    for _ in range(2):
        assert isinstance(call.next(0), Send)
        call.record(Failure(FailureKind.QUOTA, "too much", 429, wait_s=86_400), 0)
    error = error_of(call.next(0))
    assert isinstance(error, InvalidRequest)
    assert "100 tokens" in error.message
    assert "(80)" in error.message
    assert [attempt.failure.kind for attempt in call.attempts if attempt.failure] == [
        FailureKind.OVERSIZED
    ] * 2


def test_an_oversized_request_harms_no_other() -> None:
    """The upstream that refused it is not cooled, and its minute is not spent."""
    engine = make_engine("east/a", east=50)
    call = open_call(engine)
    call.next(0)
    call.record(Failure(FailureKind.QUOTA, "too much", 429, wait_s=86_400), 0)
    assert charged(engine, 0) == {"east/a": 0}
    assert engine.unavailable_models(0) == ()


def test_hours_to_wait_on_an_ordinary_request_are_the_upstreams_affair() -> None:
    """A request that fits is refused for a day: the upstream is left alone, for a minute at first."""
    engine = make_engine("east/a", east=500)
    call = open_call(engine)
    call.next(0)
    call.record(Failure(FailureKind.QUOTA, "come back tomorrow", 429, wait_s=86_400), 0)
    assert engine.unavailable_models(59) == ("gpt-4o",)
    assert engine.unavailable_models(60) == ()


def test_a_large_request_finds_the_large_upstream() -> None:
    """A request too large for one upstream goes to the one it fits into."""
    assert open_call(make_engine("east/a west/a", east=50)).next(0) == Send("west/a", 1, 5)


def test_leaving_while_sending_is_recorded() -> None:
    """A caller that leaves during an attempt leaves a record of unknown fate and nothing in flight."""
    engine = make_engine("east/a")
    call = open_call(engine)
    call.next(0)
    call.abandon(3)
    call.abandon(4)
    (attempt,) = call.attempts
    assert (attempt.fate, attempt.duration_s) == (Fate.UNKNOWN, 3)
    assert attempt.failure is not None
    assert attempt.failure.kind is FailureKind.CALLER_LEFT
    assert in_flight(engine) == {"east/a": 0}
    assert charged(engine, 3) == {"east/a": 100}
    assert engine.unavailable_models(3) == ()


def test_leaving_before_the_first_attempt_leaves_nothing() -> None:
    """A caller that leaves while waiting leaves no record."""
    call = open_call(make_engine("east/a"))
    call.abandon(0)
    assert call.attempts == []


def test_leaving_during_the_answer_adds_no_attempt() -> None:
    """A caller that leaves in mid-answer frees the upstream; the attempt stays billed."""
    engine = make_engine("east/a")
    call = open_call(engine)
    call.next(0)
    call.record(None, 1)
    call.abandon(2)
    assert [attempt.fate for attempt in call.attempts] == [Fate.BILLED]
    assert in_flight(engine) == {"east/a": 0}
    assert call.next(3) == Relay()


def test_nothing_is_sent_after_leaving() -> None:
    """A call that was left refuses to go on."""
    call = open_call(make_engine("east/a"))
    call.next(0)
    call.abandon(1)
    with pytest.raises(RuntimeError):
        call.next(1)
    with pytest.raises(RuntimeError):
        call.record(None, 1)


def test_asking_while_sending_is_a_fault() -> None:
    """A driver that asks again before it reports is told so, and nothing is counted twice."""
    engine = make_engine("east/a")
    call = open_call(engine)
    call.next(0)
    with pytest.raises(RuntimeError):
        call.next(0)
    assert in_flight(engine) == {"east/a": 1}


def test_reporting_twice_is_a_fault() -> None:
    """An attempt ends once."""
    call = open_call(make_engine("east/a"))
    with pytest.raises(RuntimeError):
        call.record(None, 0)
    call.next(0)
    call.record(None, 0)
    with pytest.raises(RuntimeError):
        call.record(BROKEN, 0)


def test_one_incident_counts_once() -> None:
    """Many calls that fail together rest the upstream as long as one failure does."""
    engine = make_engine("east/a")
    calls = [open_call(engine) for _ in range(20)]
    for call in calls:
        call.next(0)
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


def test_a_negative_clock_is_a_clock() -> None:
    """Times before zero are times like any other."""
    assert open_call(make_engine("east/a")).next(-1_000) == Send("east/a", 1, 5)


def test_a_refused_connection_concerns_the_whole_resource() -> None:
    """Several deployments of one model on a dead resource cost one attempt, not one each."""
    engine = make_engine("east/a east/b east/c east/d east/e west/a")
    call = open_call(engine)
    assert call.next(0) == Send("east/a", 1, 5)
    call.record(UNREACHED, 0)
    assert call.next(0) == Send("west/a", 2, 5)
