"""Entra tokens by azure-identity: which credential, asked where, and for what."""

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from smalt.config.identity import Identity
from smalt.config.schema import Resource
from smalt.errors import MissingExtra

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# by the end of a resource's host: where tokens are asked for, and the domain of the names they are for
# (azure.identity.AzureAuthorityHosts; "Azure Government" and "Azure China" developer guides)
_CLOUDS: Final = {
    ".azure.us": ("login.microsoftonline.us", "azure.us"),
    ".azure.cn": ("login.chinacloudapi.cn", "azure.cn"),
}
_PUBLIC: Final = (None, "azure.com")  # None: AZURE_AUTHORITY_HOST, else login.microsoftonline.com
_AUTHORITIES: Final = {
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
}


def scope_of(resource: Resource, identity: Identity) -> str:
    """What tokens for `resource` are asked for: its own scope, else that of its surface and cloud (wire
    reference 2.2: Cognitive Services for the classic surface, Azure AI for v1)."""
    if identity.scope:
        return identity.scope
    v1 = resource.api == "v1" or resource.api_version in {"v1", "preview", "latest"}
    return f"https://{'ai' if v1 else 'cognitiveservices'}.{_cloud(resource.base_url)[1]}/.default"


def entra_credential(identity: Identity, endpoint: str, **transport: Any) -> "TokenCredential":
    """A credential of azure-identity, of any kind but `token`. Opens no connection.

    `endpoint`: of what the tokens are for; its host tells the cloud. `transport`: options of azure-core, such
    as `connection_verify`. Raises MissingExtra, and ValueError for what azure-identity finds missing.
    """
    try:
        from azure import identity as azure  # noqa: PLC0415  # slow to import, and an optional part
    except ModuleNotFoundError:
        raise MissingExtra("Entra ID", "azure") from None
    where = _where(identity.authority or _cloud(endpoint)[0])
    application: dict[str, Any] = {"tenant_id": identity.tenant_id, "client_id": identity.client_id}
    match identity.kind:
        case "managed_identity":
            return azure.ManagedIdentityCredential(client_id=identity.client_id, **transport)
        case "workload_identity":
            given = {name: value for name, value in application.items() if value}
            return azure.WorkloadIdentityCredential(**given, **where, **transport)
        case "client_secret":
            secret = identity.client_secret.get_secret_value() if identity.client_secret else ""
            return azure.ClientSecretCredential(**application, client_secret=secret, **where, **transport)
        case "client_certificate":
            path = identity.certificate_file
            return azure.CertificateCredential(**application, certificate_path=path, **where, **transport)
        case "cli":
            return azure.AzureCliCredential(tenant_id=identity.tenant_id or "")
        case _:
            client_id = {"managed_identity_client_id": identity.client_id} if identity.client_id else {}
            return azure.DefaultAzureCredential(**client_id, **where, **transport)


def _cloud(endpoint: str) -> tuple[str | None, str]:
    host = urlsplit(endpoint).hostname or ""
    return next((cloud for end, cloud in _CLOUDS.items() if host.endswith(end)), _PUBLIC)


def _where(authority: str | None) -> dict[str, Any]:
    """None: that of the environment, else of the public cloud. What is none of Azure's own clouds is not in
    their directory of authorities."""
    authority = authority or os.environ.get("AZURE_AUTHORITY_HOST")
    if not authority:
        return {}
    host = urlsplit(authority if "//" in authority else f"https://{authority}").netloc
    return {"authority": authority, "disable_instance_discovery": host not in _AUTHORITIES}
