import pytest

import smalt.emulator


def test_public_names_are_there_when_they_are_used() -> None:
    """Each is found in its file; what is no public name is an error like any other."""
    for name in smalt.emulator.__all__:
        assert getattr(smalt.emulator, name).__module__.startswith("smalt.emulator.")
    with pytest.raises(AttributeError, match=r"'smalt\.emulator' has no attribute 'nope'"):
        smalt.emulator.nope  # noqa: B018
