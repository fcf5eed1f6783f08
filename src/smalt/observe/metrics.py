"""Counts every call for /metrics: plain numbers now, text when somebody asks.

Labels are bounded: a name that is not configured counts as `other`, and no tag or session is a label.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from smalt.exclusive import Exclusive
from smalt.observe import conventions
from smalt.observe.conventions import DURATION_BOUNDS_S, OPERATION_NAMES, TOKEN_BOUNDS
from smalt.observe.exposition import Distribution, Metric, Sample, Value
from smalt.types import AttemptRecord, CallRecord, Usage
from smalt.wire.prices import usd_text

OTHER: Final = "other"


def _prometheus(name: str, unit: str = "") -> str:
    return name.replace(".", "_") + unit


_OF_MODEL = tuple(
    map(_prometheus, (conventions.OPERATION_NAME, conventions.PROVIDER_NAME, conventions.REQUEST_MODEL))
)
CALLS: Final = Metric(
    "smalt_calls_total",
    "counter",
    "Calls that have ended. outcome: ok, or the code of the error.",
    ("model", "operation", "principal", "outcome"),
)
ATTEMPTS: Final = Metric(
    "smalt_attempts_total",
    "counter",
    "Requests sent to upstreams. outcome: answered, or the kind of failure. fate: what it may have cost.",
    ("upstream", "outcome", "fate"),
)
TOKENS: Final = Metric(
    "smalt_tokens_total",
    "counter",
    "Tokens of answered calls. kind: cached is part of input, reasoning part of output.",
    ("model", "upstream", "principal", "kind"),
)
COST: Final = Metric(
    "smalt_cost_usd_total",
    "counter",
    "USD that answered calls cost, where the price is known.",
    ("model", "upstream", "principal"),
)
UNPRICED: Final = Metric(
    "smalt_unpriced_calls_total", "counter", "Answered calls whose price is not known.", ("model", "upstream")
)
ESTIMATED: Final = Metric(
    "smalt_estimated_calls_total",
    "counter",
    "Answered calls whose tokens are estimated, because nobody reported them.",
    ("model", "upstream"),
)
TOKEN_USAGE: Final = Metric(
    _prometheus(conventions.TOKEN_USAGE),
    "histogram",
    "Tokens of a call, by the conventions of OpenTelemetry.",
    (*_OF_MODEL, _prometheus(conventions.TOKEN_TYPE)),
    TOKEN_BOUNDS,
)
DURATION: Final = Metric(
    _prometheus(conventions.OPERATION_DURATION, "_seconds"),
    "histogram",
    "From the arrival of a call to the end of its answer, by the conventions of OpenTelemetry.",
    (*_OF_MODEL, _prometheus(conventions.ERROR_TYPE)),
    DURATION_BOUNDS_S,
)
FIRST_CHUNK: Final = Metric(
    _prometheus(conventions.TIME_TO_FIRST_CHUNK, "_seconds"),
    "histogram",
    "From the arrival of a streamed call to the first content, by the conventions of OpenTelemetry.",
    _OF_MODEL,
    DURATION_BOUNDS_S,
)
CALL_METRICS: Final = (
    *(CALLS, ATTEMPTS, TOKENS, COST, UNPRICED, ESTIMATED),
    *(TOKEN_USAGE, DURATION, FIRST_CHUNK),
)


class Histogram:
    """Counts values by `bounds`, each the largest of its bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total: float = 0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class _Row:
    """The calls that are alike in all that is counted apart."""

    __slots__ = (
        "cached_tokens",
        "calls",
        "cost_nusd",
        "duration",
        "estimated",
        "first_chunk",
        "input_tokens",
        "input_usage",
        "output_tokens",
        "output_usage",
        "reasoning_tokens",
        "unpriced",
    )

    def __init__(
        self, duration: Histogram, first_chunk: Histogram, usage: tuple[Histogram, Histogram]
    ) -> None:
        self.calls = self.input_tokens = self.cached_tokens = self.output_tokens = self.reasoning_tokens = 0
        self.cost_nusd = self.unpriced = self.estimated = 0
        self.duration, self.first_chunk = duration, first_chunk
        self.input_usage, self.output_usage = usage

    def add(self, record: CallRecord) -> None:
        self.calls += 1
        self.duration.observe(record.duration_s)
        if record.stream and record.first_byte_s is not None:
            self.first_chunk.observe(record.first_byte_s)
        if record.usage is not None and record.upstream is not None:
            self._spend(record, record.usage)

    def _spend(self, record: CallRecord, usage: Usage) -> None:
        self.input_tokens += usage.input_tokens
        self.cached_tokens += usage.cached_tokens
        self.output_tokens += usage.output_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.estimated += record.estimated
        if record.cost_nusd is None:
            self.unpriced += 1
        else:
            self.cost_nusd += record.cost_nusd
        self.input_usage.observe(usage.input_tokens)
        if usage.output_tokens:
            self.output_usage.observe(usage.output_tokens)


