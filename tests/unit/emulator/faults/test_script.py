"""When a fault strikes, without a clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator.faults.script import Armed, Asked, Fault, Script
from smalt.emulator.faults.streams import NoDone
from smalt.emulator.faults.wire import CloseFault, Gzip, ResetFault, TruncatedJson

ASKED = Asked("east", "chat/completions", "gpt-4o-prod", stream=True)


def hits(fault: Fault, times_s: list[float], unit: float = 0.0) -> list[bool]:
    armed = Armed(1, fault, since_s=100.0)
    return [armed.concerns(ASKED, 100.0 + at) and armed.strikes(unit) for at in times_s]


@pytest.mark.parametrize(
    ("where", "struck"),
    [
        ({}, True),
        ({"resource": "east", "deployment": "gpt-4o-prod", "operation": "chat/completions"}, True),
        ({"resource": "west"}, False),
        ({"deployment": "gpt-4o-ptu"}, False),
        ({"operation": "completions"}, False),
        ({"operation": "responses"}, False),
    ],
)
def test_a_fault_strikes_where_it_says(where: dict[str, Any], struck: bool) -> None:
    """Every place it names must be right; what it does not name does not matter."""
    assert Gzip(**where).concerns(ASKED) is struck


def test_an_operation_includes_what_lies_below_it() -> None:
    """A fault of Responses strikes single responses and their items, and nothing of a like name."""
    fault = Gzip(operation="responses")
    assert fault.concerns(Asked("east", "responses"))
    assert fault.concerns(Asked("east", "responses/resp_1/input_items"))
    assert not fault.concerns(Asked("east", "responses2"))
    assert not fault.concerns(Asked("east"))


def test_a_kind_strikes_only_what_it_has_a_meaning_for() -> None:
    """A stream has no JSON to truncate, embeddings have no end mark to lose."""
    whole = Asked("east", "chat/completions", "gpt-4o-prod", stream=False)
    assert (TruncatedJson().concerns(whole), TruncatedJson().concerns(ASKED)) == (True, False)
    assert (NoDone().concerns(whole), NoDone().concerns(ASKED)) == (False, True)
    assert not NoDone().concerns(Asked("east", "responses", stream=True))


def test_skip_spares_the_first_and_times_limits_the_rest() -> None:
    """Three are spared, two struck, all others left alone."""
    assert hits(Gzip(skip=3, times=2), [0.0] * 7) == [False] * 3 + [True] * 2 + [False] * 2


def test_a_window_opens_and_closes() -> None:
    """Requests outside it neither count nor are struck."""
    fault = Gzip(after_s=10, for_s=5, times=2)
    assert hits(fault, [9.9, 10.0, 12.0, 14.9]) == [False, True, True, False]
    assert hits(fault, [9.9, 14.9, 15.0]) == [False, True, False]


def test_chance_is_the_caller_s_to_draw() -> None:
    """Below the probability it strikes; what chance spares does not use up the count."""
    assert hits(Gzip(probability=0.25), [0.0], unit=0.2) == [True]
    assert hits(Gzip(probability=0.25), [0.0], unit=0.25) == [False]
    armed = Armed(1, Gzip(probability=0.5, times=1), since_s=0)
    assert [armed.strikes(unit) for unit in (0.9, 0.9, 0.1, 0.1)] == [False, False, True, False]


@given(st.integers(0, 5), st.integers(1, 5), st.lists(st.floats(0, 1, exclude_max=True), max_size=30))
def test_no_more_are_struck_than_were_asked_for(skip: int, times: int, units: list[float]) -> None:
    """Whatever chance says; and what was struck is what was counted."""
    armed = Armed(1, Gzip(skip=skip, times=times, probability=0.5), since_s=0)
    struck = [armed.strikes(unit) for unit in units]
    assert sum(struck) == armed.hits <= times
    assert not any(struck[:skip])
    assert armed.seen == len(units)


def struck(seed: int, *, others: int = 0) -> list[int]:
    """Which of 200 requests a fault of one in ten strikes, with other requests in between."""
    script = Script(seed)
    script.add([Gzip(probability=0.1, resource="east"), CloseFault(probability=0.5)], now=0)
    found = []
    for number in range(200):
        found += [number] * len(script.take(Gzip, ASKED, 1))
        for _ in range(others):
            script.take(CloseFault, ASKED, 1)
            script.take(Gzip, Asked("west"), 1)
    return found


def test_the_seed_decides_whom_chance_hits() -> None:
    """Again the same, with another seed others; and what else happens makes no difference."""
    assert struck(0) == struck(0) == struck(0, others=3)
    assert struck(0) != struck(1)
    assert 8 < len(struck(0)) < 40


def test_several_faults_may_strike_one_request() -> None:
    """In the order they were set up; each kind is asked for when its time has come."""
    script = Script(0)
    script.add([ResetFault(times=1), Gzip()], now=0)
    assert [type(fault) for fault in script.take(Fault, ASKED, 0)] == [ResetFault, Gzip]
    assert [type(fault) for fault in script.take(Fault, ASKED, 0)] == [Gzip]
    assert script.take(CloseFault, ASKED, 0) == []
    assert [(armed.seen, armed.hits) for armed in script] == [(2, 1), (2, 2)]


def test_faults_can_be_dropped_one_by_one_or_together() -> None:
    """A number is never used again."""
    script = Script(0)
    script.add([Gzip(), ResetFault()], now=0)
    assert script.drop(1)
    assert not script.drop(1)
    assert [armed.number for armed in script] == [2]
    script.clear()
    assert not script
    assert [armed.number for armed in script.add([Gzip()], now=0)] == [3]


def test_a_report_tells_all_of_a_fault() -> None:
    """Number, kind, place, time, own fields and counts."""
    told = Armed(4, ResetFault(at="in_body", resource="east"), since_s=0, seen=2, hits=1).report()
    assert told["id"] == 4
    assert (told["kind"], told["at"], told["resource"], told["times"]) == ("reset", "in_body", "east", None)
    assert (told["seen"], told["hits"]) == (2, 1)
