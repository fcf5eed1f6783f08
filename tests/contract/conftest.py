"""One emulator and one server of each kind per process; scenarios change what they serve."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest
from tests.contract import world
from tests.contract.doors import NAMES, AnyDoor, GatewayDoor, Opened, Result, all_doors
from tests.contract.gateways import ADAPTERS, Adapter, Stage, running_gateway
from tests.contract.scenarios import Scenario

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


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest, doors: dict[str, AnyDoor]) -> AnyDoor:
    """Each door in turn."""
    return doors[request.param]


@pytest.fixture
def play(azure: Handle, door: AnyDoor) -> Callable[[Scenario], Result]:
    """Make the scenario's world, send its calls, give the last one's result."""

    def run(scenario: Scenario) -> Result:
        for resource, switches in scenario.switches.items():
            azure.set(resource, **switches)
        for fault in scenario.faults:
            azure.fault(**fault)
        with door.open(world.settings(azure, **scenario.settings)) as opened:
            if scenario.meanwhile is None:
                return _calls(scenario, opened, azure)
            other = threading.Thread(target=scenario.meanwhile, args=(azure,))
            other.start()
            try:
                return _calls(scenario, opened, azure)
            finally:
                other.join()

    return run


def _calls(scenario: Scenario, opened: Opened, azure: Handle) -> Result:
    result = Result()
    for number in range(scenario.times):
        if number and scenario.between:
            scenario.between(azure)
        assert result.error is None
        started_s = time.monotonic()
        result = opened(scenario.ask)
        took_s = time.monotonic() - started_s
        assert scenario.at_least_s <= took_s <= scenario.within_s
    return result
