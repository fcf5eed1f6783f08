"""What Prometheus reads of the gateway."""

from collections.abc import Mapping
from typing import Final

from smalt.gateway.current import Current
from smalt.observe.exposition import Snapshot, exposition
from smalt.observe.metrics import CALL_METRICS
from smalt.observe.upstream_metrics import (
    PROCESS_METRICS,
    UPSTREAM_METRICS,
    process_samples,
    upstream_samples,
)

METRICS: Final = (*UPSTREAM_METRICS, *CALL_METRICS, *PROCESS_METRICS)


def snapshot(current: Current) -> Snapshot:
    """Of this process, now; msgspec can send it to another one."""
    dispatcher = current.now.assembly.dispatcher
    waiting = dispatcher.do(lambda _now: len(dispatcher.engine.registry.line))
    return [
        *upstream_samples(dispatcher.status(), current.metrics.known.providers),
        *current.metrics.samples(),
        *process_samples(waiting_calls=waiting, lost_lines=current.lost_lines, lost_spans=current.lost_spans),
    ]


def page(snapshots: Mapping[str, Snapshot]) -> str:
    """The text of /metrics, by worker; a single one has no name."""
    return exposition(METRICS, snapshots)
