from collections.abc import Callable

import pytest
from tests.unit.core.builders import state

from smalt.core.line import Line, Waiter
from smalt.core.upstream import UpstreamState


class People:
    """A line, and callers who stand in it under the name of their call."""

    def __init__(self, most: int = 1_000) -> None:
        self.line = Line(most)
        self.woken: list[str] = []

    def join(
        self, call: str, *wants: UpstreamState, not_before_s: dict[UpstreamState, float] | None = None
    ) -> Waiter:
        """`a1`: the first call of the caller a."""
        waiter = Waiter(list(wants), call[0], self._waking(call), not_before_s or {})
        self.line.join(waiter)
        return waiter

    def leave(self, waiter: Waiter, now: float = 0, *, served: bool = True) -> list[str]:
        """Who is woken by it."""
        self.line.leave(waiter, now, served=served)
        return self.wake()

    def wake(self) -> list[str]:
        self.woken.clear()
        for wake in self.line.to_wake:
            wake()
        self.line.to_wake.clear()
        return self.woken.copy()

    def in_order(self, upstream: UpstreamState) -> list[str]:
        """All calls, as they are served one after the other."""
        self.line.freed([upstream], 0)
        order = []
        while self.wake():
            (first,) = self.woken
            order.append(first)
            waiter = next(waiter for waiter in self.line._waiters if waiter.wake.__name__ == first)
            self.line.leave(waiter, 0, served=True)
        return order

    def _waking(self, call: str) -> Callable[[], None]:
        def wake() -> None:
            self.woken.append(call)

        wake.__name__ = call
        return wake


def test_calls_of_one_caller_stand_in_the_order_they_came() -> None:
    """First come, first served."""
    people, upstream = People(), state()
    for call in ("a1", "a2", "a3"):
        people.join(call, upstream)
    assert people.in_order(upstream) == ["a1", "a2", "a3"]


def test_callers_take_turns() -> None:
    """One with many calls delays another by one of them, not by all."""
    people, upstream = People(), state()
    for call in ("a1", "a2", "a3", "b1", "c1", "b2"):
        people.join(call, upstream)
    assert people.in_order(upstream) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_newcomer_joins_the_present_round() -> None:
    """Nobody gets the turns back that went by before he came."""
    people, upstream = People(), state()
    waiters = [people.join(f"a{number}", upstream) for number in (1, 2, 3, 4)]
    for waiter in waiters[:3]:
        people.leave(waiter)
    for call in ("b1", "b2", "b3"):
        people.join(call, upstream)
    assert people.in_order(upstream) == ["b1", "a4", "b2", "b3"]


def test_who_comes_again_and_again_does_not_overtake() -> None:
    """A caller whose call was served stands behind those who wait for the next round."""
    people, upstream = People(), state()
    first = people.join("a1", upstream)
    for call in ("b1", "b2"):
        people.join(call, upstream)
    people.leave(first)
    people.join("a2", upstream)
    assert people.in_order(upstream) == ["b1", "b2", "a2"]


def test_calls_that_gave_up_take_no_turns() -> None:
    """A caller whose crowd has left stands where any other does."""
    people, upstream = People(), state()
    people.join("b1", upstream)
    people.join("b2", upstream)
    for waiter in [people.join(f"a{number}", upstream) for number in range(9)]:
        people.leave(waiter, served=False)
    people.join("a9", upstream)
    assert people.in_order(upstream) == ["b1", "a9", "b2"]


def test_who_was_served_in_this_round_waits_for_the_next() -> None:
    """Also when nobody else stood there: others may come before he is served again."""
    people, upstream = People(), state()
    people.leave(people.join("a1", upstream))
    for call in ("a2", "b1", "c1"):
        people.join(call, upstream)
    assert people.in_order(upstream) == ["b1", "c1", "a2"]


def test_a_new_round_begins_for_everybody() -> None:
    """Who was served in an earlier one has his turn in this."""
    people, upstream = People(), state()
    for call in ("b1", "a1", "a2"):
        people.join(call, upstream)
    assert people.in_order(upstream) == ["b1", "a1", "a2"]
    for call in ("a3", "b2"):
        people.join(call, upstream)
    assert people.in_order(upstream) == ["b2", "a3"]


def test_a_late_call_of_an_earlier_round_ends_no_turn() -> None:
    """Who waited long for a rare upstream has had no turn in the present round by it."""
    people, east, west = People(), state("east/a"), state("west/a")
    rare = people.join("a1", east)
    for waiter in [people.join(f"b{number}", west) for number in range(3)]:
        people.leave(waiter)
    people.leave(rare)
    people.join("c1", west)
    people.join("b4", west)
    people.join("a2", west)
    assert people.in_order(west) == ["c1", "a2", "b4"]


@pytest.mark.parametrize(("waiting", "full"), [(1, False), (2, True)])
def test_a_line_is_bounded(waiting: int, full: bool) -> None:
    """It says when it is full."""
    people, upstream = People(most=2), state()
    for number in range(waiting):
        people.join(f"a{number}", upstream)
    assert (people.line.full, len(people.line)) == (full, waiting)


