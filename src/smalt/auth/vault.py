"""Secrets in Azure Key Vaults, by azure-keyvault-secrets."""

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from smalt.auth.entra import PATIENCE, entra_credential
from smalt.auth.sources import Reading, Source, Unreadable, checked, kept_here, said
from smalt.config.endpoint import is_loopback
from smalt.config.identity import Identity
from smalt.config.network import Network, azure_transport
from smalt.config.references import Reference, is_at_azure
from smalt.errors import MissingExtra

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient


class Vaults:
    """The clients of all vaults, one for each vault and identity: they keep their tokens themselves."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, Identity], SecretClient] = {}

    def client(self, url: str, identity: Identity) -> "SecretClient":
        """Raises MissingExtra, and ValueError for what azure-identity finds missing, or a host that no token
        may be sent to."""
        at_azure = is_at_azure(url)
        if not (at_azure or is_loopback(url)):
            raise ValueError("no Key Vault is there")
        try:
            from azure.keyvault.secrets import SecretClient  # noqa: PLC0415  # slow, and an optional part
        except ModuleNotFoundError:
            raise MissingExtra("Key Vault", "azure") from None
        with self._lock:
            if (url, identity) not in self._clients:
                self._clients[url, identity] = SecretClient(
                    url,
                    entra_credential(identity, url, **azure_transport(self._network)),
                    verify_challenge_resource=at_azure,  # one on this machine names Azure's domain as its own
                    **PATIENCE,
                    **azure_transport(self._network, url),
                )
            return self._clients[url, identity]

    def forget(self, url: str, identity: Identity) -> None:
        """The next client begins with a token of its own."""
        with self._lock:
            self._clients.pop((url, identity), None)


class VaultSecret:
    """`url`: `https://contoso.vault.azure.net/secrets/name`, with or without a version."""

    def __init__(self, url: str, identity: Identity, vaults: Vaults, refresh_s: float) -> None:
        self._identity = identity
        self._vaults = vaults
        self._refresh_s = refresh_s
        parts = urlsplit(url)
        self._vault = f"https://{parts.netloc}"
        self._what = f"{parts.netloc}{parts.path}"
        _, _, self._name, *version = parts.path.split("/")
        self._version = version[0] if version else None

    def read(self, *, afresh: bool) -> Reading:
        """Raises Unreadable."""
        try:
            secret = self._vaults.client(self._vault, self._identity).get_secret(self._name, self._version)
        except Exception as error:  # noqa: BLE001  azure-core's and those of what lies beneath it
            self._vaults.forget(self._vault, self._identity)
            raise Unreadable(f"{self._what} cannot be read: {said(error)}") from None
        return Reading(checked(secret.value or "", self._what), self._refresh_s)


def source_of(named: Reference, identity: Identity, vaults: Vaults, refresh_s: float) -> Source:
    """Where a secret is that settings only name. `identity`: who reads vaults."""
    if named.kind == "vault":
        return VaultSecret(named.name, identity, vaults, refresh_s)
    return kept_here(named)
