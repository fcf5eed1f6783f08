"""Calls that wait for a free upstream: in order, in turns, bounded, woken when it is time."""

import pytest
from tests.unit.core.builders import (
    BROKEN,
    NEVER,
    QUOTA_7S,
    REFUSED,
    RESET,
    WINDOW_S,
    answer_once,
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

from smalt.core.call import Call, Fail, Send, Wait
from smalt.core.engine import Engine
from smalt.core.settings import Throughput
from smalt.errors import QueueFull
from smalt.types import QuotaHints, Usage


def busy(limit_tpm: int = 150) -> Engine:
    """One upstream, full until the end of its minute."""
    engine = make_engine(spec("east/a", limit_tpm=limit_tpm))
    answer_once(engine, 0, facts(limit_tpm - 50))
    return engine


def waiting(
    engine: Engine, name: str = "", now: float = 1, tokens: int = 100, woken: list[str] | None = None
) -> Call:
    """A call in the line; `a1`: the first of the caller a. `woken`: where its name is noted then."""
    notes = [] if woken is None else woken
    call = open_call(engine, facts(tokens), caller=name[:1], wake=lambda: notes.append(name))
    step = call.next(now)
    assert isinstance(step, Wait), step
    return call


def wake(engine: Engine, woken: list[str]) -> list[str]:
    """Who is woken now."""
    woken.clear()
    for wake in engine.take_wakes():
        wake()
    return sorted(woken)


def test_a_full_upstream_is_waited_for() -> None:
    """Until the end of its minute."""
    engine = busy()
    call = open_call(engine)
    assert call.next(30) == Wait(WINDOW_S)
    assert status(engine).waiting == 1
    assert call.next(WINDOW_S) == Send("east/a", 1, 5)
    assert status(engine).waiting == 0


def test_the_soonest_of_several_is_waited_for() -> None:
    """Whichever tier it is in."""
    engine = make_engine("east/a", "west/a")
    fail_once(engine, QUOTA_7S, 0)
    fail_once(engine, QUOTA_7S, 2)
    assert open_call(engine).next(3) == Wait(7)


def test_nobody_waits_beyond_the_deadline() -> None:
    """A call behind others may not know when its turn comes: it asks again at the deadline."""
    engine = busy()
    waiting(engine)
    assert open_call(engine, deadline_s=70).next(1) == Wait(70)


def test_who_is_behind_others_waits_to_be_woken() -> None:
    """Only the first knows when the upstream is free."""
    engine = busy()
    waiting(engine)
    assert open_call(engine, deadline_s=NEVER).next(1) == Wait(NEVER)


def test_calls_are_served_in_order() -> None:
    """When the upstream is free the first goes, and the next one is woken."""
    engine, woken = busy(limit_tpm=350), list[str]()
    answer_once(engine, 0, facts(50))
    calls = {name: waiting(engine, name, woken=woken) for name in ("a1", "a2", "a3")}
    assert wake(engine, woken) == []
    assert isinstance(calls["a2"].next(WINDOW_S), Wait)
    assert wake(engine, woken) == ["a1"]  # whose driver may be gone
    for name, behind in (("a1", ["a2"]), ("a2", ["a3"]), ("a3", [])):
        assert calls[name].next(WINDOW_S) == Send("east/a", 1, 5)
        assert wake(engine, woken) == behind


def test_who_is_woken_without_room_waits_on() -> None:
    """The first of those behind now knows until when."""
    engine, woken = busy(), list[str]()
    first, second = waiting(engine, "a1", woken=woken), waiting(engine, "a2", woken=woken)
    first.next(WINDOW_S)
    assert wake(engine, woken) == ["a2"]
    assert second.next(WINDOW_S) == Wait(2 * WINDOW_S)


def test_callers_take_turns() -> None:
    """A caller with many waiting calls delays another one's call by one."""
    engine = busy()
    calls = {name: waiting(engine, name) for name in ("a1", "a2", "a3", "b1")}
    served = []
    for now in (61, 122, 183, 244):  # every minute has room for one
        served += [name for name, call in calls.items() if isinstance(call.next(now), Send)]
        calls.pop(served[-1])
    assert served == ["a1", "b1", "a2", "a3"]


def test_a_newcomer_does_not_overtake() -> None:
    """Also when a smaller request of its would fit: it would starve the large one."""
    engine = busy()
    large = waiting(engine, tokens=140)
    small = open_call(engine, facts(20))
    assert isinstance(small.next(2), Wait)
    assert small.explain()[-1].obstacles == {"east/a": "claimed"}
    assert large.next(WINDOW_S) == Send("east/a", 1, 5)


def test_a_newcomer_whose_turn_it_is_goes_at_once() -> None:
    """On taking its place it may be the first: the others have had their turn."""
    engine = make_engine(spec("east/a", limit_tpm=200))
    answer_once(engine, 0, facts(170))
    first = waiting(engine, "a1", tokens=40)
    waiting(engine, "a2", tokens=190)
    first.next(WINDOW_S)
    call = open_call(engine, facts(30), caller="b")
    assert sent_to(call.next(WINDOW_S)) == "east/a"
    assert [decision.chosen for decision in call.explain()] == [None, "east/a"]


def test_other_upstreams_are_free_for_everybody() -> None:
    """Only what a waiting call could be sent to is claimed."""
    engine = make_engine("east/a west/a")
    fail_once(engine, QUOTA_7S, 0)
    bound = open_call(engine, facts(resource="east"))
    assert bound.next(1) == Wait(7)
    assert sent_to(open_call(engine).next(1)) == "west/a"


def test_a_request_too_large_for_an_upstream_does_not_claim_it() -> None:
    """It waits for the one that it fits into; small requests pass."""
    engine = make_engine((spec("east/a", limit_tpm=120), spec("west/a", limit_tpm=500)))
    answer_once(engine, 0, facts(100, resource="east"))
    answer_once(engine, 0, facts(400, resource="west"))
    large = open_call(engine, facts(300))
    assert large.next(1) == Wait(WINDOW_S)
    assert (status(engine, "east/a").waiting, status(engine, "west/a").waiting) == (0, 1)
    assert sent_to(open_call(engine, facts(20)).next(1)) == "east/a"


def test_where_a_call_has_failed_others_go_first() -> None:
    """Until it may return itself."""
    engine = make_engine("east/a")
    call = sent(engine, 0, unit=0.9)
    call.record(RESET, 0)
    assert call.next(0) == Wait(1.9)
    assert sent_to(open_call(engine).next(1)) == "east/a"
    assert isinstance(open_call(engine).next(1.9), Wait)


def test_a_call_for_which_an_upstream_is_lost_does_not_wait_for_it() -> None:
    """It has failed there for good; the other one is waited for."""
    engine = make_engine("east/a west/a")
    call = failed(engine, REFUSED, 0)
    call.next(0)
    call.record(QUOTA_7S, 0)
    assert call.next(0) == Wait(7)
    assert (status(engine, "east/a").waiting, status(engine, "west/a").waiting) == (0, 1)


def test_a_line_that_is_full_takes_nobody() -> None:
    """429 queue_full, with how many wait."""
    engine = make_engine("east/a", max_waiting=2)
    fail_once(engine, QUOTA_7S, 0)
    for _ in range(2):
        waiting(engine)
    call = open_call(engine)
    error = error_of(call.next(1))
    assert isinstance(error, QueueFull)
    assert (error.code, error.http_status, error.retryable) == ("queue_full", 429, True)
    assert error.message == "2 calls wait for a free upstream already"
    assert isinstance(call.next(100), Fail)


def test_who_has_a_place_in_a_full_line_keeps_it() -> None:
    """Being asked again is not joining again."""
    engine = make_engine("east/a", max_waiting=1)
    fail_once(engine, QUOTA_7S, 0)
    call = waiting(engine)
    assert call.next(2) == Wait(7)


def test_who_cannot_be_helped_by_waiting_is_told_so() -> None:
    """Also when the line is full."""
    engine = make_engine("east/a", max_waiting=0)
    fail_once(engine, QUOTA_7S, 0)
    error = error_of(open_call(engine, deadline_s=5).next(1))
    assert not isinstance(error, QueueFull)


def test_who_leaves_makes_room() -> None:
    """The next in line is woken, and nothing is left behind."""
    engine, woken = busy(), list[str]()
    first = waiting(engine, "a1", woken=woken)
    waiting(engine, "a2", woken=woken)
    first.abandon(2)
    assert wake(engine, woken) == ["a2"]
    assert status(engine).waiting == 1
    assert first.attempts == []


def test_a_call_out_of_time_fails() -> None:
    """It leaves the line with an error that says when to come back, and the next one is woken."""
    engine, woken = busy(), list[str]()
    ahead = waiting(engine)
    call = open_call(engine, deadline_s=WINDOW_S)
    assert call.next(1) == Wait(WINDOW_S)
    waiting(engine, "c", woken=woken)
    ahead.next(WINDOW_S)
    wake(engine, woken)
    error = error_of(call.next(WINDOW_S))
    assert error.retry_after_s == pytest.approx(WINDOW_S)
    assert wake(engine, woken) == ["c"]
    assert status(engine, now=WINDOW_S).waiting == 1


def test_who_is_told_to_wait_may_be_served_by_another() -> None:
    """The first upstream that is free serves, and the call claims the others no more."""
    engine = make_engine("east/a west/a")
    fail_once(engine, QUOTA_7S, 0)
    fail_once(engine, BROKEN, 0)
    call = waiting(engine, now=0.5)
    assert call.next(1) == Send("west/a", 1, 5)
    assert (status(engine, "east/a").waiting, status(engine, "west/a").waiting) == (0, 0)


@pytest.mark.parametrize("ends", ["answered", "failed", "left"])
def test_the_end_of_an_attempt_wakes_the_first(ends: str) -> None:
    """It may have made room; those behind the first are not disturbed."""
    engine, woken = busy(limit_tpm=250), list[str]()
    call = sent(engine, 1, facts(50))
    waiting(engine, "a1", woken=woken)
    waiting(engine, "a2", woken=woken)
    if ends == "left":
        call.abandon(2)
    else:
        call.record(None if ends == "answered" else BROKEN, 2)
    assert wake(engine, woken) == ["a1"]


def test_real_usage_wakes_the_first() -> None:
    """A bucket that was charged too much has room when the answer ends."""
    engine, woken = make_engine(spec("east/a", throughput=Throughput(6_000, 1.0))), list[str]()
    call = sent(engine, 0, facts(7_000))
    first = waiting(engine, "a1", now=1, woken=woken)
    call.record(None, 2)
    wake(engine, woken)
    call.finish(Usage(1_000), 3)
    assert wake(engine, woken) == ["a1"]
    assert first.next(3) == Send("east/a", 1, 5)


def test_nobody_waits_nobody_is_woken() -> None:
    """Then an end is just an end."""
    engine = busy()
    answer_once(engine, WINDOW_S)
    assert not engine.notices
    assert not engine.line.to_wake


def test_a_call_that_failed_takes_a_new_place() -> None:
    """It had its turn."""
    engine = make_engine("east/a")
    fail_once(engine, QUOTA_7S, 0)
    first, second = waiting(engine, now=1), waiting(engine, now=2)
    first.next(7)
    first.record(QUOTA_7S, 7)
    assert isinstance(first.next(7), Wait)
    assert second.next(14) == Send("east/a", 1, 5)


def test_a_large_request_holds_one_upstream() -> None:
    """Where many others still find room: the one that will take it first. The rest goes on."""
    engine = make_engine((spec("east/a", limit_tpm=1_000), spec("west/a", limit_tpm=1_000)))
    answer_once(engine, 0, facts(400))
    answer_once(engine, 5, facts(400))
    large = open_call(engine, facts(900))
    assert large.next(6) == Wait(WINDOW_S)
    assert sent_to(open_call(engine, facts(100)).next(7)) == "west/a"
    assert isinstance(open_call(engine, facts(550)).next(8), Wait)
    assert sent_to(large.next(WINDOW_S)) == "east/a"


def test_an_answer_earns_a_part_of_a_repeat() -> None:
    """As long as some are missing."""
    engine = make_engine("east/a")
    engine._states["east/a"].repeats_left = 5
    answer_once(engine, 0)
    answer_once(engine, 1)
    assert engine._states["east/a"].repeats_left == pytest.approx(5.4)


def test_what_azure_says_remains_may_be_news() -> None:
    """Others have spent the minute: told like our own spending."""
    engine = make_engine(spec("east/a", limit_tpm=1_000))
    call = sent(engine, 0)
    call.record(None, 1, QuotaHints(limit_tokens=1_000, remaining_tokens=50))
    (notice,) = engine.take_notices()
    assert notice.data == {"tokens_per_minute": 950, "quota": 1_000, "usage_pct": 95.0}
