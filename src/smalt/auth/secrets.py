"""Every secret of a fleet, and the credentials that resources are shown."""

from collections.abc import Callable, Hashable, Mapping

from pydantic import SecretStr

from smalt.auth.credentials import ApiKey, Token
from smalt.auth.entra import EntraTokens, authority_of, scope_of
from smalt.auth.kept import Fixed, Kept
from smalt.auth.sources import Function, Source
from smalt.auth.vault import Vaults, source_of
from smalt.config.identity import Identity, KeyVault
from smalt.config.network import Network, azure_transport
from smalt.config.references import reference
from smalt.config.schema import Resource

GivenToken = Callable[[], str]


class Secrets:
    """A secret that several resources need is kept once. Reads nothing before it is needed.

    `tokens`: functions of the program that give Entra tokens, by resource. `before`: what this replaces; what
    both need stays as it was read.
    """

    def __init__(
        self,
        key_vault: KeyVault,
        network: Network,
        tokens: Mapping[str, GivenToken],
        before: "Secrets | None" = None,
    ) -> None:
        self._key_vault = key_vault
        self._network = network
        self._tokens = tokens
        self._vaults = Vaults(network)
        self._kept: dict[Hashable, Kept] = {}
        self._before: Mapping[Hashable, Kept] = {}
        if before is not None and before._network == network:  # noqa: SLF001  of this class
            self._before = before._kept  # noqa: SLF001

    def of(self, name: str, resource: Resource) -> tuple[ApiKey | Token, ...]:
        """Credentials of a checked resource: its keys, else tokens."""
        if resource.api_keys:
            return tuple(ApiKey(self._key(key, resource)) for key in resource.api_keys)
        function = self._tokens.get(name)
        if function is not None:
            return (Token(self._one(function, lambda: Function(function), f"the token of {name}")),)
        identity = resource.identity or Identity()
        if identity.token is not None:
            return (Token(Fixed(identity.token)),)
        return (Token(self._entra(identity, resource)),)

    def _entra(self, identity: Identity, resource: Resource) -> Kept:
        scope, authority = scope_of(resource, identity), authority_of(identity, resource.base_url)
        return self._one(
            ("entra", identity, scope, authority),
            lambda: EntraTokens(identity, scope, resource.base_url, azure_transport(self._network)),
            f"the Entra token for {scope}",
        )

    def _key(self, key: SecretStr, resource: Resource) -> Fixed | Kept:
        named = reference(key.get_secret_value())
        if named is None:
            return Fixed(key)
        identity = self._key_vault.identity or resource.identity or Identity()
        return self._one(
            (named, *((identity, self._key_vault.refresh_s) if named.kind == "vault" else ())),
            lambda: source_of(named, identity, self._vaults, self._key_vault.refresh_s),
            f"the secret {named.name}",
        )

    def _one(self, key: Hashable, source: Callable[[], Source], what: str) -> Kept:
        known = self._kept.get(key) or self._before.get(key)
        self._kept[key] = known or Kept(source(), what)
        return self._kept[key]
