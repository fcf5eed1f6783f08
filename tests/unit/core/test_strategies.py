from collections import Counter
from typing import get_args

import pytest
from tests.unit.core.builders import WINDOW_S, load, state

from smalt.core.settings import StrategyName
from smalt.core.strategies import (
    STRATEGIES,
    LeastLatency,
    LeastLoaded,
    Random,
    RoundRobin,
    Strategy,
    Weighted,
)
from smalt.core.upstream import UpstreamState


def with_load(name: str, tokens: int, limit_tpm: int | None = 1_000, in_flight: int = 0) -> UpstreamState:
    made = state(name, limit_tpm=limit_tpm)
    made.own.charge(load(tokens), 0)
    made.in_flight = in_flight
    return made


def pick(
    strategy: Strategy, *states: UpstreamState, stream: bool = False, unit: float = 0, now: float = 0
) -> str:
    """As a call does: the lowest rank, of equal ones the first."""
    ranks = strategy.ranks(states, stream=stream, unit=unit, now=now)
    chosen = states[ranks.index(min(ranks))]
    strategy.picked(chosen)
    return chosen.spec.name


def picks(strategy: Strategy, times: int, *states: UpstreamState) -> list[str]:
    return [pick(strategy, *states) for _ in range(times)]


def test_every_strategy_of_the_settings_is_there() -> None:
    """Under its name."""
    assert set(STRATEGIES) == set(get_args(StrategyName))
    assert {name: type(made()).__name__ for name, made in STRATEGIES.items()} == {
        "least_loaded": "LeastLoaded",
        "round_robin": "RoundRobin",
        "weighted": "Weighted",
        "random": "Random",
        "least_latency": "LeastLatency",
    }


def test_which_strategies_promise_shares() -> None:
    """A prompt's home must not disturb them."""
    keeping = {name for name, made in STRATEGIES.items() if made().keeps_shares}
    assert keeping == {"round_robin", "weighted", "random"}


def test_the_smallest_share_wins() -> None:
    """The upstream with the smallest share of its quota spent is picked."""
    assert pick(LeastLoaded(), with_load("east/a", 500), with_load("west/a", 400)) == "west/a"


def test_a_share_is_relative_to_the_limit() -> None:
    """A large upstream takes more tokens before a small one is preferred."""
    assert pick(LeastLoaded(), with_load("east/a", 500, 10_000), with_load("west/a", 400)) == "east/a"


def test_fewer_in_flight_win_a_draw() -> None:
    """Among equal shares the one with fewer calls in flight is picked."""
    east, west = with_load("east/a", 500, in_flight=2), with_load("west/a", 500, in_flight=1)
    assert pick(LeastLoaded(), east, west) == "west/a"


def test_calls_in_flight_only_break_draws() -> None:
    """The quota says more."""
    east, west = with_load("east/a", 499, in_flight=900), with_load("west/a", 500)
    assert pick(LeastLoaded(), east, west) == "east/a"


def test_the_earlier_one_wins_a_full_draw() -> None:
    """Otherwise the order of the configuration decides."""
    assert pick(LeastLoaded(), with_load("east/a", 500), with_load("west/a", 500)) == "east/a"


def test_a_new_minute_is_empty() -> None:
    """Tokens of the last minute do not count."""
    east, west = with_load("east/a", 900), with_load("west/a", 0)
    west.own.charge(load(10), WINDOW_S)
    assert pick(LeastLoaded(), east, west, now=WINDOW_S) == "east/a"


def test_without_limits_loads_are_compared_too() -> None:
    """Upstreams without a limit share the work by what they were given."""
    assert pick(LeastLoaded(), with_load("east/a", 500, None), with_load("west/a", 400, None)) == "west/a"


def test_round_robin_goes_round() -> None:
    """In the order of the configuration, whatever the load."""
    states = with_load("east/a", 900), state("west/a"), state("north/a")
    assert picks(RoundRobin(), 7, *states) == ["east/a", "west/a", "north/a"] * 2 + ["east/a"]


def test_who_was_away_is_next_in_the_round() -> None:
    """He was picked longest ago."""
    strategy, states = RoundRobin(), [state(f"{name}/a") for name in ("east", "west", "north")]
    picks(strategy, 3, *states)
    assert picks(strategy, 2, *states[1:]) == ["west/a", "north/a"]
    assert pick(strategy, *states) == "east/a"


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 3), (70, 30), (5, 1, 1)])
def test_weights_are_shares(weights: tuple[int, ...]) -> None:
    """Exactly, over a round of as many picks as the weights add up to."""
    states = [state(f"r{number}/a", weight=weight) for number, weight in enumerate(weights)]
    shares = Counter(picks(Weighted(), 100 * sum(weights), *states))
    for number, weight in enumerate(weights):
        assert shares[f"r{number}/a"] == pytest.approx(100 * weight, abs=2)


def test_weighted_picks_are_mixed() -> None:
    """Not one after the other in blocks."""
    heavy, light = state("east/a", weight=2), state("west/a", weight=1)
    assert picks(Weighted(), 6, heavy, light) == ["east/a", "west/a", "east/a"] * 2


def test_who_was_away_does_not_catch_up() -> None:
    """Back from a rest it gets its share, not what it missed."""
    strategy, states = Weighted(), [state("east/a"), state("west/a")]
    picks(strategy, 100, states[0])
    assert Counter(picks(strategy, 10, *states)) == {"east/a": 5, "west/a": 5}


def test_chance_is_fair() -> None:
    """Each of three is picked about as often, and the same number always picks the same."""
    states = [state(f"{name}/gpt-4o") for name in ("east", "west", "north")]
    units = [number / 3_000 for number in range(3_000)]
    chosen = [pick(Random(), *states, unit=unit) for unit in units]
    assert chosen == [pick(Random(), *states, unit=unit) for unit in units]
    assert all(900 <= count <= 1_100 for count in Counter(chosen).values()), Counter(chosen)


def test_the_fastest_is_picked() -> None:
    """Streams by their first byte, whole answers by their end."""
    east, west = state("east/a"), state("west/a")
    for upstream, first_byte_s, total_s in ((east, 0.2, 9.0), (west, 0.3, 4.0)):
        upstream.first_byte.measured(first_byte_s, 0)
        upstream.total.measured(total_s, 0)
    assert pick(LeastLatency(), east, west, stream=True) == "east/a"
    assert pick(LeastLatency(), east, west, stream=False) == "west/a"


def test_who_was_never_measured_is_tried() -> None:
    """Otherwise nobody would ever know."""
    east, west = state("east/a"), state("west/a")
    east.total.measured(0.1, 0)
    assert pick(LeastLatency(), east, west) == "west/a"


def test_a_slow_one_is_tried_again_in_time() -> None:
    """What was measured long ago says little."""
    east, west = state("east/a"), state("west/a")
    east.total.measured(1, 600)
    west.total.measured(2, 0)
    assert pick(LeastLatency(), east, west, now=600) == "west/a"
