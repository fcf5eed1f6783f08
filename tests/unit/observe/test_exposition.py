import msgspec
from prometheus_client.parser import text_string_to_metric_families

from smalt.observe.exposition import Distribution, Metric, Sample, exposition

CALLS = Metric("calls_total", "counter", 'Calls, "all" of them\\\n.', ("model",))
UP = Metric("up", "gauge", "Whether.")
SECONDS = Metric("seconds", "histogram", "How long.", ("model",), (0.5, 1.0))


def parsed(text: str) -> dict[str, float]:
    """By sample as Prometheus writes it, labels in order."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_every_kind_of_metric() -> None:
    """A histogram cumulates; money is exact; what has no sample is left out."""
    text = exposition(
        (CALLS, UP, SECONDS, Metric("absent", "gauge", "Nothing.")),
        {
            "": [
                Sample("calls_total", ("gpt-4o",), 3),
                Sample("calls_total", ("",), "0.000000001"),
                Sample("up", (), 1),
                Sample("seconds", ("gpt-4o",), Distribution((2, 0, 1), 7.25)),
            ]
        },
    )
    assert parsed(text) == {
        "calls_total{model=gpt-4o}": 3,
        "calls_total{}": 1e-9,
        "up{}": 1,
        "seconds_bucket{le=0.5,model=gpt-4o}": 2,
        "seconds_bucket{le=1.0,model=gpt-4o}": 2,
        "seconds_bucket{le=+Inf,model=gpt-4o}": 3,
        "seconds_sum{model=gpt-4o}": 7.25,
        "seconds_count{model=gpt-4o}": 3,
    }
    assert [line for line in text.splitlines() if line.startswith("# TYPE")] == [
        "# TYPE calls_total counter",
        "# TYPE up gauge",
        "# TYPE seconds histogram",
    ]
    assert "absent" not in text


def test_several_workers_are_told_apart() -> None:
    """Each metric is described once. A snapshot survives the way to another process."""
    snapshots = {worker: [Sample("up", (), int(worker))] for worker in ("1", "2")}
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(snapshots), type=dict[str, list[Sample]])
    text = exposition((UP,), sent)
    assert parsed(text) == {"up{worker=1}": 1, "up{worker=2}": 2}
    assert text.count("# TYPE") == 1


def test_no_label_ends_its_line() -> None:
    """Quotes, backslashes and line breaks come out as they went in."""
    name = 'a"b\\c\nd} 1'
    (family,) = text_string_to_metric_families(
        exposition((CALLS,), {"": [Sample("calls_total", (name,), 1)]})
    )
    (sample,) = family.samples
    assert sample.labels == {"model": name}
    assert family.documentation == 'Calls, "all" of them\\\n.'
