"""Whether an upstream is to be left alone: cooldowns and the circuit breaker.

A *cooling* upstream is waited for. Where waiting does not help there are two more ways to rest: *flagged*
(a refused key, a missing deployment) is avoided while others serve, but asked when nothing else is left, so
that its own error reaches the caller; *parked* (a quota that is gone for hours) is neither. The breaker is
*open* after several failures in a row; then one call at a time probes whether the upstream is back.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from smalt.core.settings import BreakerSpec

NEVER: Final = float("inf")
MOST_DOUBLINGS: Final = 5  # of a rest that grows: from 1 to 32 seconds


class Rest(StrEnum):
    """Why an upstream is left alone."""

    COOLING = "cooling"
    FLAGGED = "flagged"
    PARKED = "parked"
    OPEN = "open"
    PROBING = "probing"  # half open, and the one probe is under way


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Leave an upstream alone for `seconds`, in the way `rest` says."""

    seconds: float
    rest: Rest


# Of two rests at the same time the graver counts.
_GRAVITY = {Rest.COOLING: 0, Rest.PARKED: 1, Rest.OPEN: 2, Rest.FLAGGED: 3}


class Health:
    """Of one upstream. All times: seconds on the engine's clock.

    `reason`: the failure behind a rest. `clean`: nothing has failed since the last answer.
    """

    __slots__ = (
        "_last_failure_s",
        "breaker",
        "clean",
        "failures",
        "half_open",
        "probing",
        "reason",
        "rest",
        "until_s",
    )

    def __init__(self, breaker: BreakerSpec) -> None:
        self.breaker = breaker
        self.until_s = -NEVER
        self.rest = Rest.COOLING
        self.reason: str | None = None
        self.clean = True
        self.failures = 0
        self._last_failure_s = -NEVER
        self.half_open = False
        self.probing = False

    def resting(self, now: float) -> Rest | None:
        """How it rests now, None if calls may be sent."""
        if now < self.until_s:
            return self.rest
        return Rest.PROBING if self.probing else None

    def waits_until_s(self, now: float) -> float:
        """When a call that waits for it may be sent; infinite if none should wait."""
        rest = self.resting(now)
        if rest is None:
            return now
        return self.until_s if rest is Rest.COOLING else NEVER

    def sent(self) -> bool:
        """A call is on its way; whether it is the probe of a half-open breaker."""
        if self.half_open:
            self.probing = True
        return self.half_open

    def cool(self, cooldown: Cooldown, reason: str, now: float) -> None:
        """The graver rest and the later end of two count."""
        self.clean = False
        if now >= self.until_s or _GRAVITY[cooldown.rest] >= _GRAVITY[self.rest]:
            self.rest, self.reason = cooldown.rest, reason
        self.until_s = max(self.until_s, now + cooldown.seconds)

    def failed(self, sent_s: float, cooldown: Cooldown, *, grows: bool, now: float) -> Cooldown | None:
        """Count a failure of an attempt that was sent at `sent_s`; the rest that follows from it: `cooldown`,
        which doubles with every further failure if it `grows`, or that of the breaker.

        Attempts that were under way when another failed belong to the same incident: they count once, and a
        rest that grows follows from the first alone. A failure is forgotten with every `open_s` that passes.
        """
        self.clean = False
        if sent_s < self._last_failure_s:
            return None if grows else cooldown
        forgotten = int(min(self.failures, (now - self._last_failure_s) / self.breaker.open_s))
        self.failures += 1 - forgotten
        self._last_failure_s = now
        if self.half_open or self.failures >= self.breaker.failures:
            self.half_open = True
            return Cooldown(max(cooldown.seconds, self.breaker.open_s), Rest.OPEN)
        if not grows:
            return cooldown
        return Cooldown(cooldown.seconds * 2.0 ** min(self.failures - 1, MOST_DOUBLINGS), cooldown.rest)

    def alive(self, *, answered: bool) -> bool:
        """The upstream spoke; whether that closed the breaker. It is not open then, an answer also lifts a
        flag, but nothing a cooldown: one request may pass while the quota is spent."""
        closed = self.half_open
        self.half_open, self.probing, self.failures = False, False, 0
        self.clean = answered
        if self.rest is Rest.OPEN or (answered and self.rest is Rest.FLAGGED):
            self.until_s = -NEVER
        return closed
