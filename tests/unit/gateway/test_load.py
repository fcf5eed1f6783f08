"""What a process carries: every way in is refused beyond its limit, and every way out gives back."""

import pytest

from smalt.config.listening import Limits
from smalt.errors import Overloaded, RateLimited
from smalt.gateway.load import Load


def load(**limits: int) -> Load:
    return Load(Limits.model_validate(limits))


def test_requests_under_way() -> None:
    """One more than the limit is refused, until one has ended."""
    carried = load(requests=2)
    carried.begin()
    carried.begin()
    with pytest.raises(Overloaded, match="too many requests") as caught:
        carried.begin()
    assert caught.value.retry_after_s == 1
    carried.end(0)
    carried.begin()
    assert carried.requests == 2


def test_bytes_that_are_declared() -> None:
    """Room is looked for before a body comes; nothing is counted by asking."""
    carried = load(bytes_in_flight=100)
    carried.require_room(100)
    with pytest.raises(Overloaded, match="bytes"):
        carried.require_room(101)
    assert carried.bytes == 0


def test_bytes_that_come() -> None:
    """Those that are too many count until their request ends: they are there."""
    carried = load(bytes_in_flight=100)
    carried.begin()
    carried.add(60)
    with pytest.raises(Overloaded):
        carried.add(60)
    assert carried.bytes == 120
    carried.end(120)
    assert (carried.requests, carried.bytes) == (0, 0)


def test_the_slots_of_a_key() -> None:
    """As many at a time as its limit, and a slot given back is free for the next."""
    slots = load().slots("ci", 1)
    assert slots is not None
    slots.take()
    with pytest.raises(RateLimited, match="'ci' has 1 requests under way") as caught:
        slots.take()
    assert caught.value.retry_after_s == 1
    slots.give_back()
    slots.take()


def test_slots_over_a_reload() -> None:
    """What was taken before counts on, under the new limit; without a limit there are none."""
    carried = load()
    before = carried.slots("ci", 1)
    assert before is not None
    before.take()
    after = carried.slots("ci", 2)
    assert after is before
    after.take()
    with pytest.raises(RateLimited):
        after.take()
    assert carried.slots("ci", None) is None
