from dataclasses import replace

import pytest
from tests.unit.observe.test_exposition import parsed

from smalt.core.upstream import UpstreamStatus, WindowStatus
from smalt.observe.exposition import exposition
from smalt.observe.upstream_metrics import (
    PROCESS_METRICS,
    UPSTREAM_METRICS,
    process_samples,
    upstream_samples,
)

EAST = UpstreamStatus(
    name="east/gpt/4o",
    model="gpt-4o",
    region="eastus",
    state="available",
    rests_for_s=0.0,
    reason=None,
    in_flight=3,
    waiting=0,
    share=0.25,
    windows=(
        WindowStatus("tokens", 60.0, 30_000, 120_000, 12.5),
        WindowStatus("requests", 1.0, 2, None, 0.5),
    ),
    first_byte_s=None,
    total_s=None,
)
UP = "smalt_up{deployment=gpt/4o,model=gpt-4o,region=eastus,resource=east,upstream=east/gpt/4o}"


def told(*statuses: UpstreamStatus) -> dict[str, float]:
    samples = list(upstream_samples(statuses, {"east/gpt/4o"}))
    return parsed(exposition(UPSTREAM_METRICS, {"": samples}))


def test_everything_that_is_told_of_an_upstream() -> None:
    """Up, load and windows; a limit that is not known is no zero."""
    assert told(EAST) == {
        UP: 1,
        "smalt_cooldown_seconds{upstream=east/gpt/4o}": 0,
        "smalt_breaker_state{state=closed,upstream=east/gpt/4o}": 1,
        "smalt_breaker_state{state=open,upstream=east/gpt/4o}": 0,
        "smalt_breaker_state{state=half_open,upstream=east/gpt/4o}": 0,
        "smalt_quota_used_ratio{upstream=east/gpt/4o}": 0.25,
        "smalt_in_flight{upstream=east/gpt/4o}": 3,
        "smalt_window_used{counts=tokens,span_s=60,upstream=east/gpt/4o}": 30_000,
        "smalt_window_limit{counts=tokens,span_s=60,upstream=east/gpt/4o}": 120_000,
        "smalt_window_used{counts=requests,span_s=1,upstream=east/gpt/4o}": 2,
    }


@pytest.mark.parametrize(
    ("state", "up"),
    [("available", 1), ("full", 1)]
    + [(state, 0) for state in ("cooling", "flagged", "parked", "open", "probing")],
)
def test_up_is_healthy(state: str, up: int) -> None:
    """A full upstream is no broken one."""
    assert told(replace(EAST, state=state))[UP] == up


def test_a_rest_and_its_breaker() -> None:
    """How long still, and what the breaker does."""
    found = told(replace(EAST, state="open", rests_for_s=29.5, breaker="open"))
    assert found["smalt_cooldown_seconds{upstream=east/gpt/4o}"] == 29.5
    assert found["smalt_breaker_state{state=open,upstream=east/gpt/4o}"] == 1


def test_deployments_that_callers_have_named_are_left_out() -> None:
    """There is no end to them."""
    assert told(replace(EAST, name="default/made-up")) == {}


def test_what_waits_and_what_was_lost() -> None:
    """Of the process as a whole."""
    samples = list(process_samples(waiting_calls=2, lost_lines=7, lost_spans=9))
    assert parsed(exposition(PROCESS_METRICS, {"": samples})) == {
        "smalt_waiting_calls{}": 2,
        "smalt_lost_log_lines_total{}": 7,
        "smalt_lost_spans_total{}": 9,
    }
