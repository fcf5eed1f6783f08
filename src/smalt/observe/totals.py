"""Sums over all calls of a process, by upstream and by model."""

import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from smalt.types import CallRecord, Fate, Usage


@dataclass(slots=True)
class Sums:
    """`calls`: answered here. `attempts`: sent here, `failed_attempts` of them without an answer.
    `cost_nusd`: of the calls whose price is known; `unpriced_calls` counts the others."""

    calls: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0


@dataclass(slots=True)
class Totals:
    """A sink that adds up. Safe for threads."""

    errors: int = 0
    _upstreams: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    _models: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, record: CallRecord) -> None:
        with self._lock:
            for attempt in record.attempts:
                for sums in (self._upstreams[attempt.upstream], self._models[record.model]):
                    sums.attempts += 1
                    sums.failed_attempts += attempt.failure is not None or attempt.fate is not Fate.BILLED
            self.errors += record.error is not None
            if record.upstream is not None and record.usage is not None:
                for sums in (self._upstreams[record.upstream], self._models[record.model]):
                    _add(sums, record, record.usage)

    def by_upstream(self) -> Mapping[str, Sums]:
        with self._lock:
            return {name: replace(sums) for name, sums in self._upstreams.items()}

    def by_model(self) -> Mapping[str, Sums]:
        with self._lock:
            return {name: replace(sums) for name, sums in self._models.items()}


def _add(sums: Sums, record: CallRecord, usage: Usage) -> None:
    sums.calls += 1
    sums.input_tokens += usage.input_tokens
    sums.output_tokens += usage.output_tokens
    sums.estimated_calls += record.estimated
    if record.cost_nusd is None:
        sums.unpriced_calls += 1
    else:
        sums.cost_nusd += record.cost_nusd
