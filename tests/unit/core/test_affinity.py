from collections import Counter
from zlib import crc32

import pytest
from tests.unit.core.builders import load, state

from smalt.core.affinity import home
from smalt.core.upstream import UpstreamState

PROMPTS = [crc32(f"prompt {number}".encode()) for number in range(3_000)]
NAMES = ("east/gpt-4o", "west/gpt-4o", "north/gpt-4o")


def fleet(*names: str) -> list[UpstreamState]:
    return [state(name, limit_tpm=1_000) for name in names]


def home_of(states: list[UpstreamState], prompt: int) -> str:
    found = home(states, prompt, 0)
    assert found is not None
    return found.spec.name


def test_a_prompt_stays_at_home() -> None:
    """The same beginning leads to the same upstream, in whatever order they are looked at."""
    states = fleet(*NAMES)
    for prompt in PROMPTS[:100]:
        assert home_of(states, prompt) == home_of(states[::-1], prompt)


def test_prompts_spread_evenly() -> None:
    """Each of three upstreams is the home of a third of all prompts."""
    states = fleet(*NAMES)
    homes = Counter(home_of(states, prompt) for prompt in PROMPTS)
    assert all(900 <= homes[name] <= 1_100 for name in NAMES), homes


def test_who_leaves_moves_only_its_own_prompts() -> None:
    """The prompts of the others stay where their cache is."""
    states = fleet(*NAMES)
    for prompt in PROMPTS:
        before = home_of(states, prompt)
        if before != NAMES[2]:
            assert home_of(states[:2], prompt) == before


@pytest.mark.parametrize(("tokens", "stays"), [(0, True), (130, True), (140, False), (1_000, False)])
def test_a_home_that_is_too_busy_takes_no_guests(tokens: int, stays: bool) -> None:
    """A home may be a quarter busier than the mean and a twentieth of its quota more."""
    states = fleet("east/a", "west/a")
    first = home(states, PROMPTS[0], 0)
    assert first is not None
    first.own.charge(load(tokens), 0)
    assert (home(states, PROMPTS[0], 0) is first) is stays


def test_a_busy_fleet_keeps_its_prompts() -> None:
    """Where everyone is equally busy nobody is too busy."""
    states = fleet(*NAMES)
    before = home_of(states, PROMPTS[0])
    for upstream in states:
        upstream.own.charge(load(900), 0)
    assert home_of(states, PROMPTS[0]) == before
