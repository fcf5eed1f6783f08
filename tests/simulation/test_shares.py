"""Who serves how much, by strategy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from msgspec import structs
from tests.simulation.azure import Deployment, Request, standard
from tests.simulation.fleet import Fleet
from tests.simulation.traffic import Traffic, offer, request
from tests.simulation.world import World

from smalt.core.settings import StrategyName
from smalt.types import FailureKind

AMPLE_TPM = 2_000_000
SEEDS = (1, 2)


def served(
    deployments: Sequence[Deployment],
    *,
    strategy: StrategyName = "least_loaded",
    calls: int = 6_000,
    per_s: float = 5.0,
    traffic: Traffic | None = None,
) -> list[str]:
    """Who answered each of so many calls, in their order."""
    fleet = Fleet(deployments[0].world, deployments, strategy=strategy)
    ask = traffic.one if traffic else lambda chance: request(500)
    offer(fleet, ask, per_s=per_s, until_s=1.1 * calls / per_s)
    fleet.world.run()
    return [str(outcome.upstream) for outcome in fleet.outcomes[:calls]]


def shares(names: Sequence[str]) -> list[float]:
    """Of each upstream, in the order of their names."""
    counts = Counter(names)
    return [counts[name] / len(names) for name in sorted(counts)]


@pytest.mark.parametrize("seed", SEEDS)
def test_req_0_18_capacities_of_one_to_two_to_three_share_the_calls_like_that(seed: int) -> None:
    """With the default strategy, over 6,000 calls, within 5 %."""
    world = World(seed)
    three = [standard(world, f"{n}/gpt-4o", n * 100_000) for n in (1, 2, 3)]
    assert shares(served(three, traffic=Traffic(seed))) == pytest.approx([1 / 6, 2 / 6, 3 / 6], rel=0.05)


def test_weights_of_one_to_two_to_three_share_the_calls_like_that() -> None:
    """Whatever the quotas are; within 5 % over 6,000 calls."""
    world = World(1)
    three = [standard(world, f"{n}/gpt-4o", AMPLE_TPM, weight=n) for n in (1, 2, 3)]
    assert shares(served(three, strategy="weighted")) == pytest.approx([1 / 6, 2 / 6, 3 / 6], rel=0.05)


def test_round_robin_is_exact() -> None:
    """Everybody once, in the same order again and again."""
    world = World(1)
    names = [f"{n}/gpt-4o" for n in range(3)]
    three = [standard(world, name, AMPLE_TPM) for name in names]
    assert served(three, strategy="round_robin", calls=3_000) == names * 1_000


@pytest.mark.parametrize("seed", SEEDS)
def test_random_is_uniform(seed: int) -> None:
    """Shares of three deviate by chance only, and the next is not known from the last."""
    world = World(seed)
    three = [standard(world, f"{n}/gpt-4o", AMPLE_TPM) for n in range(3)]
    names = served(three, strategy="random")
    assert shares(names) == pytest.approx([1 / 3] * 3, abs=0.02)
    assert shares([f"{one} {other}" for one, other in pairwise(names)]) == pytest.approx(
        [1 / 9] * 9, abs=0.02
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_req_2_11_least_latency_picks_the_faster(seed: int) -> None:
    """Twice as fast, with answers of all lengths, whole and streamed: 95 % of the calls after 100."""
    world = World(seed)
    slow = standard(world, "1slow/gpt-4o", AMPLE_TPM, slowness=2.0)
    fast = standard(world, "2fast/gpt-4o", AMPLE_TPM)
    names = served([slow, fast], strategy="least_latency", calls=3_000, traffic=Traffic(seed))
    assert shares(names[100:])[1] >= 0.95


def test_req_2_11_weights_of_70_and_30() -> None:
    """Within 3 %."""
    world = World(1)
    two = [standard(world, f"{weight}/gpt-4o", AMPLE_TPM, weight=weight) for weight in (30, 70)]
    assert shares(served(two, strategy="weighted")) == pytest.approx([0.3, 0.7], rel=0.03)


def test_req_2_11_priority_1_serves_only_when_every_priority_0_is_unavailable() -> None:
    """One of them lost: nothing changes. Both lost, until they are back: the next tier serves."""
    world = World(1)
    first = [standard(world, f"first{n}/gpt-4o", AMPLE_TPM) for n in range(2)]
    second = standard(world, "second/gpt-4o", AMPLE_TPM)
    fleet = Fleet(world, first, [second])
    offer(fleet, lambda chance: request(500), per_s=5, until_s=400)
    world.at(100, first[0].lose, FailureKind.SERVER)
    world.at(200, first[1].lose, FailureKind.SERVER)
    world.at(300, first[1].recover)
    world.run()
    assert all(outcome.error is None for outcome in fleet.outcomes)
    during = [at_s for at_s in second.sent_s if 201 <= at_s < 300]
    asked = [outcome for outcome in fleet.outcomes if 201 <= outcome.opened_s < 300]
    assert len(during) >= 0.9 * len(asked)
    assert all(200 <= at_s < 331 for at_s in second.sent_s)


PREFIX = 7  # stands for the prompt's beginning that most requests share


def with_prefixes(fleet: Fleet, *, load: float, dominant: float) -> None:
    """A quarter of an hour of requests, some share with the same beginning, the others with one of 200."""
    traffic = Traffic(1)

    def ask(chance: Random) -> Request:
        prefix = PREFIX if chance.random() < dominant else chance.randrange(1_000, 1_200)
        one = traffic.one(chance)
        return replace(one, facts=structs.replace(one.facts, affinity=prefix * 2_654_435_761 % 2**32))

    quota_tpm = sum(upstream.spec.limit_tpm or 0 for upstream in fleet.upstreams.values())
    calls_a_minute = load * quota_tpm / traffic.mean(lambda request: request.charged_tokens)
    offer(fleet, ask, per_s=calls_a_minute / 60, until_s=900)
    fleet.world.run()


def four_equal() -> list[Deployment]:
    world = World(1)
    return [standard(world, f"{n}/gpt-4o", 100_000) for n in range(4)]


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_a_prompt_prefix_stays_where_it_is_while_load_allows(load: float) -> None:
    """Many prefixes, none dominating: nine of ten requests go where their prefix lives."""
    four = four_equal()
    fleet = Fleet(four[0].world, four)
    with_prefixes(fleet, load=load, dominant=0.0)
    served = Counter((outcome.request.facts.affinity, outcome.upstream) for outcome in fleet.outcomes)
    home: Counter[int | None] = Counter()
    for (prefix, _), calls in served.items():
        home[prefix] = max(home[prefix], calls)
    assert home.total() >= 0.9 * len(fleet.outcomes)


@pytest.mark.parametrize("load", [0.3, 0.7])
@pytest.mark.parametrize("dominant", [0.5, 0.9])
def test_a_dominating_prefix_overloads_nobody(load: float, dominant: float) -> None:
    """No upstream takes more than 1.5 times the mean share."""
    four = four_equal()
    with_prefixes(Fleet(four[0].world, four), load=load, dominant=dominant)
    tokens = [sum(request.charged_tokens for _, request in one.admitted) for one in four]
    assert max(tokens) <= 1.5 * sum(tokens) / len(four)
