"""Resources that callers bring themselves: `X-Azure-Endpoint` beside `X-Azure-API-Key`.

Whatever happens there concerns the caller who brought it alone: each has a core of its own with one upstream,
so nothing fails over to what is configured, and no key of ours is ever shown to it. A host is looked up once,
every address found is checked, and the connection goes to one that was checked (config/brought.py).
"""

import asyncio
import hashlib
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from pydantic import SecretStr

from smalt.auth.credentials import ApiKey
from smalt.auth.kept import Fixed
from smalt.config import Settings
from smalt.config.brought import Allowed, Place, literal
from smalt.config.network import ca_pem, proxy_for
from smalt.config.schema import DEFAULT_VERSION
from smalt.core.routes import AZURE_PREFIX
from smalt.core.settings import UpstreamSpec
from smalt.dispatch.connections import Connections
from smalt.dispatch.dispatcher import Circumstances, Dispatcher, OpenCall
from smalt.dispatch.target import Origin, Target, Timeouts
from smalt.dispatch.upstreams import Upstreams
from smalt.errors import (
    InvalidRequest,
    ModelNotAvailableError,
    NoUpstreamAvailable,
    PermissionDenied,
    SmaltError,
    Unauthorized,
    UpstreamAuthFailed,
)
from smalt.gateway.exchange import Headers
from smalt.gateway.principals import Principal
from smalt.types import Facts

ENDPOINT: Final = b"x-azure-endpoint"
KEY: Final = b"x-azure-api-key"
BROUGHT_HEADERS: Final = frozenset({ENDPOINT, KEY})
MOST: Final = 256  # upstreams, and addresses, that are remembered; the ones used last
MOST_IDLE: Final = 64  # connections that are kept alive
# At the same time: uvloop (libuv) looks up two names at once, and one of these places is kept for our own.
MOST_LOOKUPS: Final = 1
KEPT_S: Final = 60.0  # for so long an address is used again
_SENDABLE_KEY: Final = re.compile(rb"[!-~]{1,512}")
_LONGEST_NAME: Final = 64  # characters of a deployment, as for Azure
_ASK: Final = ("Ask whoever runs the gateway to add the host to gateway.callers_may_bring.",)
_BOTH: Final = "Send both headers, each once; or neither, to use what the gateway has."

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


def brings(headers: Headers) -> bool:
    """Whether a caller names a resource, or a key for one."""
    for name, _ in headers:  # noqa: SIM110  asked of every request; any() takes half as long again
        if name in BROUGHT_HEADERS:
            return True
    return False


def as_the_callers(error: SmaltError) -> SmaltError:
    """A refused credential was the caller's own."""
    if isinstance(error, UpstreamAuthFailed):
        return Unauthorized(
            error.message,
            causes=error.causes,
            retry_after_s=error.retry_after_s,
            resolution=("Check X-Azure-API-Key: it must be a key of the resource in X-Azure-Endpoint.",),
        )
    return error


class _Whose(NamedTuple):
    """What an upstream is remembered by: nobody else meets its state."""

    alias: str
    key_digest: bytes
    place: Place
    deployment: str


@dataclass(frozen=True, slots=True)
class _Brought:
    """One deployment of a resource that a caller brought."""

    resource: str
    dispatcher: Dispatcher
    target: Target


