"""Quotas paid by token: nearly all of them is used, and Azure hardly ever has to say no."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.simulation.azure import Deployment, Request, standard
from tests.simulation.fleet import Fleet, Outcome
from tests.simulation.traffic import Traffic, offer, request
from tests.simulation.world import World

from smalt.emulator.quota import Load
from smalt.errors import RateLimited

MINUTE_S = 60.0


def tokens_admitted(deployments: Sequence[Deployment], *, until_s: float = float("inf")) -> int:
    return sum(
        request.charged_tokens for one in deployments for at_s, request in one.admitted if at_s < until_s
    )


def refused_share(deployments: Sequence[Deployment]) -> float:
    return sum(one.refused for one in deployments) / sum(len(one.sent_s) for one in deployments)


SIZES_TPM = (60_000, 60_000, 80_000, 80_000, 120_000, 120_000)


def offered(
    load: float, *, until_s: float, total_s: float = 600.0, told: bool = True
) -> tuple[Fleet, list[Deployment]]:
    """Six deployments of different size, and a multiple of all their quotas as load."""
    world, traffic = World(1), Traffic(1)
    six = [standard(world, f"region{n}/gpt-4o", tpm, told=told) for n, tpm in enumerate(SIZES_TPM)]
    fleet = Fleet(world, six)
    calls_a_minute = load * sum(SIZES_TPM) / traffic.mean(lambda request: request.charged_tokens)
    offer(fleet, traffic.one, per_s=calls_a_minute / MINUTE_S, until_s=until_s, total_s=total_s)
    world.run()
    return fleet, six


def test_six_upstreams_at_95_percent_of_their_quota_hardly_refuse() -> None:
    """An hour near the limit: at most 0.5 % of the requests are refused, and every call is answered."""
    fleet, six = offered(0.95, until_s=60 * MINUTE_S)
    assert refused_share(six) <= 0.005
    assert all(outcome.error is None for outcome in fleet.outcomes)


@pytest.mark.parametrize("told", [True, False], ids=["known limits", "unknown limits"])
@pytest.mark.parametrize("load", [1.1, 1.8])
def test_demand_beyond_the_quota_uses_nearly_all_of_it(load: float, told: bool) -> None:
    """At least 98 % of all minutes' tokens are used, and hardly anything is refused by Azure, also where
    smalt learns of the limits from the first answers only."""
    minutes = 8
    fleet, six = offered(load, until_s=minutes * MINUTE_S, total_s=60.0, told=told)
    assert tokens_admitted(six, until_s=minutes * MINUTE_S) >= 0.98 * minutes * sum(SIZES_TPM)
    assert refused_share(six) <= 0.005
    assert all(isinstance(outcome.error, RateLimited | None) for outcome in fleet.outcomes)


@pytest.mark.parametrize("tpm", [10_000, 60_000])
def test_where_requests_are_the_limit_they_are_used_too(tpm: int) -> None:
    """Of small requests, twice as many as Azure takes a second, 96.5 % of the possible are served and none is
    refused: at windows of one second the slack for the network costs 3 %."""
    world, seconds = World(1), 300
    two = [standard(world, f"{region}/gpt-4o", tpm) for region in ("east", "west")]
    per_s = sum(one.spec.limit_rpm or 0 for one in two) / MINUTE_S
    offer(Fleet(world, two), lambda chance: request(80), per_s=2 * per_s, until_s=seconds, total_s=30.0)
    world.run()
    served = sum(at_s < seconds for one in two for at_s, _ in one.admitted)
    assert served >= 0.965 * seconds * per_s
    assert refused_share(two) == 0


def test_two_processes_before_the_same_deployments_hardly_run_into_each_other() -> None:
    """Each learns from its own answers what the other has spent; together at 90 % of the quota."""
    world, traffic = World(1), Traffic(1)
    two = [standard(world, f"{region}/gpt-4o", 120_000) for region in ("east", "west")]
    fleets = [Fleet(world, two), Fleet(world, two)]
    calls_a_minute = 0.45 * 240_000 / traffic.mean(lambda request: request.charged_tokens)
    for fleet in fleets:
        offer(fleet, traffic.one, per_s=calls_a_minute / MINUTE_S, until_s=20 * MINUTE_S)
    world.run()
    assert refused_share(two) <= 0.005
    assert all(outcome.error is None for fleet in fleets for outcome in fleet.outcomes)


def test_req_1_24_five_minutes_of_load_are_taken_in_order_without_a_429() -> None:
    """5,000 tokens at 1,000 a minute take 4 to 5 minutes; nothing is refused, the first is served first."""
    world = World(3)
    only = standard(world, "east/gpt-4o", 1_000)
    fleet = Fleet(world, [only])
    for _ in range(25):
        fleet.call(request(200))
    world.run()
    sent_s = [outcome.sent_s for outcome in fleet.outcomes]
    assert only.refused == 0
    assert all(len(times_s) == 1 for times_s in sent_s)
    assert sent_s == sorted(sent_s)
    assert 4 * MINUTE_S <= fleet.outcomes[-1].ended_s <= 5 * MINUTE_S


def test_req_1_25_the_quotas_of_three_deployments_add_up() -> None:
    """Three times 120,000 tokens are accepted before the first 429, which is ours and not Azure's."""
    world = World(4)
    three = [standard(world, f"{region}/gpt-4o", 120_000) for region in ("east", "west", "north")]
    fleet = Fleet(world, three)
    for n in range(361):
        world.at(n / 20, lambda: fleet.call(request(1_000), total_s=0.0))
    world.run()
    *accepted, last = fleet.outcomes
    assert all(outcome.upstream is not None for outcome in accepted)
    assert tokens_admitted(three) == 360_000
    assert isinstance(last.error, RateLimited)
    assert refused_share(three) == 0


def among_small_ones(large: Request, deployments: Sequence[Deployment]) -> tuple[Outcome, list[Outcome]]:
    """A large request in the middle of small ones, which together fill a third of two quotas of 60,000."""
    world = deployments[0].world
    fleet = Fleet(world, deployments)
    for n in range(160):
        world.at(n / 4, lambda: fleet.call(request(250)))
    world.at(10, lambda: fleet.call(large, caller="large"))
    world.run()
    (outcome,) = (one for one in fleet.outcomes if one.caller == "large")
    return outcome, [one for one in fleet.outcomes if one is not outcome]


@pytest.fixture
def two_of_60_000() -> list[Deployment]:
    world = World(5)
    return [standard(world, f"{region}/gpt-4o", 60_000) for region in ("east", "west")]


@pytest.mark.parametrize(
    "oversized",
    [
        request(60_001),
        request(1_000_000),
        replace(request(40_000), charge=Load(60_001)),  # it looks smaller than it is
    ],
    ids=["by one token", "by far", "more than estimated"],
)
def test_one_oversized_request_stops_no_small_one(
    oversized: Request, two_of_60_000: list[Deployment]
) -> None:
    """It is told at once that nobody takes it; everybody around it is served without waiting."""
    large, small = among_small_ones(oversized, two_of_60_000)
    assert large.error is not None
    assert large.ended_s - large.opened_s <= 1.0
    assert all(one.error is None and one.waited_s == 0 for one in small)


def test_a_request_too_large_to_be_taken_at_once_waits_alone(two_of_60_000: list[Deployment]) -> None:
    """It fits into a whole minute only; others go on where there is room for them."""
    large, small = among_small_ones(request(59_500), two_of_60_000)
    assert large.error is None
    assert 0 < large.waited_s <= MINUTE_S
    assert all(one.error is None and one.waited_s == 0 for one in small)
