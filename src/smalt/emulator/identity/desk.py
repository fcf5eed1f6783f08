"""The control plane's part about keys, tokens, roles, vaults and the services around the resources.

POST /_emulator/resources/{name}/keys    {"keyName": "Key1" | "Key2"}: made anew, as by ARM's regenerateKey
POST /_emulator/services/{name}          {"mode": "up" | "down" | "error" | "hang", "status": 503, "count": n}
                                         name: authority, metadata, arm, or that of a vault
POST /_emulator/identity                 {"token_lifetime_s": s, "role_delay_s": s}
POST /_emulator/roles                    {"principal": name, "role": role, "scope": scope, "revoke": false}
POST /_emulator/vaults/{name}/secrets/{secret}    {"value": text}: a new version
POST /_emulator/service_account_token    {"subject": text, "lifetime_s": s}: for workload identity
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

import msgspec

from smalt.emulator.identity.estate import Estate
from smalt.emulator.identity.keys import KeyName
from smalt.emulator.identity.roles import ROLES
from smalt.emulator.identity.service import ServiceSwitches
from smalt.emulator.world import Mode

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class Complaint(Exception):  # answered with 400 and its text
    pass


class ServiceChange(msgspec.Struct, forbid_unknown_fields=True):
    mode: Mode
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None


class IdentityChange(msgspec.Struct, forbid_unknown_fields=True):
    token_lifetime_s: Annotated[float, msgspec.Meta(ge=1)] | None = None
    role_delay_s: Annotated[float, msgspec.Meta(ge=0)] | None = None


class RoleChange(msgspec.Struct, forbid_unknown_fields=True):
    principal: str
    role: str
    scope: str
    revoke: bool = False


class NewSecret(msgspec.Struct, forbid_unknown_fields=True):
    value: str


class AccountToken(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    lifetime_s: float = 3_600.0


class Desk:
    def __init__(self, estate: Estate, wall_s: Callable[[], float]) -> None:
        self._estate = estate
        self._wall_s = wall_s

    async def answer(self, method: str, path: list[str], body: bytes) -> dict[str, Any] | None:
        """None: no such path. Raises `Complaint`."""
        match (method, *map(unquote, path)):
            case ("POST", "resources", name, "keys"):
                keys = _one(self._estate.resources, name, "resource").keys
                keys.regenerate(_read(body, KeyName).number)
                return keys.report()
            case ("POST", "services", name):
                return await self._switch(name, _read(body, ServiceChange))
            case ("POST", "identity"):
                return self._change(_read(body, IdentityChange))
            case ("POST", "roles"):
                return self._role(_read(body, RoleChange))
            case ("POST", "vaults", vault, "secrets", secret):
                store = _one(self._estate.vaults, vault, "vault")
                made = store.put(secret, _read(body, NewSecret).value, self._wall_s())
                return {"vault": vault, "secret": secret, "version": made.version}
            case ("POST", "service_account_token"):
                told = _read(body, AccountToken)
                directory = self._estate.directory
                return {"token": directory.account_token(told.subject, self._wall_s(), told.lifetime_s)}
            case _:
                return None

    async def _switch(self, name: str, change: ServiceChange) -> dict[str, Any]:
        service = _one(self._estate.services, name, "service")
        if change.count is not None and change.mode not in {"error", "hang"}:
            raise Complaint('count goes with mode "error" or "hang"')
        if change.status not in list(HTTPStatus):
            raise Complaint(f"status {change.status} is not one of HTTP")
        service.switches = ServiceSwitches(change.mode, change.status, change.count)
        if change.mode == "down":
            service.listener.shut()
        else:
            await service.listener.open()
        return service.report()

    def _change(self, change: IdentityChange) -> dict[str, Any]:
        directory = self._estate.directory
        for name in ("token_lifetime_s", "role_delay_s"):
            if (value := getattr(change, name)) is not None:
                setattr(directory, name, value)
        return {"token_lifetime_s": directory.token_lifetime_s, "role_delay_s": directory.role_delay_s}

    def _role(self, change: RoleChange) -> dict[str, Any]:
        directory = self._estate.directory
        principal = _one(directory.spec.principals, change.principal, "principal")
        _one(ROLES, change.role, "role")
        scope = directory.scope(change.scope)
        if scope is None:
            raise Complaint(f"{change.scope!r} is no scope; use a resource, a vault or /subscriptions/…")
        do = directory.revoke if change.revoke else directory.assign
        do(principal, change.role, scope, self._wall_s())
        return {"roles": directory.assignments(principal)}


def _one(known: Mapping[str, T], name: str, what: str) -> T:
    try:
        return known[name]
    except KeyError:
        raise Complaint(f"there is no {what} {name!r}; there is {', '.join(known) or 'none'}") from None


def _read(body: bytes, kind: type[S]) -> S:
    """Raises `Complaint`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Complaint(f"the body cannot be used: {error}") from error
