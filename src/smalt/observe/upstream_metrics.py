"""The state of every upstream for /metrics, and of what waits or was lost in this process."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from smalt.core.upstream import UpstreamStatus
from smalt.observe.exposition import Metric, Sample

HEALTHY: Final = frozenset({"available", "full"})  # states
_UPSTREAM = ("upstream",)
UP: Final = Metric(
    "smalt_up",
    "gauge",
    "1 while the upstream is healthy: calls are sent to it as far as its quota goes. 0 while it rests.",
    ("upstream", "resource", "deployment", "model", "region"),
)
COOLDOWN: Final = Metric("smalt_cooldown_seconds", "gauge", "How long the upstream still rests.", _UPSTREAM)
BREAKER: Final = Metric(
    "smalt_breaker_state",
    "gauge",
    "1 for the state that the circuit breaker is in: closed, open or half_open.",
    ("upstream", "state"),
)
SHARE: Final = Metric(
    "smalt_quota_used_ratio", "gauge", "Of the upstream's quota, as far as it is known. 1 is full.", _UPSTREAM
)
USED: Final = Metric(
    "smalt_window_used",
    "gauge",
    "Tokens or requests charged in the current window.",
    ("upstream", "counts", "span_s"),
)
LIMIT: Final = Metric(
    "smalt_window_limit",
    "gauge",
    "The most of a window, where it is known.",
    ("upstream", "counts", "span_s"),
)
IN_FLIGHT: Final = Metric("smalt_in_flight", "gauge", "Calls that the upstream is answering.", _UPSTREAM)
WAITING: Final = Metric("smalt_waiting_calls", "gauge", "Calls that wait for a free upstream.")
LOST_LINES: Final = Metric("smalt_lost_log_lines_total", "counter", "Lines of the log that were not written.")
UPSTREAM_METRICS: Final = (UP, COOLDOWN, BREAKER, SHARE, USED, LIMIT, IN_FLIGHT)
LOST_SPANS: Final = Metric("smalt_lost_spans_total", "counter", "Calls whose spans reached no collector.")
PROCESS_METRICS: Final = (WAITING, LOST_LINES, LOST_SPANS)


def upstream_samples(statuses: Sequence[UpstreamStatus], known: Collection[str]) -> Iterator[Sample]:
    """Of those whose names are `known`: callers may bring others."""
    for status in statuses:
        if status.name not in known:
            continue
        name = (status.name,)
        resource, _, deployment = status.name.partition("/")
        healthy = int(status.state in HEALTHY)
        yield Sample(UP.name, (status.name, resource, deployment, status.model, status.region or ""), healthy)
        yield Sample(COOLDOWN.name, name, round(status.rests_for_s, 3))
        for state in ("closed", "open", "half_open"):
            yield Sample(BREAKER.name, (status.name, state), int(status.breaker == state))
        yield Sample(SHARE.name, name, round(status.share, 4))
        yield Sample(IN_FLIGHT.name, name, status.in_flight)
        for window in status.windows:
            labels = (status.name, window.counts, f"{window.span_s:g}")
            yield Sample(USED.name, labels, window.spent)
            if window.limit is not None:
                yield Sample(LIMIT.name, labels, window.limit)


def process_samples(*, waiting_calls: int, lost_lines: int, lost_spans: int) -> Iterator[Sample]:
    yield Sample(WAITING.name, (), waiting_calls)
    yield Sample(LOST_LINES.name, (), lost_lines)
    yield Sample(LOST_SPANS.name, (), lost_spans)