@dataclass(frozen=True, slots=True)
class Known:
    """Names that may be labels. `providers`: by upstream, as the conventions call them."""

    models: Collection[str] = frozenset()
    principals: Collection[str] = frozenset()
    providers: Mapping[str, str] = field(default_factory=dict)


class Metrics:
    """A sink. Safe for threads. `known`: may be replaced; what was counted stays."""

    def __init__(self) -> None:
        self.known = Known()
        self._rows: dict[tuple[str, ...], _Row] = {}
        self._attempts: dict[tuple[str, str, str], int] = defaultdict(int)
        self._histograms: dict[tuple[Metric, tuple[str, ...]], Histogram] = {}
        self._lock = Exclusive()

    def __call__(self, record: CallRecord) -> None:
        if self._lock.held:
            self._lock.postpone(partial(self, record))
            return
        known, principal, upstream = self.known, record.principal, record.upstream or ""
        if principal is None or principal not in known.principals:
            principal = OTHER
        if upstream and upstream not in known.providers:
            upstream = OTHER
        model = record.model if record.model in known.models else OTHER
        key: tuple[str, ...] = (model, record.operation, principal, upstream, record.error or "")
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                row = self._rows[key] = self._row(record, model)
            row.add(record)
            for attempt in record.attempts:
                self._attempts[self._attempt(attempt)] += 1

    def samples(self) -> Iterator[Sample]:
        """As of now."""
        with self._lock:
            rows = [(key, _values(row)) for key, row in self._rows.items()]
            attempts = dict(self._attempts)
            histograms = [
                Sample(metric.name, labels, Distribution(tuple(histogram.counts), histogram.total))
                for (metric, labels), histogram in self._histograms.items()
                if any(histogram.counts)
            ]
        sums: dict[tuple[Metric, tuple[str, ...]], int] = defaultdict(int)
        for (model, operation, principal, upstream, error), values in rows:
            sums[CALLS, (model, operation, principal, error or "ok")] += values["calls"]
            if not upstream:
                continue
            for kind in ("input", "cached", "output", "reasoning"):
                sums[TOKENS, (model, upstream, principal, kind)] += values[kind]
            sums[COST, (model, upstream, principal)] += values["cost_nusd"]
            sums[UNPRICED, (model, upstream)] += values["unpriced"]
            sums[ESTIMATED, (model, upstream)] += values["estimated"]
        for (metric, labels), value in sums.items():
            shown: Value = usd_text(value) if metric is COST else value
            yield Sample(metric.name, labels, shown)
        yield from (Sample(ATTEMPTS.name, labels, count) for labels, count in attempts.items())
        yield from histograms

    def _row(self, record: CallRecord, model: str) -> _Row:
        provider = self.known.providers.get(record.upstream or "", conventions.AZURE)
        of_model = (OPERATION_NAMES[record.operation], provider, model)
        return _Row(
            self._histogram(DURATION, (*of_model, record.error or "")),
            self._histogram(FIRST_CHUNK, of_model),
            (
                self._histogram(TOKEN_USAGE, (*of_model, "input")),
                self._histogram(TOKEN_USAGE, (*of_model, "output")),
            ),
        )

    def _histogram(self, metric: Metric, labels: tuple[str, ...]) -> Histogram:
        return self._histograms.setdefault((metric, labels), Histogram(metric.bounds))

    def _attempt(self, attempt: AttemptRecord) -> tuple[str, str, str]:
        upstream = attempt.upstream if attempt.upstream in self.known.providers else OTHER
        return upstream, attempt.failure.kind if attempt.failure else "answered", attempt.fate


def _values(row: _Row) -> Mapping[str, int]:
    return {
        "calls": row.calls,
        "input": row.input_tokens,
        "cached": row.cached_tokens,
        "output": row.output_tokens,
        "reasoning": row.reasoning_tokens,
        "cost_nusd": row.cost_nusd,
        "unpriced": row.unpriced,
        "estimated": row.estimated,
    }