class Brought:
    """Opens calls to resources that callers bring. `dispatcher`: whose sinks are told of them. `connections`:
    for these alone."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        timeouts: Timeouts,
        connections: Connections,
    ) -> None:
        self._allowed = Allowed.of(settings.gateway.callers_may_bring)
        self._network = settings.network
        self._ca_pem = ca_pem(settings.network)
        self._adapt = settings.adapt
        self._dispatcher = dispatcher
        self._timeouts = timeouts
        self._connections = connections
        self._lookups = asyncio.Semaphore(MOST_LOOKUPS)
        self._origins: OrderedDict[Place, tuple[Origin, float]] = OrderedDict()
        self._known: OrderedDict[_Whose, _Brought] = OrderedDict()

    async def open(
        self, principal: Principal, facts: Facts, headers: Headers, request_id: str, told: Circumstances
    ) -> tuple[OpenCall, Upstreams]:
        """The call, and who sends for it. Raises PermissionDenied for what callers may not bring, before
        anything leaves this process."""
        place, key = self._asked(headers)
        principal.require(facts.model)
        facts = _of_a_deployment(facts)
        origin = await self._origin(place)
        whose = _Whose(principal.alias, hashlib.sha256(key).digest(), place, facts.model)
        brought = self._known.get(whose)
        if brought is None:
            brought = self._made(whose, key, origin)
        elif brought.target.origin != origin:
            brought = replace(brought, target=replace(brought.target, origin=origin))
        _remember(self._known, whose, brought)
        call = brought.dispatcher.open(
            facts,
            request_id,
            total_s=self._timeouts.total_s,
            caller=principal.alias,
            circumstances=told,
        )
        return call, Upstreams({brought.resource: brought.target}, self._timeouts, self._connections)

    def _asked(self, headers: Headers) -> tuple[Place, bytes]:
        endpoints = [value for name, value in headers if name == ENDPOINT]
        keys = [value for name, value in headers if name == KEY]
        try:
            place = self._allowed.place(endpoints[0].decode("latin-1") if endpoints else "")
        except ValueError as error:
            raise PermissionDenied(f"X-Azure-Endpoint: {error}", resolution=_ASK) from None
        if len(endpoints) > 1 or len(keys) != 1 or not _SENDABLE_KEY.fullmatch(keys[0]):
            raise InvalidRequest("X-Azure-Endpoint needs one key in X-Azure-API-Key", resolution=(_BOTH,))
        return place, keys[0]

    def _made(self, whose: _Whose, key: bytes, origin: Origin) -> _Brought:
        resource = f"brought:{whose.place}"
        target = Target(
            origin,
            (ApiKey(Fixed(SecretStr(key.decode("ascii")))),),
            api="classic",
            api_version=DEFAULT_VERSION,
            base_path=whose.place.path,
            adapt=self._adapt,
        )
        spec = UpstreamSpec(f"{resource}/{whose.deployment}", whose.deployment)
        return _Brought(resource, self._dispatcher.apart(spec), target)

    async def _origin(self, place: Place) -> Origin:
        """With the address to connect to. Raises PermissionDenied, and NoUpstreamAvailable for a host that
        cannot be found."""
        known, until_s = self._origins.get(place, (None, 0.0))
        if known is None or time.monotonic() >= until_s:
            known, until_s = await self._found(place), time.monotonic() + KEPT_S
        _remember(self._origins, place, (known, until_s))
        return known

    async def _found(self, place: Place) -> Origin:
        scheme = "https" if place.tls else "http"
        host = f"[{place.host}]" if ":" in place.host else place.host
        if proxy_for(self._network, f"{scheme}://{host}:{place.port}") is not None:
            raise PermissionDenied(
                f"the gateway reaches {place} by a proxy, which would look the name up itself",
                resolution=("Whoever runs the gateway may name the host in network.no_proxy.",),
            )
        addresses = [place.host] if literal(place.host) else await self._looked_up(place)
        if not addresses or not all(
            self._allowed.may_lead_to(place, ip_address(address)) for address in addresses
        ):
            raise PermissionDenied(
                f"{place} leads to an address that is not public",
                resolution=("Whoever runs the gateway may add the address to gateway.callers_may_bring.",),
            )
        return Origin(
            place.host,
            place.port,
            place.tls,
            ca_pem=self._ca_pem if place.tls else "",
            pinned=addresses[0],
        )

    async def _looked_up(self, place: Place) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                await self._lookups.acquire()
                lookup = asyncio.ensure_future(
                    loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
                )
                lookup.add_done_callback(self._looked)
                found = await asyncio.shield(lookup)
        except (OSError, UnicodeError):  # a timeout is an OSError, too
            raise NoUpstreamAvailable(f"the host {place} cannot be found") from None
        return [str(address[0]) for *_, address in found]

    def _looked(self, lookup: "asyncio.Future[Any]") -> None:
        """Its place is free only now: a thread goes on looking for a name that nobody waits for any more."""
        self._lookups.release()
        if not lookup.cancelled():
            lookup.exception()  # else asyncio complains of one that nobody has asked for


def _of_a_deployment(facts: Facts) -> Facts:
    """The name asked for is that of a deployment there. Raises ModelNotAvailableError."""
    name = facts.model.removeprefix(AZURE_PREFIX)
    if not name.strip(".") or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ModelNotAvailableError("the model must be the name of a deployment of the resource")
    return facts if name == facts.model else msgspec.structs.replace(facts, model=name, names_deployment=True)


def _remember(known: OrderedDict[KeyT, ValueT], key: KeyT, value: ValueT) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > MOST:
        known.popitem(last=False)
