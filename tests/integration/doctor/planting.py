"""How a misconfiguration is planted: what is wrong, and what must be said of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.integration.doctor.conftest import Azure

from smalt.emulator.testing import Handle

Resources = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """Beside Azure: another one without TLS, and a port where nobody listens."""

    azure: Azure
    plain: Handle
    closed_port: int


@dataclass(frozen=True)
class Plant:
    """`says`: what the cause must name. `is_warning`: it works all the same."""

    make: Callable[[World], Resources]
    area: str
    code: str
    says: str
    is_warning: bool

    def __str__(self) -> str:
        return self.make.__name__


PLANTS: list[Plant] = []


def plant(area: str, code: str, says: str, *, is_warning: bool = False) -> Callable[..., None]:
    def add(make: Callable[[World], Resources]) -> None:
        PLANTS.append(Plant(make, area, code, says, is_warning))

    return add
