"""What calls take of the quotas, and what corrects it: usage, headers, refusals."""

import pytest
from tests.unit.core.builders import (
    BROKEN,
    INVALID,
    QUOTA_7S,
    QUOTA_DAY,
    RESET,
    SLOW,
    STALE,
    UNREACHED,
    WINDOW_S,
    answer_once,
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

from smalt.core.call import Fail
from smalt.core.settings import QuotaGroup, Throughput
from smalt.errors import InvalidRequest
from smalt.types import Failure, FailureKind, Fate, QuotaHints, Usage


def test_a_request_that_never_left_costs_nothing() -> None:
    """A failed connect gives its tokens back, those of a shared quota too."""
    engine = make_engine(spec("east/a", limit_tpm=1_000, group=QuotaGroup("shared", 500)))
    call = sent(engine, 0)
    assert (spent(engine), status(engine).share) == (100, 0.2)
    call.record(UNREACHED, 0)
    assert (spent(engine), status(engine).share) == (0, 0)
    assert call.attempts[0].fate is Fate.NOT_SENT


def test_a_refused_request_keeps_its_charge() -> None:
    """Azure counts refused requests, so their tokens stay charged."""
    engine = make_engine(spec("east/a", limit_tpm=1_000))
    fail_once(engine, BROKEN, 0)
    assert spent(engine, now=1) == 100


PTU = Throughput(60_000, 1.0)


@pytest.mark.parametrize(
    ("failure", "share"),
    [(BROKEN, 0), (INVALID, 0), (UNREACHED, 0), (RESET, 6_000 / 60_000), (SLOW, 6_000 / 60_000)],
)
def test_a_provisioned_upstream_is_charged_for_what_it_works_on(failure: Failure, share: float) -> None:
    """A refused request takes nothing of it; of one that was lost nobody knows."""
    engine = make_engine(spec("east/a", throughput=PTU))
    fail_once(engine, failure, 0, facts(6_000))
    assert status(engine).share == pytest.approx(share)


@pytest.mark.parametrize(("usage", "share"), [(Usage(1_000, 200), 1_200 / 60_000), (None, 6_000 / 60_000)])
def test_real_usage_replaces_the_estimate(usage: Usage | None, share: float) -> None:
    """On a provisioned upstream; without a report the estimate stays."""
    engine = make_engine(spec("east/a", throughput=PTU))
    answer_once(engine, 0, facts(6_000), usage=usage)
    assert status(engine).share == pytest.approx(share)


def test_reported_usage_teaches_how_long_prompts_are() -> None:
    """Later requests are estimated better; without a report nothing is learnt."""
    engine = make_engine("east/a")
    answer_once(engine, 0, facts(6_000))
    assert open_call(engine, facts(6_000)).load.input_tokens == 5_984
    answer_once(engine, 0, facts(6_000), usage=Usage(12_000))
    assert open_call(engine, facts(6_000)).load.input_tokens == pytest.approx(6_285, abs=2)


def test_hints_of_the_answer_correct_the_quota() -> None:
    """What Azure says remains, less what was sent after this request."""
    engine = make_engine(spec("east/a", limit_tpm=10_000))
    call = sent(engine, 0)
    answer_once(engine, 1)
    call.record(None, 2, QuotaHints(limit_tokens=10_000, remaining_tokens=9_000))
    assert spent(engine, now=2) == 1_100


def test_hints_of_a_refusal_correct_the_quota() -> None:
    """An error answer has the same headers."""
    engine = make_engine(spec("east/a", limit_tpm=10_000))
    call = sent(engine, 0)
    call.record(BROKEN, 2, QuotaHints(limit_tokens=10_000, remaining_tokens=4_000))
    assert spent(engine, now=2) == 6_000


@pytest.mark.parametrize("stream", [True, False])
def test_answers_are_timed(stream: bool) -> None:
    """Streams until their first byte, whole answers until their end; failures count as slow."""
    engine = make_engine("east/a")
    call = sent(engine, 0, facts(stream=stream))
    call.record(None, 3)
    shot = status(engine, now=3)
    assert (shot.first_byte_s, shot.total_s) == ((3, None) if stream else (None, 3))
    failing = sent(engine, 3, facts(stream=stream))
    failing.record(RESET, 4)
    shot = status(engine, now=4)
    assert (shot.first_byte_s if stream else shot.total_s) == pytest.approx(3 + 0.2 * (6 - 3))
    assert (shot.total_s if stream else shot.first_byte_s) is None


@pytest.mark.parametrize("failure", [QUOTA_7S, INVALID, STALE])
def test_a_refusal_is_no_measurement(failure: Failure) -> None:
    """It was fast, but it was no answer."""
    engine = make_engine("east/a")
    fail_once(engine, failure, 3)
    assert status(engine, now=3).total_s is None


def test_req_1_26_a_nearly_spent_minute_is_told() -> None:
    """At 80 % once a minute, with the numbers."""
    engine = make_engine(spec("east/a", limit_tpm=1_000))
    for now in range(9):
        answer_once(engine, now)
    (notice,) = engine.take_notices()
    assert (notice.kind, notice.upstream) == ("quota_nearly_spent", "east/a")
    assert notice.data == {"tokens_per_minute": 800, "quota": 1_000, "usage_pct": 80.0}
    for number in range(9):
        answer_once(engine, WINDOW_S + number)
    assert len(engine.take_notices()) == 1


def test_a_request_larger_than_every_quota_is_the_callers_error() -> None:
    """Told to wait for a day by every upstream it exceeds, it ends at once, with the numbers in the error."""
    engine = make_engine((spec("east/a", limit_tpm=50), spec("west/a", limit_tpm=80)))
    call = failed(engine, QUOTA_DAY, 0)
    call.next(0)
    call.record(QUOTA_DAY, 0)
    step = call.next(0)
    assert isinstance(step, Fail)
    assert isinstance(step.error, InvalidRequest)
    assert "100 tokens" in step.error.message
    kinds = [attempt.failure and attempt.failure.kind for attempt in call.attempts]
    assert kinds == [FailureKind.OVERSIZED] * 2


@pytest.mark.parametrize("failure", [QUOTA_7S, BROKEN])
def test_only_a_long_wait_for_quota_says_that_a_request_is_too_large(failure: Failure) -> None:
    """Ours is an estimate: other refusals mean what they say."""
    call = failed(make_engine(spec("east/a", limit_tpm=50)), failure, 0)
    assert call.attempts[0].failure == failure


def test_an_oversized_request_harms_no_other() -> None:
    """The upstream that refused it is not cooled, and its minute is not spent."""
    engine = make_engine(spec("east/a", limit_tpm=50, limit_rpm=60))
    fail_once(engine, QUOTA_DAY, 0)
    assert [window.spent for window in status(engine).windows] == [0, 0, 0]
    assert status(engine).available


def test_an_oversized_request_is_not_sent_where_others_were() -> None:
    """No minute would take it beside them, so it is refused here."""
    engine = make_engine(spec("east/a", limit_tpm=50))
    answer_once(engine, 0, facts(40))
    step = open_call(engine).next(1)
    assert isinstance(step, Fail)
    assert isinstance(step.error, InvalidRequest)


def test_hours_to_wait_on_an_ordinary_request_are_the_upstreams_affair() -> None:
    """A request that fits is refused for a day: the upstream is left alone, for a minute at first."""
    engine = make_engine(spec("east/a", limit_tpm=500))
    fail_once(engine, QUOTA_DAY, 0)
    assert status(engine, now=59).state == "parked"
    assert status(engine, now=60).available
