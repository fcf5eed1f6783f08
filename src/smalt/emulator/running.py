"""The emulator as a whole: ports opened and closed together."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from smalt.emulator.clock import wall_s
from smalt.emulator.control import ControlPlane
from smalt.emulator.dataplane import DataPlane
from smalt.emulator.fleet import Fleet
from smalt.emulator.identity.estate import Estate
from smalt.emulator.server import Listener
from smalt.emulator.world import World

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Emulator:
    """An offline Azure OpenAI. To be started, used and stopped in one event loop.

    `seed`: decides, with each request, what is answered.
    """

    def __init__(self, fleet: Fleet, *, seed: int = 0) -> None:
        self.fleet = fleet
        self._world = World(fleet, seed)
        self._estate = Estate(fleet, self._world, wall_s)
        control = ControlPlane(self._world, self._estate)
        self._control = Listener("the control plane", fleet.control_port, control)  # never over TLS
        for name, resource in self._world.resources.items():
            plane = DataPlane(self._world, resource)
            listener = Listener(
                f"resource {name}", resource.spec.port, plane, self._estate.context, plane.greet
            )
            resource.listener = listener

    @property
    def control_url(self) -> str:
        return self._control.url

    @property
    def ca_file(self) -> Path | None:
        """What clients must trust; None without TLS."""
        return self._estate.tls.ca_file if self._estate.tls else None

    def key(self, resource: str) -> str:
        """The first key of a resource, as it is now."""
        return self._world.resources[resource].keys.keys[0]

    def url(self, resource: str) -> str:
        return self._world.resources[resource].listener.url

    def services(self) -> dict[str, Any]:
        """What stands beside the resources and how to reach it, as `GET /_emulator/state` tells it."""
        return self._estate.report()

    async def start(self) -> None:
        """Open every port, or none: raises `ConfigurationError` if one is taken."""
        try:
            for listener in self._listeners():
                await listener.open()
            self._estate.opened()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cut what is in flight and give the ports back. Harmless if stopped."""
        for listener in self._listeners():
            await listener.close()
        await self._world.close()

    def smalt_config(self) -> str:
        """A `smalt.yaml` that uses every deployment, each resource with its first key."""
        lines = [f"# its CA must be trusted: export SSL_CERT_FILE={self.ca_file}"] if self.ca_file else []
        lines.append("resources:")
        for name, spec in self.fleet.resources.items():
            lines += [
                f"  {name}:",
                f"    endpoint: {self.url(name)}",
                f"    region: {spec.region}",
                f"    api_keys: [{_quoted(self.key(name))}]",
                "    deployments:",
            ]
            lines += [
                f"      {d.name if _PLAIN.fullmatch(d.name) else _quoted(d.name)}: "
                f"{{model: {d.model}, sku: {d.sku}, "
                f"{f'ptu: {d.capacity}' if d.provisioned else f'quota_tpm: {d.capacity}k'}}}"
                for d in spec.deployments.values()
            ]
        return "\n".join(lines) + "\n"

    def _listeners(self) -> list[Listener]:
        resources = (resource.listener for resource in self._world.resources.values())
        services = (service.listener for service in self._estate.services.values())
        return [self._control, *resources, *services]


async def serve(fleet: Fleet, *, seed: int, ready: Callable[[Emulator], None]) -> None:
    """Run until SIGINT or SIGTERM. `ready` is called once, when all ports are open.

    Main thread only. Raises `ConfigurationError` if a port is taken.
    """
    emulator = Emulator(fleet, seed=seed)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: there Ctrl-C cancels this task instead
            loop.add_signal_handler(number, over.set)
    await emulator.start()
    try:
        ready(emulator)
        await over.wait()
    finally:
        await emulator.stop()


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
