"""Percentiles."""

import pytest

from smalt.cli.demo.latency import Latency, percentile


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0), (0.001, 1.0)]
)
def test_percentile_is_a_measured_value(share: float, expected: float) -> None:
    """Nearest rank: at least that share is not slower."""
    assert percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_one_value_is_every_percentile() -> None:
    """Also of the smallest sample."""
    assert percentile([3.0], 0.5) == percentile([3.0], 0.99) == 3.0


def test_added_is_the_difference_of_the_percentiles() -> None:
    """Not a percentile of differences."""
    latency = Latency(1, direct_p50_ms=3.1, direct_p99_ms=9.5, gateway_p50_ms=3.75, gateway_p99_ms=9.4)
    assert (latency.added_p50_ms, latency.added_p99_ms) == (0.65, -0.1)
