"""Provisioned throughput first, what it cannot take to deployments that are paid by token."""

from collections.abc import Iterable

import pytest
from tests.simulation.azure import MODEL, Request, provisioned, standard
from tests.simulation.fleet import Fleet
from tests.simulation.traffic import Traffic, offer
from tests.simulation.world import World

from smalt.emulator.rates import THROUGHPUT

PTU = 50
PER_MINUTE = PTU * THROUGHPUT[MODEL].input_tpm
MINUTES = 60


def work(requests: Iterable[Request]) -> float:
    """Counted in uncached input tokens, as throughput is."""
    weight = THROUGHPUT[MODEL].output_weight
    return sum(one.used.input_tokens + weight * one.used.output_tokens for one in requests)


@pytest.mark.parametrize("demand", [1.2, 2.0])
def test_overload_spills_no_more_than_it_must(demand: float) -> None:
    """At least 97 % of the throughput is used, and the spilled share is within 3 % of the least possible.
    While the deployment paid by token has room nobody waits or is refused, and Azure hardly ever says no."""
    world, traffic = World(1), Traffic(1)
    ptu, paygo = provisioned(world, "ptu/gpt-4o", PTU), standard(world, "east/gpt-4o", 1_000_000)
    fleet = Fleet(world, [ptu], [paygo])
    calls_a_minute = demand * PER_MINUTE / traffic.mean(lambda request: work([request]))
    offer(fleet, traffic.one, per_s=calls_a_minute / 60, until_s=60 * MINUTES)
    world.run()

    served, spilled = work(one for _, one in ptu.admitted), work(one for _, one in paygo.admitted)
    least_spilled = served + spilled - PER_MINUTE * MINUTES
    assert served >= 0.97 * PER_MINUTE * MINUTES
    assert (spilled - least_spilled) / (served + spilled) <= 0.03
    assert all(outcome.error is None and outcome.waited_s == 0 for outcome in fleet.outcomes)
    assert ptu.refused <= 0.005 * len(ptu.sent_s)
    assert paygo.refused == 0
