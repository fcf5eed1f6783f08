"""The emulator's time, which may run faster than the world's."""

import time
from datetime import UTC, datetime


class Clock:
    """`speed`: how many seconds pass here while one passes outside; more than 0."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._started_s = time.monotonic()

    def now(self) -> float:
        """Seconds of the emulator since it was made; limits and lifetimes count in them."""
        return self.uptime_s() * self.speed

    def uptime_s(self) -> float:
        """Seconds outside since it was made."""
        return time.monotonic() - self._started_s

    def outside_s(self, seconds: float) -> float:
        """How long a caller has to wait while `seconds` pass here."""
        return seconds / self.speed


def wall_s() -> float:
    """Seconds since 1970. Tokens, certificates and secrets carry wall time, whatever the speed."""
    return datetime.now(UTC).timestamp()
