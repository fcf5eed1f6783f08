"""Ways to pick one of the free upstreams of a tier. A strategy neither filters nor reserves: it ranks."""

from collections.abc import Sequence
from typing import Protocol

from smalt.core.settings import StrategyName
from smalt.core.upstream import UpstreamState

States = Sequence[UpstreamState]


class Strategy(Protocol):
    """The lowest rank is picked; of equal ones the earlier upstream. One object for each tier."""

    keeps_shares: bool  # whether it promises shares of the traffic, which affinity would break

    def ranks(self, states: States, *, stream: bool, unit: float, now: float) -> list[float]:
        """Of each. `unit`: random number in [0, 1) of this attempt."""

    def picked(self, state: UpstreamState) -> None:
        """Told after each choice."""


class LeastLoaded:
    """The smallest share of the quota spent, counting what is under way where the quota does not."""

    keeps_shares = False

    def ranks(self, states: States, *, stream: bool, unit: float, now: float) -> list[float]:
        return [state.share(now) + 1e-6 * state.in_flight for state in states]

    def picked(self, state: UpstreamState) -> None:
        """Keeps nothing."""


class RoundRobin:
    """Who was picked longest ago."""

    keeps_shares = True

    def __init__(self) -> None:
        self._turn = 0
        self._last: dict[str, int] = {}

    def ranks(self, states: States, *, stream: bool, unit: float, now: float) -> list[float]:
        return [self._last.get(state.spec.name, 0) for state in states]

    def picked(self, state: UpstreamState) -> None:
        self._turn += 1
        self._last[state.spec.name] = self._turn


class Weighted:
    """Shares in the ratio of the weights, evenly mixed. Who was away does not catch up."""

    keeps_shares = True

    def __init__(self) -> None:
        self._pass = 0.0
        self._next: dict[str, float] = {}

    def ranks(self, states: States, *, stream: bool, unit: float, now: float) -> list[float]:
        return [max(self._pass, self._next.get(state.spec.name, 0.0)) for state in states]

    def picked(self, state: UpstreamState) -> None:
        name = state.spec.name
        self._pass = max(self._pass, self._next.get(name, 0.0))
        self._next[name] = self._pass + 1.0 / state.spec.weight


class Random:
    """Each with the same chance."""

    keeps_shares = True

    def ranks(self, states: States, *, stream: bool, unit: float, now: float) -> list[float]:
        """The mark makes another number of `unit` for every upstream."""
        return [unit * state.mark % 1.0 for state in states]

    def picked(self, state: UpstreamState) -> None:
        """Keeps nothing."""


class LeastLatency:
    """Who has answered fastest lately: streams by their first byte, whole answers by their end."""

    keeps_shares = False

    def ranks(self, states: States, *, stream: bool, unit: float, now: float) -> list[float]:
        return [(state.first_byte if stream else state.total).expected_s(now) for state in states]

    def picked(self, state: UpstreamState) -> None:
        """Keeps nothing."""


STRATEGIES: dict[StrategyName, type[Strategy]] = {
    "least_loaded": LeastLoaded,
    "round_robin": RoundRobin,
    "weighted": Weighted,
    "random": Random,
    "least_latency": LeastLatency,
}
