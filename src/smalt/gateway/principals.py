"""Who calls the gateway: fixed keys from the configuration."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from smalt.errors import InvalidGatewayKey, PermissionDenied
from smalt.gateway.exchange import Headers
from smalt.gateway.load import Slots

_BEARER = b"bearer "
KEY_HEADERS = frozenset({b"authorization", b"api-key", b"x-api-key"})


@dataclass(frozen=True, slots=True)
class Principal:
    """`models`: the names it may ask for, None for all. `slots`: for its requests; None: any number."""

    alias: str
    models: frozenset[str] | None = None
    slots: Slots | None = None

    def require(self, model: str) -> None:
        """Raises PermissionDenied for a model this principal may not use."""
        if self.models is not None and model not in self.models:
            raise PermissionDenied(f"the key {self.alias!r} may not use the model {model!r}")


class GatewayKeys:
    """Keys by their digest: looking one up takes the same time whatever the caller sent."""

    def __init__(self, keys: Iterable[tuple[str, Principal]]) -> None:
        self._principals = {_digest(key.encode()): principal for key, principal in keys}

    def principal(self, headers: Headers) -> Principal:
        """The principal whose key is in any of the three headers. Raises InvalidGatewayKey."""
        presented = [
            credential
            for name, value in headers
            if name in KEY_HEADERS and (credential := _credential(name, value))
        ]
        for credential in presented:
            principal = self._principals.get(_digest(credential))
            if principal is not None:
                return principal
        if presented:
            raise InvalidGatewayKey("the gateway does not know this key")
        raise InvalidGatewayKey("no gateway key was sent")


def _credential(name: bytes, value: bytes) -> bytes:
    if name != b"authorization":
        return value
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
