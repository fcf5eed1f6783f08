"""Sends requests that share a prompt's beginning to the same upstream, whose cache then holds it."""

from collections.abc import Sequence
from typing import Final

from smalt.core.upstream import UpstreamState

MOST_OF_MEAN: Final = 1.25  # the home of a prompt may be this much busier than the mean of its tier
SLACK: Final = 0.05  # of its quota, so that small numbers do not count


def home(free: Sequence[UpstreamState], affinity: int, now: float) -> UpstreamState | None:
    """Where such prompts live among the upstreams that are free; None if that one is too busy.

    Rendezvous hashing: an upstream that comes or goes moves no prompts but its own. Products spread them
    evenly; checksums that differ in their beginning only do not.
    """
    best = max(free, key=lambda state: affinity * state.mark & 0xFFFF_FFFF)
    mean = sum(state.share(now) for state in free) / len(free)
    return best if best.share(now) <= MOST_OF_MEAN * mean + SLACK else None
