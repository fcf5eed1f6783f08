"""Sums over all calls of a process, by upstream, by model and by tag."""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from smalt.types import CallRecord, Fate, Usage

Axis = Literal["upstream", "model", "tag"]


@dataclass(slots=True)
class Sums:
    """`calls`: answered here. `attempts`: sent here, `failed_attempts` of them without an answer.
    `cost_nusd`: of the calls whose price is known; `unpriced_calls` counts the others. `cached_calls`:
    answered from memory, by nobody: they are in no other sum, so that these equal the upstreams' bill."""

    calls: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    cached_calls: int = 0


@dataclass(slots=True)
class Totals:
    """A sink that adds up. Safe for threads."""

    errors: int = 0
    _sums: dict[Axis, dict[str, Sums]] = field(
        default_factory=lambda: {axis: defaultdict(Sums) for axis in ("upstream", "model", "tag")}
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, record: CallRecord) -> None:
        with self._lock:
            self.errors += record.error is not None
            for attempt in record.attempts:
                for sums in self._of(record, attempt.upstream):
                    sums.attempts += 1
                    sums.failed_attempts += attempt.failure is not None or attempt.fate is not Fate.BILLED
            if record.cached:
                for sums in self._of(record):
                    sums.cached_calls += 1
            elif record.upstream is not None and record.usage is not None:
                for sums in self._of(record, record.upstream):
                    _add(sums, record, record.usage)

    def sums(self, by: Axis) -> Mapping[str, Sums]:
        with self._lock:
            return {name: replace(sums) for name, sums in self._sums[by].items()}

    def _of(self, record: CallRecord, *upstreams: str) -> Sequence[Sums]:
        by_upstream = [self._sums["upstream"][name] for name in upstreams]
        by_tag = [self._sums["tag"][tag] for tag in record.tags]
        return *by_upstream, self._sums["model"][record.model], *by_tag


def _add(sums: Sums, record: CallRecord, usage: Usage) -> None:
    sums.calls += 1
    sums.input_tokens += usage.input_tokens
    sums.output_tokens += usage.output_tokens
    sums.estimated_calls += record.estimated
    if record.cost_nusd is None:
        sums.unpriced_calls += 1
    else:
        sums.cost_nusd += record.cost_nusd
