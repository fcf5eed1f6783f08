"""Who waits is served in order, and callers take turns."""

from itertools import groupby

import pytest
from tests.simulation.azure import Deployment, standard
from tests.simulation.fleet import Fleet, Outcome
from tests.simulation.traffic import request
from tests.simulation.world import World

PATIENT_S = 1e6


@pytest.fixture
def two() -> list[Deployment]:
    world = World(1)
    return [standard(world, f"{region}/gpt-4o", 60_000) for region in ("east", "west")]


def in_order_of_sending(outcomes: list[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: outcome.sent_s[0])


@pytest.mark.parametrize("arrives_s", [5.0, 61.0, 100.0, 121.5, 333.0])
def test_a_thousand_queued_calls_delay_the_call_of_another_by_one_turn(
    arrives_s: float, two: list[Deployment]
) -> None:
    """At most one of them goes between its coming and its turn; they themselves stay in order."""
    fleet = Fleet(two[0].world, two)
    for _ in range(1_000):
        fleet.call(request(600), caller="busy", total_s=PATIENT_S)
    fleet.world.at(arrives_s, lambda: fleet.call(request(600), caller="other", total_s=PATIENT_S))
    fleet.world.run()
    *busy, other = fleet.outcomes
    between = [one for one in busy if arrives_s <= one.sent_s[0] < other.sent_s[0]]
    assert len(between) <= 1
    assert in_order_of_sending(busy) == busy
    assert all(outcome.error is None for outcome in fleet.outcomes)


def test_callers_take_turns(two: list[Deployment]) -> None:
    """Three callers with a hundred calls each: whatever they came in, nobody has two turns in a row."""
    fleet = Fleet(two[0].world, two)
    for caller in ("a", "b", "c"):
        for _ in range(200):
            fleet.call(request(600), caller=caller, total_s=PATIENT_S)
    fleet.world.run()
    waited = [outcome for outcome in in_order_of_sending(fleet.outcomes) if outcome.waited_s > 0]
    runs = [len(list(group)) for _, group in groupby(waited[:300], key=lambda outcome: outcome.caller)]
    assert max(runs) == 1


def test_calls_that_gave_up_take_no_turns(two: list[Deployment]) -> None:
    """A caller whose calls have all gone is served as if they had never been."""
    fleet = Fleet(two[0].world, two)
    for _ in range(600):
        fleet.call(request(600), caller="steady", total_s=PATIENT_S)
    for _ in range(500):
        fleet.call(request(600), caller="fickle", total_s=10.0)
    fleet.world.at(100.0, lambda: fleet.call(request(600), caller="fickle", total_s=PATIENT_S))
    fleet.world.run()
    last = fleet.outcomes[-1]
    between = [
        one for one in fleet.outcomes if one.caller == "steady" and 100 <= one.sent_s[0] < last.sent_s[0]
    ]
    assert len(between) <= 1


def test_asking_again_and_again_is_no_way_to_the_front(two: list[Deployment]) -> None:
    """A caller with one call at a time has at most every second turn beside one with a queue."""
    world = two[0].world
    fleet = Fleet(world, two[:1])
    for _ in range(300):
        fleet.call(request(600), caller="queue", total_s=PATIENT_S)

    def ask_again(last: Outcome | None) -> None:
        if last is None or last.ended_s <= world.now:
            last = fleet.call(request(600, total_s=0.01), caller="eager", total_s=PATIENT_S)
        if world.now < 120:
            world.after(0.01, ask_again, last)

    world.at(1.0, ask_again, None)
    world.run()
    served = [outcome for outcome in in_order_of_sending(fleet.outcomes) if 60 < outcome.sent_s[0] < 120]
    eager = sum(outcome.caller == "eager" for outcome in served)
    assert 10 <= eager <= len(served) / 2 + 1
