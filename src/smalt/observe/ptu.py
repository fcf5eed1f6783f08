"""The hours of provisioned deployments, which are billed busy or idle, and how much of them was used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from smalt.types import Usage
from smalt.wire.models import Throughput

HOUR_S: Final = 3_600.0
HOUR_MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A deployment of `ptu` units. `unit`: what one of them works off, None if it is not known."""

    ptu: int
    unit: Throughput | None = None


@dataclass(frozen=True, slots=True)
class PtuHours:
    """Of one deployment, from when it is first configured. `hours`: units times hours up to `since_s`.

    `since_s`, `now`: seconds on one monotonic clock.
    """

    deployment: Provisioned
    since_s: float
    hours: float = 0.0

    def hours_at(self, now: float) -> float:
        return self.hours + self.deployment.ptu * (now - self.since_s) / HOUR_S

    def used(self, usage: Usage, now: float) -> float | None:
        """The share of its hours' work that `usage` is; None if it is not known what they work off."""
        unit, hours = self.deployment.unit, self.hours_at(now)
        if unit is None or not hours:
            return None
        fresh = usage.input_tokens - usage.cached_tokens * (1.0 - unit.cached_weight)
        return (fresh + usage.output_tokens * unit.output_weight) / (unit.input_tpm * HOUR_MINUTES * hours)


def reconfigured(
    known: Mapping[str, PtuHours], deployments: Mapping[str, Provisioned], now: float
) -> dict[str, PtuHours]:
    """The meters by upstream once the settings have changed. One that is gone runs no further, and keeps its
    hours."""
    changed = {name: PtuHours(deployment, now) for name, deployment in deployments.items()}
    for name, meter in known.items():
        deployment = deployments.get(name, Provisioned(0, meter.deployment.unit))
        changed[name] = PtuHours(deployment, now, meter.hours_at(now))
    return changed
