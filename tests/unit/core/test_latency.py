import math

import pytest

from smalt.core.latency import Latency


def measured(*durations_s: float, now: float = 0.0) -> Latency:
    latency = Latency()
    for duration_s in durations_s:
        latency.measured(duration_s, now)
    return latency


def test_who_was_never_asked_is_expected_to_be_fast() -> None:
    """Nothing known counts as no time at all, so that everyone is tried."""
    assert (Latency().average_s, Latency().expected_s(1_000)) == (None, 0.0)


def test_the_first_measurement_counts_in_full() -> None:
    """There is nothing else to go by."""
    assert measured(3).expected_s(0) == 3


def test_later_measurements_count_a_fifth() -> None:
    """The average moves, but not with every straggler."""
    assert measured(3, 8).average_s == pytest.approx(4)


def test_what_was_measured_is_forgotten_with_time() -> None:
    """After five minutes it says a third of what it said, so that one that was slow is tried again."""
    assert measured(3, now=100).expected_s(400) == pytest.approx(3 / math.e)


def test_a_new_measurement_is_fresh() -> None:
    """Time counts from the last measurement."""
    latency = measured(3)
    latency.measured(3, 300)
    assert latency.expected_s(300) == pytest.approx(3)


@pytest.mark.parametrize(("duration_s", "average_s"), [(0.001, 3.6), (6, 3.6), (8, 4)])
def test_a_failure_counts_as_twice_as_slow(duration_s: float, average_s: float) -> None:
    """Failing fast is no merit; a failure that took longer counts as what it took."""
    latency = measured(3)
    latency.failed(duration_s, 0)
    assert latency.average_s == pytest.approx(average_s)


def test_a_first_failure_counts_as_what_it_took() -> None:
    """There is nothing yet to double."""
    latency = Latency()
    latency.failed(5, 0)
    assert latency.average_s == 5


def test_when_the_last_answer_came() -> None:
    """Failures are none."""
    latency = Latency()
    assert latency.answered_s == -math.inf
    latency.measured(3, 100)
    latency.failed(3, 200)
    assert latency.answered_s == 100
