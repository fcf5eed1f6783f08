"""A region is lost and comes back: nobody who calls notices."""

from dataclasses import replace
from random import Random

import pytest
from msgspec import structs
from tests.simulation.azure import CONNECT_TIMEOUT_S, Deployment, Request, standard
from tests.simulation.fleet import Fleet
from tests.simulation.traffic import Traffic, offer, request
from tests.simulation.world import World

from smalt.core.settings import BreakerSpec
from smalt.errors import NoUpstreamAvailable, UpstreamError
from smalt.types import FailureKind

REGIONS = ("east", "west", "north")
TPM = 200_000
LOST_S, BACK_S, END_S = 300.0, 900.0, 1_200.0
PROBE_INTERVAL_S = BreakerSpec().open_s + CONNECT_TIMEOUT_S  # which a probe takes itself, at most

# TIMEOUT: connections do not come about; the others fail at once
WAYS_TO_BE_LOST = [FailureKind.CONNECT, FailureKind.TIMEOUT, FailureKind.RESET, FailureKind.SERVER]


def regions(world: World) -> list[Deployment]:
    return [standard(world, f"{region}/gpt-4o", TPM) for region in REGIONS]


@pytest.mark.parametrize("how", WAYS_TO_BE_LOST)
def test_a_region_lost_for_ten_minutes(how: FailureKind) -> None:
    """No call fails, a call costs at most 1.2 upstream calls, and the region serves again within one probe
    interval of its return."""
    world, traffic = World(1), Traffic(1)
    lost, *_ = three = regions(world)
    fleet = Fleet(world, three)

    def whole_answer(chance: Random) -> Request:
        one = traffic.one(chance)
        return replace(one, facts=structs.replace(one.facts, stream=False))

    calls_a_minute = 0.6 * len(three) * TPM / traffic.mean(lambda request: request.charged_tokens)
    offer(fleet, whole_answer, per_s=calls_a_minute / 60, until_s=END_S)
    world.at(LOST_S, lost.lose, how)
    world.at(BACK_S, lost.recover)
    world.run()

    meanwhile = [outcome for outcome in fleet.outcomes if LOST_S <= outcome.opened_s < BACK_S]
    assert all(outcome.error is None for outcome in fleet.outcomes)
    assert sum(len(outcome.sent_s) for outcome in meanwhile) <= 1.2 * len(meanwhile)
    served_again_s = [at_s for at_s, _ in lost.admitted if at_s >= BACK_S]
    assert served_again_s[0] <= BACK_S + PROBE_INTERVAL_S
    after_probe = [at_s for at_s in served_again_s if at_s > BACK_S + PROBE_INTERVAL_S]
    assert len(after_probe) >= 0.25 * sum(
        outcome.opened_s > BACK_S + PROBE_INTERVAL_S for outcome in fleet.outcomes
    )


@pytest.mark.parametrize("how", WAYS_TO_BE_LOST)
def test_all_regions_down(how: FailureKind) -> None:
    """The caller gets one error that names each cause, within its attempts and a minute; later callers get
    theirs at once and without a call."""
    world = World(2)
    three = regions(world)
    for deployment in three:
        deployment.lose(how)
    fleet = Fleet(world, three)
    for n in range(20):
        world.at(10.0 * n, lambda: fleet.call(request(500)))
    world.run()

    first, *_, last = fleet.outcomes
    assert isinstance(first.error, UpstreamError)
    assert 3 <= len(first.sent_s) <= 5
    assert first.ended_s - first.opened_s <= 60.0
    assert len(first.error.causes) == len(first.sent_s)
    assert all(region in str(first.error) for region in REGIONS)
    assert isinstance(last.error, NoUpstreamAvailable)
    assert last.sent_s == []
    assert last.ended_s == last.opened_s
    assert len(last.error.causes) == 3
    assert all(region in str(last.error) for region in REGIONS)
