"""The calls that are measured are real ones, and what is told about them."""

from collections.abc import Iterator
from itertools import cycle, repeat

import pytest
from bench import core

from smalt.types import Failure


def test_every_measured_call_is_answered() -> None:
    """At once: the engine's time goes on only from call to call, so none had to wait."""
    engine, hints, now = core.fleet(), cycle(core.HINTS), 0.0
    for _ in range(1_000):
        now = core.one_call(engine, repeat(None), hints, now + core.BETWEEN_S)
    assert now == pytest.approx(1_000 * core.BETWEEN_S)
    shares = [status.share for status in engine.status(now)]
    assert min(shares) > 0.9 * max(shares) > 0


def test_failures_cost_a_simulated_call_more_attempts() -> None:
    """Each failure is followed by one more attempt, which is answered."""
    engine, hints, now = core.fleet(), cycle(core.HINTS), 0.0
    attempts = list[Failure | None]()

    def outcomes() -> Iterator[Failure | None]:
        for outcome in cycle(core.SIMULATED):
            attempts.append(outcome)
            yield outcome

    coming = outcomes()
    for _ in range(1_000):
        now = core.one_call(engine, coming, hints, now + core.BETWEEN_S)
    failed = [one for one in attempts if one is not None]
    assert len(attempts) == 1_000 + len(failed) > 1_000


@pytest.mark.parametrize(
    ("nginx_us", "ratio", "expected"),
    [
        (20.0, 0.4, "core: 8.0 us of CPU a call, 0.40 of nginx's 20.0 us (the goal is 0.5)\n"),
        (None, None, "core: 8.0 us of CPU a call, no ratio: its goal is 0.5 of nginx's\n"),
    ],
)
def test_what_is_told(nginx_us: float | None, ratio: float | None, expected: str) -> None:
    """Without nginx the absolute figure is all there is."""
    found = {"core_us": 8.0, "nginx_us": nginx_us, "ratio": ratio, "simulated_s": 1.25}
    assert core.told(found) == expected + "core: 1.2 s of CPU for 100,000 simulated calls, some failing\n"
