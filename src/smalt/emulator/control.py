"""The control plane: look at the emulator and make it misbehave, on a port of its own.

GET  /_emulator/state
GET  /_emulator/bill?limit=100&client_request_id=    the newest lines with their sums
GET  /_emulator/log?resource=&limit=100
POST /_emulator/reset                   bill, log, responses, quotas, switches, keys, roles and secrets
POST /_emulator/resources/{name}        {"mode": "up" | "down" | "error" | "hang", "error": name, "count": n,
                                         "latency_ms": ms, "token_ms": ms, "first_token_ms": ms,
                                         "pressure": 0 to 1,
                                         "limit_share": above 0 to 1, "flex_full": bool,
                                         "disable_local_auth": bool}; what is left out stays
More in `smalt.emulator.faults.desk` and `smalt.emulator.identity.desk`.
"""

from typing import Annotated, Any
from urllib.parse import parse_qs, unquote

import msgspec

from smalt.emulator.clock import wall_s
from smalt.emulator.faults.desk import FaultDesk
from smalt.emulator.faults.registry import UnknownFault
from smalt.emulator.identity.desk import Complaint, Desk
from smalt.emulator.identity.estate import Estate
from smalt.emulator.refusals import catalogue
from smalt.emulator.server import Reply, Request
from smalt.emulator.world import Mode, Resource, World

DEFAULT_LIMIT = 100
_PREFIX = "/_emulator/"

Millis = Annotated[float, msgspec.Meta(ge=0)]


class Change(msgspec.Struct, forbid_unknown_fields=True):
    mode: Mode | None = None
    error: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    latency_ms: Millis | None = None
    token_ms: Millis | None = None
    first_token_ms: Millis | None = None
    pressure: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    limit_share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    flex_full: bool | None = None
    disable_local_auth: bool | None = None


class _BadRequest(Exception):  # never leaves this file
    pass


class ControlPlane:
    """The handler of the control port."""

    def __init__(self, world: World, estate: Estate) -> None:
        self._world = world
        self._estate = estate
        self._fault_desk = FaultDesk(world)
        self._desk = Desk(estate, wall_s)

    async def __call__(self, request: Request, reply: Reply) -> None:
        try:
            status, told = 200, await self._answer(request)
        except (_BadRequest, Complaint, UnknownFault) as error:
            status, told = 400, {"error": str(error)}
        if told is None:
            status, told = 404, {"error": f"there is no {request.method} {request.path} here"}
        reply.send(status, {"content-type": "application/json"}, msgspec.json.encode(told))

    async def _answer(self, request: Request) -> dict[str, Any] | None:
        """None: no such path."""
        if not request.path.startswith(_PREFIX):
            return None
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        world = self._world
        path = request.path.removeprefix(_PREFIX).split("/")
        match (request.method, *path):
            case ("GET", "state"):
                return self._state()
            case ("GET", "bill"):
                return world.bill.report(_limit(query), query.get("client_request_id"))
            case ("GET", "log"):
                name = query.get("resource")
                if name and name not in self._estate.services:
                    self._resource(name)
                return {"entries": world.log.report(resource=name, limit=_limit(query))}
            case ("POST", "reset"):
                world.reset()
                for resource in world.resources.values():
                    await resource.listener.open()
                await self._estate.reset()
                return self._state()
            case ("POST", "resources", name):
                resource = self._resource(unquote(name))
                await apply(_change(request.body), resource)
                return resource.report(world.clock.now())
            case _:
                told = self._fault_desk.answer(request.method, path, request.body)
                return told or await self._desk.answer(request.method, path, request.body)

    def _state(self) -> dict[str, Any]:
        world, now = self._world, self._world.clock.now()
        return {
            "seed": world.seed,
            "speed": world.clock.speed,
            "uptime_s": round(world.now(), 3),
            "resources": {name: resource.report(now) for name, resource in world.resources.items()},
            **self._estate.report(),
        }

    def _resource(self, name: str) -> Resource:
        try:
            return self._world.resources[name]
        except KeyError:
            known = ", ".join(self._world.resources)
            raise _BadRequest(f"there is no resource {name!r}; the fleet has {known}") from None


async def apply(change: Change, resource: Resource) -> None:
    """Set the switches, then open or shut the port to match."""
    switches = resource.switches
    for name in ("latency_ms", "token_ms", "first_token_ms", "pressure", "flex_full", "disable_local_auth"):
        if (value := getattr(change, name)) is not None:
            setattr(switches, name, value)
    if change.limit_share is not None:
        resource.set_limit_share(change.limit_share)
    if change.mode is None:
        return
    switches.mode, switches.error, switches.count = change.mode, change.error, change.count
    if change.mode == "down":
        resource.listener.shut()
    else:
        await resource.listener.open()


def _change(body: bytes) -> Change:
    try:
        change = msgspec.json.decode(body, type=Change)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _BadRequest(f"the body cannot be used: {error}") from error
    if change.error is not None and change.error not in catalogue():
        raise _BadRequest(f"there is no error {change.error!r}; use one of {', '.join(catalogue())}")
    if (change.mode == "error") != (change.error is not None):
        raise _BadRequest('mode "error" and the name of an error go together')
    if change.count is not None and change.mode not in {"error", "hang"}:
        raise _BadRequest('count goes with mode "error" or "hang"')
    return change


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not text.isdecimal():
        raise _BadRequest(f"limit must be a whole number from 0, got {text!r}")
    return int(text)
