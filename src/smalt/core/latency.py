"""How fast an upstream has answered lately."""

import math
from typing import Final

NEWEST_WEIGHT: Final = 0.2  # of one measurement in the average
FORGET_S: Final = 300.0  # after this long without one, a measurement says a third of what it said
FAILURE_FACTOR: Final = 2.0


class Latency:
    """A moving average in seconds, None before the first answer. `answered_s`: when the last one came."""

    __slots__ = ("_measured_s", "answered_s", "average_s")

    def __init__(self) -> None:
        self.average_s: float | None = None
        self._measured_s = 0.0
        self.answered_s = -math.inf

    def measured(self, duration_s: float, now: float) -> None:
        self.answered_s = now
        self._take(duration_s, now)

    def _take(self, duration_s: float, now: float) -> None:
        old_s = self.average_s
        self.average_s = duration_s if old_s is None else old_s + NEWEST_WEIGHT * (duration_s - old_s)
        self._measured_s = now

    def failed(self, duration_s: float, now: float) -> None:
        """A failure never looks fast: it counts as slower than what came before."""
        self._take(max(duration_s, FAILURE_FACTOR * (self.average_s or 0.0)), now)

    def expected_s(self, now: float) -> float:
        """For comparing upstreams: 0 if nothing is known, and sinking with time, so that one that was slow is
        tried again."""
        if self.average_s is None:
            return 0.0
        return self.average_s * math.exp((self._measured_s - now) / FORGET_S)
