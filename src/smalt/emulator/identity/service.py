"""A port beside those of the resources: switches, counter and log around one function that answers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smalt.emulator.refusals import JSON, Canned, Refusal
from smalt.emulator.server import Listener, Reply, Request
from smalt.emulator.world import Mode, World

Answer = Callable[[Request, float], Canned]
UNAVAILABLE = 503


@dataclass(slots=True)
class ServiceSwitches:
    """`status`: what mode error answers with. `count`: as in the switches of a resource."""

    mode: Mode = "up"
    status: int = UNAVAILABLE
    count: int | None = None


class Service:
    """`answer(request, now)` raises `Refusal`; `wall_s` gives its `now`.

    `listener` is given by whoever runs it.
    """

    listener: Listener

    def __init__(self, answer: Answer, name: str, world: World, wall_s: Callable[[], float]) -> None:
        self._answer = answer
        self._name = name
        self._world = world
        self._wall_s = wall_s
        self.reset()

    def reset(self) -> None:
        self.switches = ServiceSwitches()
        self.requests = 0

    async def __call__(self, request: Request, reply: Reply) -> None:
        self.requests += 1
        entry = self._world.log.open(self._name, request, self._world.now())
        try:
            mode, status = self._take_mode()
            if mode == "hang":
                await asyncio.get_running_loop().create_future()
            canned = _unavailable(status) if mode == "error" else self._answered(request)
            entry.status, entry.head_s = canned.status, self._world.now()
            reply.send(canned.status, canned.headers, canned.payload)
            entry.outcome = "answered"
        except asyncio.CancelledError:
            entry.outcome = "cut" if reply.was_cut else "cancelled"
            raise
        finally:
            entry.finished_s = self._world.now()

    def report(self) -> dict[str, Any]:
        switches = self.switches
        return {
            "url": self.listener.url,
            "port": self.listener.port,
            "listening": self.listener.listening,
            "mode": switches.mode,
            "status": switches.status if switches.mode == "error" else None,
            "count": switches.count,
            "requests": self.requests,
        }

    def _answered(self, request: Request) -> Canned:
        try:
            return self._answer(request, self._wall_s())
        except Refusal as refusal:
            return refusal.canned

    def _take_mode(self) -> tuple[Mode, int]:
        switches = self.switches
        taken = switches.mode, switches.status
        if switches.count is not None:
            switches.count -= 1
            if switches.count == 0:
                self.switches = ServiceSwitches()
        return taken


def _unavailable(status: int) -> Canned:
    error = {"code": "ServiceUnavailable", "message": "The service is temporarily unavailable."}
    return Canned(status, JSON, {"error": error})
