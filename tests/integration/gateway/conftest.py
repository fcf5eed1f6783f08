"""Gateways of both adapters before the regions of the contract tests, and bare sockets to them."""

import pytest
from tests.contract import world
from tests.contract.conftest import azure, shared_azure, stages
from tests.contract.gateways import ADAPTERS, Adapter, Stage

from smalt.emulator.testing import Handle

__all__ = ["azure", "shared_azure", "stages"]


@pytest.fixture(params=ADAPTERS)
def stage(request: pytest.FixtureRequest, stages: dict[Adapter, Stage], azure: Handle) -> Stage:
    """Each adapter in turn, with the usual settings behind it."""
    stage = stages[request.param]
    stage.play(world.settings(azure))
    return stage
