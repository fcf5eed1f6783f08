"""One emulator and one server of each kind per process; scenarios change what they serve."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from tests.contract import world
from tests.contract.doors import AnyDoor, GatewayDoor, all_doors
from tests.contract.gateways import ADAPTERS, Adapter, Stage, running_gateway

from smalt.emulator.testing import Handle, running


@pytest.fixture(scope="session")
def shared_azure() -> Iterator[Handle]:
    with running(world.azure()) as handle:
        yield handle


@pytest.fixture
def azure(shared_azure: Handle) -> Handle:
    """The emulator, as new."""
    shared_azure.reset()
    return shared_azure


@pytest.fixture(scope="session")
def stages() -> Iterator[Mapping[Adapter, Stage]]:
    with ExitStack() as stack:
        yield {adapter: stack.enter_context(running_gateway(adapter)) for adapter in ADAPTERS}


@pytest.fixture(scope="session")
def doors(stages: Mapping[Adapter, Stage]) -> Iterator[dict[str, AnyDoor]]:
    doors = all_doors(stages)
    yield doors
    for door in doors.values():
        if isinstance(door, GatewayDoor):
            door.close()
