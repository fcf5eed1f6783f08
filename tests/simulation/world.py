"""Time that passes only when something happens, and chance that repeats itself."""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any


class World:
    """Events in the order of their time; of one moment, in the order they were planned. Times in seconds."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.chance = Random(seed)
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._planned = 0

    def after(self, delay_s: float, event: Callable[..., object], *args: Any) -> None:
        self.at(self.now + delay_s, event, *args)

    def at(self, time_s: float, event: Callable[..., object], *args: Any) -> None:
        self._planned += 1
        heappush(self._events, (time_s, self._planned, event, args))

    def run(self) -> None:
        """Until nothing more will happen."""
        events = self._events
        while events:
            self.now, _, event, args = heappop(events)
            event(*args)
