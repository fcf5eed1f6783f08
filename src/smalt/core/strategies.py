"""Ways to pick one of the available upstreams of a tier. A strategy neither filters nor reserves."""

from collections.abc import Sequence
from typing import Protocol

from smalt.core.upstream import UpstreamState


class Strategy(Protocol):
    def pick(self, available: Sequence[UpstreamState], now: float) -> UpstreamState:
        """One of `available`, which is never empty."""
        ...


class LeastLoaded:
    """The smallest share of the minute's tokens spent; then fewest in flight; then the earlier one."""

    def pick(self, available: Sequence[UpstreamState], now: float) -> UpstreamState:
        return min(available, key=lambda state: (state.load(now), state.in_flight))
