"""Failing upstreams are left alone: retries that grow apart, the circuit breaker, one probe."""

from itertools import pairwise

import pytest
from tests.simulation.azure import NETWORK_S, Deployment, standard
from tests.simulation.fleet import LATENESS_S, Fleet, Outcome
from tests.simulation.traffic import request
from tests.simulation.world import World

from smalt.core.settings import RetrySpec
from smalt.errors import NoUpstreamAvailable
from smalt.types import FailureKind

OPEN_S = 30.0
ONE_ATTEMPT = RetrySpec(max_attempts=1)
ROUND_TRIP_S = 2 * NETWORK_S[1] + 2 * LATENESS_S


def failing(how: FailureKind, retry: RetrySpec) -> tuple[Fleet, Deployment]:
    world = World(1)
    only = standard(world, "east/gpt-4o", 1_000_000)
    only.lose(how)
    return Fleet(world, [only], retry=retry), only


def opened() -> tuple[Fleet, Deployment]:
    """Five calls have brought five 500s; the last has just been answered."""
    fleet, only = failing(FailureKind.SERVER, ONE_ATTEMPT)
    for n in range(5):
        fleet.world.at(20.0 * n, lambda: fleet.call(request(500)))
    fleet.world.run()
    assert len(only.sent_s) == 5
    return fleet, only


def calls_at(fleet: Fleet, time_s: float, calls: int) -> list[Outcome]:
    before = len(fleet.outcomes)
    for _ in range(calls):
        fleet.world.at(time_s, lambda: fleet.call(request(500)))
    fleet.world.run()
    return fleet.outcomes[before:]


def test_req_1_28_the_sixth_call_fails_fast() -> None:
    """Five 500s in a row; the next call is told so without an upstream call and without waiting."""
    fleet, only = opened()
    (sixth,) = calls_at(fleet, fleet.world.now, 1)
    assert isinstance(sixth.error, NoUpstreamAvailable)
    assert sixth.ended_s == sixth.opened_s
    assert len(only.sent_s) == 5


def test_req_1_28_thirty_seconds_later_exactly_one_call_probes() -> None:
    """Of ten calls at once one is sent; the others fail fast, as did those that came a little too early."""
    fleet, only = opened()
    too_early = calls_at(fleet, fleet.world.now + OPEN_S - 0.1, 10)
    in_time = calls_at(fleet, fleet.world.now + 0.2, 10)
    assert [len(outcome.sent_s) for outcome in too_early] == [0] * 10
    assert [len(outcome.sent_s) for outcome in in_time] == [1] + [0] * 9
    assert len(only.sent_s) == 6


def test_req_1_28_success_closes_the_breaker() -> None:
    """After one answered probe everybody is served again."""
    fleet, only = opened()
    only.recover()
    (probe,) = calls_at(fleet, fleet.world.now + OPEN_S, 1)
    after = calls_at(fleet, fleet.world.now, 10)
    assert all(outcome.error is None and outcome.waited_s == 0 for outcome in [probe, *after])


def test_req_1_28_a_failed_probe_opens_it_for_as_long_again() -> None:
    """No call in the next 30 s, then again exactly one."""
    fleet, only = opened()
    calls_at(fleet, fleet.world.now + OPEN_S, 1)
    calls_at(fleet, fleet.world.now + OPEN_S - 0.1, 10)
    calls_at(fleet, fleet.world.now + 0.2, 10)
    assert len(only.sent_s) == 7


@pytest.mark.parametrize("how", [FailureKind.CONNECT, FailureKind.RESET])
def test_req_3_7_repeats_grow_apart_until_the_breaker_opens(how: FailureKind) -> None:
    """Before repeat n pass 2**(n-1) s and up to one second more; the fifth failure opens the breaker."""
    fleet, _ = failing(how, RetrySpec())
    (stubborn,) = calls_at(fleet, 0.0, 1)
    (next_one,) = calls_at(fleet, fleet.world.now, 1)
    delays_s = [later - earlier for earlier, later in pairwise(stubborn.sent_s)]
    assert len(delays_s) == 4
    for n, delay_s in enumerate(delays_s):
        assert 2**n <= delay_s <= 2**n + 1 + ROUND_TRIP_S
    assert [f"attempt {n}/5" in str(stubborn.error) for n in range(1, 6)] == [True] * 5
    assert next_one.sent_s == []


def test_req_3_7_the_time_that_azure_names_beats_the_backoff() -> None:
    """Somebody else has spent the quota: the call waits as long as told, once, and is served."""
    world = World(2)
    only = standard(world, "east/gpt-4o", 60_000)
    fleet, stranger = Fleet(world, [only]), Fleet(world, [only])
    world.at(0.0, lambda: stranger.call(request(59_900)))
    world.at(30.0, lambda: fleet.call(request(500)))
    world.run()
    (outcome,) = fleet.outcomes
    assert outcome.error is None
    assert only.refused == 1
    first_s, second_s = outcome.sent_s
    assert first_s == 30.0
    assert second_s == pytest.approx(60.0, abs=2 * ROUND_TRIP_S)
