"""What `make soak` breaks for minutes, for a moment: the seeds, and what chance makes of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """What the fuzzer begins with holds."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].take(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_broken_seeds(name: str, data: st.DataObject) -> None:
    """Some of one, some noise, some of another."""
    one, other = (data.draw(st.sampled_from(TARGETS[name].seeds)) for _ in range(2))
    noise = data.draw(st.binary(max_size=20))
    TARGETS[name].take(
        one[: data.draw(st.integers(0, len(one)))] + noise + other[data.draw(st.integers(0, len(other))) :]
    )
