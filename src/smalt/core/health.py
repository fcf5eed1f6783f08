"""Whether an upstream is to be left alone: cooldowns and the circuit breaker.

A *cooling* upstream is waited for. Where waiting does not help there are two more ways to rest: *flagged*
(a refused key, a missing deployment) is avoided while others serve, but asked when nothing else is left, so
that its own error reaches the caller; *parked* (a quota that is gone for hours) is neither. The breaker is
*open* after several failures in a row; then one call at a time probes whether the upstream is back.

Besides the rests that calls bring there is the flag of questions that were asked in between and went wrong
(`missed`). What is asked next lifts it, and nothing else of the rest; an upstream that speaks to a call, too.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

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

    `until_s`: it may rest until then. `rest`, `reason`: the last one that a call has brought, and the failure
    behind it. `clean`: nothing has failed since the last answer.
    """

    __slots__ = (
        "_cooled_until_s",
        "_last_failure_s",
        "_missed",
        "_missed_until_s",
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
        self.until_s = self._cooled_until_s = self._missed_until_s = -NEVER
        self._missed = ""
        self.rest = Rest.COOLING
        self.reason: str | None = None
        self.clean = True
        self.failures = 0
        self._last_failure_s = -NEVER
        self.half_open = False
        self.probing = False

    def resting(self, now: float) -> Rest | None:
        """How it rests now, None if calls may be sent."""
        if self._flagged(now):
            return Rest.FLAGGED
        if now < self._cooled_until_s:
            return self.rest
        return Rest.PROBING if self.probing else None

    def why(self, now: float) -> str | None:
        """The failure behind the rest; None if there is no rest."""
        if self._flagged(now):
            return self._missed
        return self.reason if self.resting(now) is not None else None

    def breaker_state(self, now: float) -> Literal["closed", "open", "half_open"]:
        """Half open: the next call finds out whether the upstream is back."""
        if not self.half_open:
            return "closed"
        return "open" if now < self._cooled_until_s and self.rest is Rest.OPEN else "half_open"

    def waits_until_s(self, now: float) -> float:
        """When a call that waits for it may be sent; infinite if none should wait."""
        rest = self.resting(now)
        if rest is None:
            return now
        return self._cooled_until_s if rest is Rest.COOLING else NEVER

    def sent(self) -> bool:
        """A call is on its way; whether it is the probe of a half-open breaker."""
        if self.half_open:
            self.probing = True
        return self.half_open

    def cool(self, cooldown: Cooldown, reason: str, now: float) -> None:
        """The graver rest and the later end of two count."""
        self.clean = False
        if now >= self._cooled_until_s or _GRAVITY[cooldown.rest] >= _GRAVITY[self.rest]:
            self.rest, self.reason = cooldown.rest, reason
        self._cooled_until_s = max(self._cooled_until_s, now + cooldown.seconds)
        self.until_s = max(self._cooled_until_s, self._missed_until_s)

    def missed(self, reason: str, until_s: float, now: float) -> bool:
        """A question between the calls went wrong: flagged until then, or until one is answered. Whether the
        one before had not."""
        is_news = now >= self._missed_until_s
        self.clean = False
        self._missed, self._missed_until_s = reason, until_s
        self.until_s = max(self._cooled_until_s, until_s)
        return is_news

    def reached(self, now: float) -> bool:
        """Such a question was answered; whether that ended a flag. Then an open breaker lets a call try."""
        flagged = now < self._missed_until_s
        if flagged and self.rest is Rest.OPEN:
            self._cooled_until_s = -NEVER
        self._missed_until_s = -NEVER
        self.until_s = self._cooled_until_s
        return flagged

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
            self._cooled_until_s = -NEVER
        self._missed_until_s = -NEVER
        self.until_s = self._cooled_until_s
        return closed

    def _flagged(self, now: float) -> bool:
        """By what was missed. A rest that calls have brought counts more, but for one that would be waited
        for."""
        rests = now < self._cooled_until_s and self.rest is not Rest.COOLING
        return now < self._missed_until_s and not rests and not self.probing
