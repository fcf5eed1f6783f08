"""The exact cache: a request that is repeated to the letter gets the answer that was given before.

Two equal requests at the same time may both be sent. Whether a repeated answer will do, with a temperature
above 0 for one, is for whoever turns the cache on to say.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from smalt.types import Facts, Operation, Usage

MOST_BYTES: Final = 64_000_000  # of requests and answers together
LARGEST_BYTES: Final = MOST_BYTES // 8  # of one; else a single one could drive out all others

Key = tuple[Operation, str, str | None, bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """`usage`: as the answer reported it. `until_s`: on the monotonic clock."""

    body: bytes
    usage: Usage | None
    until_s: float


class AnswerCache:
    """Of `size` answers and 64 MB at most; who was not asked for the longest goes first. Safe for threads."""

    def __init__(self, size: int, ttl_s: float) -> None:
        self._size = size
        self._ttl_s = ttl_s
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, facts: Facts, body: bytes, now: float) -> Kept | None:
        key = _key(facts, body)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if now >= kept.until_s:
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return kept

    def keep(self, facts: Facts, body: bytes, answer: bytes, usage: Usage | None, now: float) -> None:
        """Only what is whole when it comes, and creates nothing at the upstream."""
        if facts.stream or not facts.repeatable or len(body) + len(answer) > LARGEST_BYTES:
            return
        key = _key(facts, body)
        with self._lock:
            if key in self._kept:
                self._drop(key)
            self._kept[key] = Kept(answer, usage, now + self._ttl_s)
            self._bytes += len(body) + len(answer)
            while len(self._kept) > self._size or self._bytes > MOST_BYTES:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        self._bytes -= len(key[-1]) + len(self._kept.pop(key).body)


def _key(facts: Facts, body: bytes) -> Key:
    """An agent may be asked the same under other instructions."""
    return facts.operation, facts.model, facts.instructions, body
