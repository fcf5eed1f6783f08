"""Entra tokens: getting one, and what it claims."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from smalt.auth.entra import entra_credential
from smalt.auth.sources import Unreadable, claims_of
from smalt.config.identity import Identity
from smalt.config.network import Network, azure_transport
from smalt.doctor.findings import Diagnosis
from smalt.doctor.token_faults import of_token_error
from smalt.errors import MissingExtra


class NoToken(Exception):
    """There is none to be had; `text` is what was said."""

    def __init__(self, diagnosis: Diagnosis, text: str) -> None:
        super().__init__(text)
        self.diagnosis = diagnosis
        self.text = text


@dataclass(frozen=True, slots=True)
class Token:
    """`claims`: as they stand there, unverified; empty if it is no token of Entra ID's."""

    text: str = field(repr=False)
    claims: dict[str, Any] = field(repr=False)

    @property
    def audience(self) -> str:
        return str(self.claims.get("aud", "")).rstrip("/")

    @property
    def tenant(self) -> str | None:
        return self.claims.get("tid")

    @property
    def object_id(self) -> str | None:
        return self.claims.get("oid")

    @property
    def principal(self) -> str:
        """The kind that role assignments know."""
        return "User" if self.claims.get("idtyp") == "user" or "upn" in self.claims else "ServicePrincipal"

    @property
    def expires_s(self) -> float | None:
        """Seconds since 1970."""
        expires = self.claims.get("exp")
        return float(expires) if isinstance(expires, int | float) else None


def read(text: str) -> Token:
    """A token apart; a text that is none has no claims."""
    try:
        claims = msgspec.json.decode(claims_of(text))
    except (ValueError, msgspec.DecodeError):
        return Token(text, {})
    return Token(text, claims if isinstance(claims, dict) else {})


def fetch(identity: Identity, endpoint: str, scope: str, network: Network) -> Token:
    """By azure-identity, or the one that is configured. `endpoint`: its host tells the cloud. Raises
    NoToken."""
    if identity.kind == "token":
        return read(identity.token.get_secret_value() if identity.token else "")
    return _asked(lambda: entra_credential(identity, endpoint, **azure_transport(network)), identity, scope)


def _asked(make: Callable[[], Any], identity: Identity, scope: str) -> Token:
    try:
        with make() as credential:
            return read(credential.get_token(scope).token)
    except MissingExtra as error:
        mend = ("pip install 'smalt[azure]'",)
        diagnosis = Diagnosis("packages", "missing_package", "Entra ID needs azure-identity", mend)
        raise NoToken(diagnosis, error.message) from None
    except Unreadable as error:
        cause, steps = "the client secret cannot be read where it is kept", ("smalt secrets list",)
        raise NoToken(Diagnosis("authentication", "secret_unreadable", cause, steps), str(error)) from None
    except Exception as error:  # noqa: BLE001  # of azure-identity, azure-core, msal or requests
        raise NoToken(of_token_error(error, identity, scope), telling_line(error)) from None


def telling_line(error: Exception) -> str:
    """Of a message that may go on for pages: the one with Entra ID's number, else the first; without the id
    that changes with every request."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = next((line for line in lines if "AADSTS" in line), lines[0])
    return line.partition(" Trace ID:")[0].strip()[:300]
