"""Metrics as Prometheus reads them: text format 0.0.4."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, Literal

import msgspec
from msgspec import Struct

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LABEL: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})

Value = int | float | str


class Distribution(Struct, frozen=True):
    """`counts`: by bucket, the last for all that is above every boundary."""

    counts: Sequence[int]
    total: float


class Metric(Struct, frozen=True):
    """What is measured. `labels`: their names. `bounds`: of a histogram's buckets."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Sample(Struct, frozen=True):
    """One measured value. `labels`: values, in the order of their names. A value that is money is text."""

    metric: str
    labels: tuple[str, ...]
    value: Value | Distribution


Snapshot = Sequence[Sample]
read_snapshot: Final = msgspec.json.Decoder(list[Sample]).decode


def exposition(metrics: Sequence[Metric], snapshots: Mapping[str, Snapshot]) -> str:
    """`snapshots`: by worker, which becomes a label; none if it is empty. Metrics without samples are left
    out, and so are samples of other metrics."""
    found: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for worker, snapshot in snapshots.items():
        for sample in snapshot:
            found[sample.metric].append((worker, sample))
    return "".join(
        line for metric in metrics if metric.name in found for line in _lines(metric, found[metric.name])
    )


def _lines(metric: Metric, samples: Iterable[tuple[str, Sample]]) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help.translate(_HELP)}\n# TYPE {metric.name} {metric.kind}\n"
    for worker, sample in samples:
        labels = dict(zip(metric.labels, sample.labels, strict=True))
        if worker:
            labels["worker"] = worker
        if isinstance(sample.value, Distribution):
            yield from _histogram(metric, labels, sample.value)
        else:
            yield _line(metric.name, labels, sample.value)


def _histogram(metric: Metric, labels: Mapping[str, str], value: Distribution) -> Iterator[str]:
    bounds = [*map(str, metric.bounds), "+Inf"]
    cumulated = list(accumulate(value.counts))
    for bound, count in zip(bounds, cumulated, strict=True):
        yield _line(f"{metric.name}_bucket", {**labels, "le": bound}, count)
    yield _line(f"{metric.name}_sum", labels, value.total)
    yield _line(f"{metric.name}_count", labels, cumulated[-1])


def _line(name: str, labels: Mapping[str, str], value: Value) -> str:
    """Labels that say nothing are left out: to Prometheus it is the same."""
    told = ",".join(f'{label}="{text.translate(_LABEL)}"' for label, text in labels.items() if text)
    return f"{name}{{{told}}} {value}\n" if told else f"{name} {value}\n"
