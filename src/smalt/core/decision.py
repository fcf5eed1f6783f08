"""What a choice was made of, so that it can be explained and made again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from smalt.core.upstream import UpstreamState


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


class Choice(Struct, frozen=True):
    """A decision as it is noted while a call is under way, without names."""

    at_s: float
    obstacles: Sequence[str | None]
    among: Sequence[UpstreamState]
    ranks: Sequence[float]
    home: UpstreamState | None
    chosen: UpstreamState | None
    waits_until_s: float | None = None

    def decision(self, names: Sequence[str], tokens: int) -> Decision:
        """`names`: of all upstreams in order; later ones were not looked at."""
        return Decision(
            at_s=self.at_s,
            tokens=tokens,
            obstacles=dict(zip(names, self.obstacles, strict=False)),
            ranks={state.spec.name: rank for state, rank in zip(self.among, self.ranks, strict=True)},
            home=self.home.spec.name if self.home else None,
            chosen=self.chosen.spec.name if self.chosen else None,
            waits_until_s=self.waits_until_s,
        )
