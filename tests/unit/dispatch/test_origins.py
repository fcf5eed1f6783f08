"""Where responses are kept."""

from smalt.dispatch.origins import MOST, Origins


def test_what_was_seen_is_known() -> None:
    """Anything else is not."""
    origins = Origins()
    origins.note("resp_1", "east")
    assert (origins.of("resp_1"), origins.of("resp_2")) == ("east", None)


def test_the_oldest_are_forgotten() -> None:
    """So that memory is bounded; noting one again keeps it."""
    origins = Origins()
    for number in range(MOST):
        origins.note(f"resp_{number}", "east")
    origins.note("resp_0", "east")
    origins.note("resp_new", "west")
    assert origins.of("resp_0") == "east"
    assert origins.of("resp_1") is None
    assert origins.of("resp_new") == "west"


def test_none_may_be_kept() -> None:
    """Where there is nothing to choose."""
    origins = Origins(most=0)
    origins.note("resp_1", "east")
    assert origins.of("resp_1") is None


def test_ids_that_are_none() -> None:
    """What an upstream calls a response is kept by the thousand."""
    origins = Origins()
    origins.note("x" * 1_000_000, "east")
    assert origins.of("x" * 1_000_000) is None
