import pytest

from smalt.emulator.clock import Clock


def test_a_fast_clock_shortens_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """At sixty times the speed a second outside is a minute here, and a minute's wait is over in one."""
    outside = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: outside[0])
    clock = Clock(60)
    outside[0] += 2
    assert (clock.now(), clock.uptime_s()) == (120.0, 2.0)
    assert clock.outside_s(60) == 1.0
