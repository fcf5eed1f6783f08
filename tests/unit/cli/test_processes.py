"""Child processes and missing parts."""

import pytest

from smalt.cli.processes import child, needs
from smalt.errors import MissingExtra, SmaltError


def test_a_missing_package_names_its_extra() -> None:
    """One line with the command that installs it."""
    told = r"smalt serve needs .*pip install 'smalt\[gateway\]'"
    with pytest.raises(MissingExtra, match=told), needs("smalt serve", "gateway"):
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn.config")


def test_a_missing_module_of_ours_is_a_bug() -> None:
    """It is not taken for a missing extra."""
    with pytest.raises(ModuleNotFoundError), needs("smalt serve", "gateway"):
        raise ModuleNotFoundError("No module named 'smalt.nothing'", name="smalt.nothing")


def test_a_child_that_does_not_start_says_why() -> None:
    """In its own words, without its traceback or ours."""
    told = r"smalt serve did not start: nowhere\.yaml cannot be used"
    with pytest.raises(SmaltError, match=told), child("serve", "--config", "nowhere.yaml"):
        pytest.fail("it cannot start")
