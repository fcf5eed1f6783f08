"""The control plane's part about faults.

GET    /_emulator/faults         those that are set up, each with the requests it has seen and struck
POST   /_emulator/faults         a fault, or a list of them, as in `smalt.emulator.faults.registry`
DELETE /_emulator/faults         all of them, those of the fleet file too
DELETE /_emulator/faults/{id}
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from smalt.emulator.faults.registry import UnknownFault, read_fault
from smalt.emulator.faults.script import Armed
from smalt.emulator.world import World


class FaultDesk:
    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, method: str, path: Sequence[str], body: bytes) -> dict[str, Any] | None:
        """None: no such path. Raises `UnknownFault`."""
        faults = self._world.faults
        match (method, *path):
            case ("GET", "faults"):
                return _told(faults)
            case ("POST", "faults"):
                return self._add(body)
            case ("DELETE", "faults"):
                faults.clear()
            case ("DELETE", "faults", number):
                if not (number.isdecimal() and faults.drop(int(number))):
                    raise UnknownFault(f"there is no fault {number}")
            case _:
                return None
        return _told(faults)

    def _add(self, body: bytes) -> dict[str, Any]:
        """All of them or none."""
        deployments = {name: set(r.spec.deployments) for name, r in self._world.resources.items()}
        try:
            written = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnknownFault(f"the body cannot be used: {error}") from error
        entries = written if isinstance(written, list) else [written]
        faults = [read_fault(entry, deployments) for entry in entries]
        return _told(self._world.faults.add(faults, self._world.clock.now()))


def _told(faults: Iterable[Armed]) -> dict[str, Any]:
    return {"faults": [armed.report() for armed in faults]}
