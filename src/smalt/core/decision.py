"""What a choice was made of, so that it can be explained and made again."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of a call.

    `tokens`: estimate of what the request takes. `obstacles`: every upstream that was looked at, in order,
    and why it could not serve (None: it could). `ranks`: those among which the strategy chose; the lowest
    wins, of equal ones the first. `home`: preferred to them, because it may have the prompt in its cache.
    `chosen`: None if none was. `waits_until_s`: until then at most the call waits.
    """

    at_s: float
    tokens: int
    obstacles: Mapping[str, str | None]
    ranks: Mapping[str, float]
    home: str | None
    chosen: str | None
    waits_until_s: float | None = None

    def replay(self) -> str | None:
        """Choose again from what is written here."""
        if self.home is not None:
            return self.home
        return min(self.ranks, key=lambda name: self.ranks[name], default=None)
