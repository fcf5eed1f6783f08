"""Sums over all calls of a process, by upstream, model, tag and agent."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal, get_args

from smalt.exclusive import Exclusive
from smalt.observe.ptu import Provisioned, PtuHours, reconfigured
from smalt.types import CallRecord, Fate, Usage

Axis = Literal["upstream", "model", "tag", "agent"]
MOST: Final = 4_096  # names of one axis: callers think them up
OTHERS: Final = "(others)"  # whatever comes after so many


@dataclass(slots=True)
class Sums:
    """`calls`: answered here. `attempts`: sent here, `failed_attempts` of them without an answer.
    `cost_nusd`: of the calls whose price is known; `unpriced_calls` counts the others. `cached_calls`:
    answered from memory, by nobody: they are in no other sum, so that these equal the upstreams' bill.
    `cached_tokens`: of the input, read from Azure's prompt cache.

    Of a provisioned upstream with `ptu`, whose tokens cost nothing: `ptu_hours`, what is billed in their
    place, since the fleet knows it, busy or idle; `ptu_used`, the share of these hours' throughput that the
    tokens above are, None if it is not known. What others use of it is not seen.
    """

    calls: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    cached_calls: int = 0
    ptu_hours: float | None = None
    ptu_used: float | None = None


@dataclass(slots=True)
class Totals:
    """A sink that adds up. Safe for threads. `clock`: monotonic, in seconds."""

    clock: Callable[[], float] = time.monotonic
    errors: int = 0
    _sums: dict[Axis, dict[str, Sums]] = field(
        default_factory=lambda: {axis: defaultdict(Sums) for axis in get_args(Axis)}
    )
    _ptu: dict[str, PtuHours] = field(default_factory=dict)
    _lock: Exclusive = field(default_factory=Exclusive)

    def __call__(self, record: CallRecord) -> None:
        if self._lock.held:
            self._lock.postpone(partial(self, record))
            return
        with self._lock:
            self.errors += record.error is not None
            if not record.attempts and not record.cached:
                return
            of_call = self._of(record)
            for attempt in record.attempts:
                for sums in (self._named("upstream", attempt.upstream), *of_call):
                    sums.attempts += 1
                    sums.failed_attempts += attempt.failure is not None or attempt.fate is not Fate.BILLED
            if record.cached:
                for sums in of_call:
                    sums.cached_calls += 1
            elif record.upstream is not None and record.usage is not None:
                for sums in (self._named("upstream", record.upstream), *of_call):
                    _add(sums, record, record.usage)

    def provision(self, deployments: Mapping[str, Provisioned]) -> None:
        """The hours of these run from now on, unless they do so already, and of no others."""
        with self._lock:
            self._ptu = reconfigured(self._ptu, deployments, self.clock())

    def sums(self, by: Axis) -> Mapping[str, Sums]:
        with self._lock:
            found = {name: replace(sums) for name, sums in self._sums[by].items()}
            if by == "upstream" and self._ptu:
                self._add_hours(found, self.clock())
        return found

    def _add_hours(self, found: dict[str, Sums], now: float) -> None:
        for name, meter in self._ptu.items():
            sums = found.setdefault(name, Sums())
            usage = Usage(sums.input_tokens, sums.output_tokens, sums.cached_tokens)
            sums.ptu_hours, sums.ptu_used = meter.hours_at(now), meter.used(usage, now)

    def _of(self, record: CallRecord) -> Sequence[Sums]:
        """But for upstreams."""
        found = [self._named("model", record.model)]
        if record.tags:
            found += [self._named("tag", tag) for tag in record.tags]
        agent = record.agent
        if agent is not None:
            found.append(self._named("agent", agent))
        return found

    def _named(self, axis: Axis, name: str) -> Sums:
        known = self._sums[axis]
        return known[name if name in known or len(known) < MOST else OTHERS]


def _add(sums: Sums, record: CallRecord, usage: Usage) -> None:
    sums.calls += 1
    sums.input_tokens += usage.input_tokens
    sums.cached_tokens += usage.cached_tokens
    sums.output_tokens += usage.output_tokens
    sums.estimated_calls += record.estimated
    if record.cost_nusd is None:
        sums.unpriced_calls += 1
    else:
        sums.cost_nusd += record.cost_nusd
