"""Entra tokens by azure-identity: which credential, asked where, and for what."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from smalt.auth.sources import Reading, Unreadable, left_s, said, secret_now, token_reading, wall_s
from smalt.config.identity import Identity
from smalt.config.schema import Resource
from smalt.confined import Confined
from smalt.errors import MissingExtra

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# by the end of a host: where tokens are asked for, and the domain of the names they are for
# (azure.identity.AzureAuthorityHosts; "Azure Government" and "Azure China" developer guides)
_GOVERNMENT: Final = ("login.microsoftonline.us", "azure.us")
_CLOUDS: Final = {
    ".azure.us": _GOVERNMENT,
    ".usgovcloudapi.net": _GOVERNMENT,
    ".azure.cn": ("login.chinacloudapi.cn", "azure.cn"),
}
_PUBLIC: Final = (None, "azure.com")
_AUTHORITIES: Final = {"login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn"}

ROUNDED_S: Final = 5.0  # by which the two ways to tell the end of a token may differ

# of azure-core, which waits for minutes otherwise; whoever needs the secret tries again himself
PATIENCE: Final[Mapping[str, Any]] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 1}


def scope_of(resource: Resource, identity: Identity) -> str:
    """What tokens for `resource` are asked for: its own scope, else that of its surface and cloud (wire
    reference 2.2: Cognitive Services for the classic surface, Azure AI for v1)."""
    if identity.scope:
        return identity.scope
    service = "ai" if resource.on_v1 else "cognitiveservices"
    return f"https://{service}.{domain_of(resource.base_url)}/.default"


def domain_of(endpoint: str) -> str:
    """That of the names tokens for `endpoint` are for, such as azure.com."""
    return _cloud(endpoint)[1]


def authority_of(identity: Identity, endpoint: str) -> str | None:
    """Where tokens for `endpoint` are asked for; None: where the environment says, or at the public cloud."""
    return identity.authority or _cloud(endpoint)[0]


def entra_credential(identity: Identity, endpoint: str, **transport: Any) -> "TokenCredential":
    """A credential of azure-identity, of any kind but `token`. Opens no connection.

    `endpoint`: of what the tokens are for; its host tells the cloud. `transport`: options of azure-core, such
    as `connection_verify`. Raises MissingExtra; ValueError for what azure-identity finds missing; Unreadable
    for a secret that is kept elsewhere.
    """
    try:
        from azure import identity as azure  # noqa: PLC0415  # slow to import, and an optional part
    except ModuleNotFoundError:
        raise MissingExtra("Entra ID", "azure") from None
    where = _where(authority_of(identity, endpoint))
    options = {**PATIENCE, **transport}
    application: dict[str, Any] = {"tenant_id": identity.tenant_id, "client_id": identity.client_id}
    match identity.kind:
        case "managed_identity":
            return azure.ManagedIdentityCredential(client_id=identity.client_id, **options)
        case "workload_identity":
            given = {name: value for name, value in application.items() if value}
            return azure.WorkloadIdentityCredential(**given, **where, **options)
        case "client_secret":
            secret = identity.client_secret.get_secret_value() if identity.client_secret else ""
            return azure.ClientSecretCredential(
                **application, client_secret=secret_now(secret), **where, **options
            )
        case "client_certificate":
            path = identity.certificate_file
            return azure.CertificateCredential(**application, certificate_path=path, **where, **options)
        case "cli":
            return azure.AzureCliCredential(tenant_id=identity.tenant_id or "")
        case _:
            client_id = {"managed_identity_client_id": identity.client_id} if identity.client_id else {}
            return azure.DefaultAzureCredential(**client_id, **where, **options)


class EntraTokens(Confined):
    """Tokens of one identity for one scope. `endpoint`: of what they are for; its host tells the cloud."""

    def __init__(self, identity: Identity, scope: str, endpoint: str, transport: Mapping[str, Any]) -> None:
        self._identity = identity
        self._scope = scope
        self._endpoint = endpoint
        self._transport = transport
        self._credential: TokenCredential | None = None

    def read(self, *, afresh: bool) -> Reading:
        """Raises Unreadable."""
        if afresh:
            self._credential = None  # and the token it keeps
        try:
            if self._credential is None:
                self._credential = entra_credential(self._identity, self._endpoint, **self._transport)
            token = self._credential.get_token(self._scope)
        except Exception as error:  # noqa: BLE001  azure-identity's and those of what lies beneath it
            self._credential = None  # its secret or certificate may be another one soon
            raise Unreadable(f"no Entra token for {self._scope}: {said(error)}") from None
        return token_reading(token.token, _left_s(token.token, token.expires_on - wall_s()))


def _left_s(token: str, by_this_clock: float) -> float:
    """How long a token is still good: by its own end, which is exact, unless this clock is wrong; what
    azure-identity says counts from when it came."""
    by_its_end = left_s(token, by_this_clock)
    return by_its_end if abs(by_its_end - by_this_clock) < ROUNDED_S else by_this_clock


def _cloud(url: str) -> tuple[str | None, str]:
    host = urlsplit(url).hostname or ""
    return next((cloud for end, cloud in _CLOUDS.items() if host.endswith(end)), _PUBLIC)


def _where(authority: str | None) -> dict[str, Any]:
    """None: that of the environment, else of the public cloud. What is none of Azure's own clouds is not in
    their directory of authorities."""
    authority = authority or os.environ.get("AZURE_AUTHORITY_HOST")
    if not authority:
        return {}
    host = urlsplit(authority if "//" in authority else f"https://{authority}").netloc
    return {"authority": authority, "disable_instance_discovery": host not in _AUTHORITIES}
