"""Hours that run whether anybody calls or not."""

import pytest

from smalt.observe.ptu import HOUR_S, Provisioned, PtuHours, reconfigured
from smalt.types import Usage
from smalt.wire.models import Throughput

UNIT = Throughput(2_500, output_weight=4, cached_weight=0.1)
FIFTY = Provisioned(50, UNIT)


def hours(meters: dict[str, PtuHours], now: float) -> dict[str, float]:
    return {name: meter.hours_at(now) for name, meter in meters.items()}


def test_req_1_17_ptu_hours_are_units_times_hours() -> None:
    """From when the deployment is configured."""
    meters = reconfigured({}, {"east/a": FIFTY}, 100.0)
    assert hours(meters, 100.0) == {"east/a": 0}
    assert hours(meters, 100.0 + 1.5 * HOUR_S) == {"east/a": 75}


def test_other_settings_go_on_from_what_has_run() -> None:
    """More units run faster, one that is gone runs no further, a new one begins."""
    meters = reconfigured({}, {"a": FIFTY, "b": Provisioned(10)}, 0.0)
    meters = reconfigured(meters, {"a": Provisioned(100, UNIT), "c": Provisioned(1)}, HOUR_S)
    assert hours(meters, 3 * HOUR_S) == {"a": 50 + 200, "b": 10, "c": 2}
    meters = reconfigured(meters, {"b": Provisioned(20)}, 3 * HOUR_S)
    assert hours(meters, 4 * HOUR_S) == {"a": 250, "b": 30, "c": 2}


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        (Usage(0), 0),
        (Usage(7_500_000), 1),  # 50 units work off as much in an hour
        (Usage(0, 7_500_000), 4),
        (Usage(7_500_000, cached_tokens=7_500_000), 0.1),
        (Usage(750_000, 375_000), 0.3),
    ],
)
def test_how_much_of_the_hours_was_used(usage: Usage, used: float) -> None:
    """In uncached input tokens, as the model weighs the others."""
    meters = reconfigured({}, {"a": FIFTY}, 0.0)
    assert meters["a"].used(usage, HOUR_S) == pytest.approx(used)


def test_what_is_not_known_is_not_told() -> None:
    """A model without a known throughput, or no time yet."""
    assert PtuHours(Provisioned(50), 0.0).used(Usage(5), HOUR_S) is None
    assert PtuHours(FIFTY, 0.0).used(Usage(5), 0.0) is None
