"""What each kind of failure means for the upstream and for the call: one table.

A cooled upstream gets no traffic until the time is over. Where waiting cannot help (a refused key, a
missing deployment) the upstream is *flagged* instead: avoided while others serve, but tried at once when
nothing else is left, so that its own error reaches the caller without delay.
"""

from dataclasses import dataclass
from enum import Enum

from smalt.types import Failure, FailureKind, Fate

LONGEST_WAIT_S = 60.0  # an upstream that asks for more (hours, a day) is flagged and asked again after this
COOLDOWN_CAP_S = 32.0


class Scope(Enum):
    """How far a failure reaches beyond its call."""

    REQUEST = "request"
    DEPLOYMENT = "deployment"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Reaction:
    """`cooldown_s`: default when the upstream names no time; doubles with `escalates` per failure in a row.

    `final`: the answer goes to the caller as it is. `repeats`: attempts one call may spend on the same
    upstream. `flagged`: see above. `fate`: what the failed attempt may have cost.
    """

    fate: Fate
    scope: Scope = Scope.DEPLOYMENT
    cooldown_s: float = 0.0
    escalates: bool = False
    flagged: bool = False
    final: bool = False
    repeats: int = 5


REACTIONS: dict[FailureKind, Reaction] = {
    FailureKind.QUOTA: Reaction(Fate.FREE, cooldown_s=10),
    FailureKind.OVERSIZED: Reaction(Fate.FREE, Scope.REQUEST, repeats=1),
    FailureKind.CAPACITY: Reaction(Fate.FREE, cooldown_s=10),
    FailureKind.CREDENTIAL: Reaction(Fate.FREE, Scope.RESOURCE, cooldown_s=30, flagged=True, repeats=1),
    FailureKind.ACCESS: Reaction(Fate.FREE, Scope.RESOURCE, cooldown_s=30, flagged=True, repeats=1),
    FailureKind.DEPLOYMENT_NOT_FOUND: Reaction(Fate.FREE, cooldown_s=30, flagged=True, repeats=1),
    FailureKind.REQUEST: Reaction(Fate.FREE, Scope.REQUEST, final=True),
    FailureKind.CONTENT_FILTER: Reaction(Fate.BILLED, Scope.REQUEST, final=True),
    FailureKind.CONNECT: Reaction(Fate.NOT_SENT, Scope.RESOURCE, cooldown_s=1, escalates=True),
    FailureKind.STALE: Reaction(Fate.UNKNOWN, Scope.REQUEST),
    FailureKind.RESET: Reaction(Fate.UNKNOWN, cooldown_s=1, escalates=True),
    FailureKind.TRUNCATED: Reaction(Fate.BILLED, cooldown_s=1, escalates=True, repeats=2),
    FailureKind.TIMEOUT: Reaction(Fate.UNKNOWN, Scope.REQUEST),
    FailureKind.SERVER: Reaction(Fate.FREE, cooldown_s=1, escalates=True, repeats=2),
}


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Leave an upstream alone for `seconds`; `flagged`: waiting for it would not help."""

    seconds: float
    flagged: bool


def cooldown(failure: Failure, failures_in_a_row: int) -> Cooldown | None:
    """The rest an upstream gets after `failure`, None if it gets none. `failures_in_a_row` counts from 1."""
    reaction = REACTIONS[failure.kind]
    if reaction.scope is Scope.REQUEST:
        return None
    if failure.wait_s is not None:
        return Cooldown(
            min(failure.wait_s, LONGEST_WAIT_S), reaction.flagged or failure.wait_s > LONGEST_WAIT_S
        )
    growth = 2.0 ** min(failures_in_a_row - 1, 5) if reaction.escalates else 1.0
    return Cooldown(min(COOLDOWN_CAP_S, reaction.cooldown_s * growth), reaction.flagged)


def backoff_s(repeat: int, *, base_s: float, cap_s: float, jitter_s: float, unit: float) -> float:
    """Delay before repeat number `repeat` (1-based) on the same upstream; `unit` in [0, 1)."""
    return min(cap_s, base_s * 2.0 ** (repeat - 1)) + jitter_s * unit
