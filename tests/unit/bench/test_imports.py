"""What is timed is a real start, and what is told about it."""

from bench import imports


def test_what_is_timed_is_the_import_alone() -> None:
    """In milliseconds, without what Python needs to start."""
    assert imports.import_ms("pass") < 1
    assert 50 <= imports.import_ms("time.sleep(0.05)") < 5_000


def test_what_is_told() -> None:
    """The first case has the goal."""
    found = {"import smalt": 12.34, "with a fleet": 310.9}
    expected = "imports: import smalt takes 12.3 ms (the goal is 150)\nimports: with a fleet 311 ms\n"
    assert imports.told(found) == expected