def test_a_full_line_has_room_when_somebody_leaves() -> None:
    """Served or not."""
    people, upstream = People(most=1), state()
    people.leave(people.join("a1", upstream), served=False)
    assert (people.line.full, len(people.line), upstream.waiting) == (False, 0, 0)


def test_an_upstream_knows_how_many_wait_for_it() -> None:
    """A call is counted at each of the upstreams it could be sent to."""
    people, east, west = People(), state("east/a"), state("west/a")
    first = people.join("a1", east, west)
    people.join("a2", west)
    assert (east.waiting, west.waiting) == (1, 2)
    people.leave(first)
    assert (east.waiting, west.waiting) == (0, 1)


def test_a_waiting_call_claims_what_it_could_be_sent_to() -> None:
    """Others leave that alone, and it may have it."""
    people, east, west = People(), state("east/a"), state("west/a")
    first, second = people.join("a1", east), people.join("a2", east)
    assert people.line.claimed(east, None, 0)
    assert people.line.claimed(east, second, 0)
    assert not people.line.claimed(east, first, 0)
    assert not people.line.claimed(west, None, 0)


def test_nobody_claims_where_he_may_not_return_yet() -> None:
    """A call that failed there leaves it to those behind until its time has come."""
    people, east = People(), state("east/a")
    first = people.join("a1", east, not_before_s={east: 5})
    second = people.join("a2", east)
    assert not people.line.claimed(east, second, 4.999)
    assert people.line.claimed(east, second, 5)
    assert not people.line.claimed(east, first, 5)


def test_the_first_who_may_go_on_is_woken() -> None:
    """And nobody else: the others would find the upstream taken."""
    people, east, west = People(), state("east/a"), state("west/a")
    people.join("a1", east)
    people.join("a2", west)
    people.join("a3", west)
    people.line.freed([west], 0)
    assert people.wake() == ["a2"]


def test_who_waits_for_two_is_woken_once() -> None:
    """One wake is enough for both."""
    people, east, west = People(), state("east/a"), state("west/a")
    people.join("a1", east, west)
    people.line.freed([east, west], 0)
    assert people.wake() == ["a1"]


def test_nobody_is_woken_for_what_nobody_wants() -> None:
    """Also not while others wait."""
    people, east, west = People(), state("east/a"), state("west/a")
    people.join("a1", east)
    people.line.freed([west], 0)
    assert people.wake() == []


@pytest.mark.parametrize("served", [True, False])
def test_who_leaves_wakes_those_behind(served: bool) -> None:
    """For each upstream he wanted the next in line."""
    people, east, west = People(), state("east/a"), state("west/a")
    first = people.join("a1", east, west)
    people.join("a2", east)
    people.join("a3", east, west)
    assert people.leave(first, served=served) == ["a2", "a3"]


def test_who_gives_up_ends_no_round() -> None:
    """A call from far behind that leaves moves nobody's turn."""
    people, upstream = People(), state()
    for call in ("a1", "a2", "a3"):
        last = people.join(call, upstream)
    people.leave(last, served=False)
    people.join("b1", upstream)
    assert people.in_order(upstream) == ["a1", "b1", "a2"]


def test_a_call_may_claim_other_upstreams_later() -> None:
    """Who was behind it on the first may go on now; on the second those who come later stand behind it."""
    people, first, second = People(), state("east/a"), state("west/a")
    large = people.join("a1", first)
    people.join("b1", first)
    people.line.claim(large, [second], 0)
    assert people.wake() == ["b1"]
    assert (first.waiting, second.waiting) == (1, 1)
    assert people.line.claimed(second, None, 0)


def test_claiming_the_same_upstreams_again_wakes_nobody() -> None:
    """Nothing has changed for anybody."""
    people, upstream = People(), state()
    large = people.join("a1", upstream)
    people.line.claim(large, [upstream], 0)
    assert (people.wake(), upstream.waiting) == ([], 1)


def test_everybody_who_was_served_in_this_round_waits_for_the_next() -> None:
    """Not only the last of them."""
    people, upstream = People(), state()
    first, second = people.join("a1", upstream), people.join("b1", upstream)
    people.leave(first)
    people.leave(second)
    people.join("a2", upstream)
    people.join("c1", upstream)
    assert people.in_order(upstream) == ["c1", "a2"]


def test_what_nobody_may_return_to_yet_is_nobodys() -> None:
    """Neither that of the one who waits nor of others."""
    people, east = People(), state("east/a")
    only = people.join("a1", east, not_before_s={east: 5})
    assert not people.line.claimed(east, only, 4)
    assert not people.line.claimed(east, None, 4)


def test_who_has_left_is_not_remembered() -> None:
    """Callers come and go without end."""
    people, upstream = People(), state()
    for number in range(9):
        people.leave(people.join(f"{number}", upstream), served=False)
    assert people.line._callers == {}
