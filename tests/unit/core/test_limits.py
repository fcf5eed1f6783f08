import pytest

from smalt.core.limits import TokenWindow, arrival_charge
from smalt.types import Facts, Operation


@pytest.mark.parametrize(("max_tokens", "expected"), [(None, 116), (50, 150), (0, 100)])
def test_the_charge_on_arrival(max_tokens: int | None, expected: int) -> None:
    """Azure counts the prompt and the cap on output; 16 stand in for a cap nobody named."""
    facts = Facts(Operation.CHAT, "gpt-4o", prompt_tokens=100, max_tokens=max_tokens)
    assert arrival_charge(facts) == expected


def test_a_window_fills_up() -> None:
    """Tokens fit up to the limit and not one more."""
    window = TokenWindow(1_000)
    window.charge(600, 0)
    assert window.fits(400, 59)
    assert not window.fits(401, 59)


def test_a_window_starts_with_its_first_charge() -> None:
    """The minute begins when the first tokens are charged."""
    window = TokenWindow(1_000)
    window.charge(600, 30)
    window.charge(100, 40)
    assert (window.ends_s, window.charged(89.9), window.charged(90)) == (90, 700, 0)


def test_a_new_minute_forgets() -> None:
    """After the minute the window is empty and starts anew."""
    window = TokenWindow(1_000)
    window.charge(1_000, 0)
    window.charge(10, 60)
    assert (window.charged(60), window.ends_s) == (10, 120)


def test_without_a_limit_everything_fits() -> None:
    """No limit of ours never refuses, but is counted."""
    window = TokenWindow(None)
    window.charge(10**9, 0)
    assert window.fits(10**9, 0)
    assert not window.exceeded_by(10**9)
    assert window.charged(0) == 10**9


@pytest.mark.parametrize(("tokens", "expected"), [(1_000, False), (1_001, True)])
def test_what_exceeds_a_whole_minute(tokens: int, expected: bool) -> None:
    """More than the limit exceeds it, whatever else is in the window."""
    assert TokenWindow(1_000).exceeded_by(tokens) is expected


def test_a_request_larger_than_the_limit_needs_a_minute_for_itself() -> None:
    """Its size is an estimate: it may go when nothing else went, and then the minute is full."""
    window = TokenWindow(1_000)
    assert window.fits(5_000, 0)
    window.charge(5_000, 0)
    assert not window.fits(1, 59)
    window.charge(1, 60)
    assert not window.fits(5_000, 60)


def test_giving_back() -> None:
    """Tokens of a request that never left are free again."""
    window = TokenWindow(1_000)
    window.charge(600, 0)
    window.charge(300, 5)
    window.give_back(300, 5)
    assert window.charged(5) == 600


def test_giving_back_after_the_minute_changes_nothing() -> None:
    """A charge of a minute that has passed is not taken from the next one."""
    window = TokenWindow(1_000)
    window.charge(600, 0)
    window.charge(100, 60)
    window.give_back(600, 0)
    assert window.charged(60) == 100
