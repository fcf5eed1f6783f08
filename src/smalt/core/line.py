"""The line of calls that wait for a free upstream: bounded, in order, fair to every caller.

A waiting call claims every upstream it could be sent to; later calls leave those alone, also when a smaller
request of theirs would fit. A request too large for what is left where many others find room claims only the
upstream that will take it first. Callers take turns: the n-th waiting call of one is level with the n-th of
any other. Nobody polls: whoever may be first for an upstream that may have become free is woken.
"""

from bisect import insort
from collections.abc import Callable, Iterable

from smalt.core.upstream import UpstreamState


class Waiter:
    """A place in the line.

    `claimed`: upstreams that later calls leave to it; `not_before_s`: of those it has failed on, when it may
    return; `wake`: asks it to try again.
    """

    __slots__ = ("caller", "claimed", "not_before_s", "turn", "wake")

    def __init__(
        self,
        claimed: list[UpstreamState],
        caller: str,
        wake: Callable[[], None],
        not_before_s: dict[UpstreamState, float],
    ) -> None:
        self.claimed = claimed
        self.caller = caller
        self.wake = wake
        self.not_before_s = not_before_s
        self.turn = (0, 0)

    def claims(self, state: UpstreamState, now: float) -> bool:
        return state in self.claimed and self.not_before_s.get(state, now) <= now


class Line:
    """Of one engine and those that replace it, over all routes. `most`: calls that may wait."""

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self._waiters: list[Waiter] = []
        self._callers: dict[str, dict[Waiter, None]] = {}  # the same waiters by caller, in order
        self._round = 0  # the latest in which a call was served
        self._had_turn: set[str] = set()  # callers served in it
        self._joined = 0
        self.to_wake: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def full(self) -> bool:
        return len(self._waiters) >= self.most

    def join(self, waiter: Waiter) -> None:
        self._joined += 1
        own = self._callers.setdefault(waiter.caller, {})
        last = next(reversed(own), None)
        turn = self._round + (waiter.caller in self._had_turn) if last is None else last.turn[0] + 1
        waiter.turn = (max(self._round, turn), self._joined)
        own[waiter] = None
        insort(self._waiters, waiter, key=lambda other: other.turn)
        for state in waiter.claimed:
            state.waiting += 1

    def claim(self, waiter: Waiter, states: list[UpstreamState], now: float) -> None:
        """These instead of what it claimed until now."""
        before, waiter.claimed = waiter.claimed, states
        if before == states:
            return
        for state in states:
            state.waiting += 1
        for state in before:
            state.waiting -= 1
        self.freed(before, now)

    def leave(self, waiter: Waiter, now: float, *, served: bool) -> None:
        """The call goes on or gives up: those behind it may be first now."""
        self._waiters.remove(waiter)
        own = self._callers[waiter.caller]
        del own[waiter]
        if not own:
            del self._callers[waiter.caller]
        if served:
            self._served(waiter)
        for state in waiter.claimed:
            state.waiting -= 1
        self.freed(waiter.claimed, now)

    def _served(self, waiter: Waiter) -> None:
        turn, _ = waiter.turn
        if turn > self._round:
            self._round = turn
            self._had_turn.clear()
        if turn == self._round:
            self._had_turn.add(waiter.caller)

    def freed(self, states: Iterable[UpstreamState], now: float) -> None:
        """These may take a call now."""
        woken = {id(first): first for state in states if (first := self._first(state, now)) is not None}
        self.to_wake.extend(waiter.wake for waiter in woken.values())

    def claimed(self, state: UpstreamState, by_others_than: Waiter | None, now: float) -> bool:
        """Whether a call ahead waits for this upstream; ahead of a call without a place are all."""
        first = self._first(state, now)
        return first is not None and first is not by_others_than

    def _first(self, state: UpstreamState, now: float) -> Waiter | None:
        if not state.waiting:
            return None
        return next((waiter for waiter in self._waiters if waiter.claims(state, now)), None)
