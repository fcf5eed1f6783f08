"""The regions of the contract tests, and a fleet over them."""

import pytest
from tests.contract import world
from tests.contract.conftest import azure, shared_azure

from smalt import Fleet
from smalt.emulator.testing import Handle

__all__ = ["azure", "shared_azure"]


@pytest.fixture
def fleet(azure: Handle) -> Fleet:
    return Fleet(world.settings(azure))
