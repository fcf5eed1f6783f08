"""What each kind of failure means for the upstream and for the call: one table."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from smalt.core.health import Cooldown, Rest
from smalt.types import Failure, FailureKind, Fate

LONGEST_WAIT_S: Final = 60.0  # an upstream that asks for more (hours, a day) is parked and asked again then


class Scope(Enum):
    """How far a failure reaches beyond its call."""

    REQUEST = "request"
    DEPLOYMENT = "deployment"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Reaction:
    """`cooldown_s`: rest of the upstream when it names no time itself, in the way `rest` says. `trips`:
    counts towards the breaker, and the rest doubles with every failure in a row. `final`: the answer goes to
    the caller as it is. `repeats`: attempts one call may spend on the same upstream. `elsewhere_region`:
    rather in another region. `fate`: what the failed attempt may have cost.
    """

    fate: Fate
    scope: Scope = Scope.DEPLOYMENT
    cooldown_s: float = 0.0
    rest: Rest = Rest.COOLING
    trips: bool = False
    final: bool = False
    repeats: int = 5
    elsewhere_region: bool = False


REACTIONS: Final[dict[FailureKind, Reaction]] = {
    FailureKind.QUOTA: Reaction(Fate.FREE, cooldown_s=10),
    FailureKind.OVERSIZED: Reaction(Fate.FREE, Scope.REQUEST, repeats=1),
    FailureKind.CAPACITY: Reaction(Fate.FREE, cooldown_s=10, elsewhere_region=True),
    FailureKind.CREDENTIAL: Reaction(Fate.FREE, Scope.RESOURCE, 30, Rest.FLAGGED, repeats=1),
    FailureKind.KEY: Reaction(Fate.FREE, Scope.REQUEST),
    FailureKind.NO_CREDENTIAL: Reaction(Fate.NOT_SENT, Scope.RESOURCE, 5, Rest.FLAGGED, repeats=1),
    FailureKind.ACCESS: Reaction(Fate.FREE, Scope.RESOURCE, 30, Rest.FLAGGED, repeats=1),
    FailureKind.DEPLOYMENT_NOT_FOUND: Reaction(Fate.FREE, Scope.DEPLOYMENT, 30, Rest.FLAGGED, repeats=1),
    FailureKind.CONTEXT: Reaction(Fate.FREE, Scope.REQUEST, repeats=1),
    FailureKind.REQUEST: Reaction(Fate.FREE, Scope.REQUEST, final=True),
    FailureKind.CONTENT_FILTER: Reaction(Fate.BILLED, Scope.REQUEST, final=True),
    FailureKind.CONNECT: Reaction(Fate.NOT_SENT, Scope.RESOURCE, 1, trips=True),
    FailureKind.STALE: Reaction(Fate.UNKNOWN, Scope.REQUEST),
    FailureKind.RESET: Reaction(Fate.UNKNOWN, Scope.DEPLOYMENT, 1, trips=True),
    FailureKind.TRUNCATED: Reaction(Fate.BILLED, Scope.DEPLOYMENT, 1, trips=True, repeats=2),
    FailureKind.TIMEOUT: Reaction(Fate.UNKNOWN, Scope.REQUEST),
    FailureKind.SERVER: Reaction(Fate.FREE, Scope.DEPLOYMENT, 1, trips=True, repeats=2),
}

UNCOUNTED: Final = frozenset({FailureKind.OVERSIZED, FailureKind.KEY})  # Azure keeps no charge for these


def cooldown(failure: Failure) -> Cooldown | None:
    """The rest that follows from the failure alone; None if there is none."""
    reaction = REACTIONS[failure.kind]
    if reaction.scope is Scope.REQUEST:
        return None
    wait_s = reaction.cooldown_s if failure.wait_s is None else failure.wait_s
    if wait_s > LONGEST_WAIT_S:
        return Cooldown(LONGEST_WAIT_S, Rest.PARKED if reaction.rest is Rest.COOLING else reaction.rest)
    return Cooldown(wait_s, reaction.rest)


def backoff_s(repeat: int, *, base_s: float, cap_s: float, jitter_s: float, unit: float) -> float:
    """Delay before repeat number `repeat` (1-based) on the same upstream; `unit` in [0, 1)."""
    return min(cap_s, base_s * 2.0 ** (repeat - 1)) + jitter_s * unit
