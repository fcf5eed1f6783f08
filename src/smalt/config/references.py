"""Secrets that the settings only name: where they are kept."""

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

_VAULT: Final = re.compile(r"https://[^/\s]+/secrets/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?/?")
_UNFILLED: Final = re.compile(r"\$[A-Z_][A-Z0-9_]*|os\.environ/\w+")  # as shells and LiteLLM name one
_VAULTS: Final = (".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net")
UNRESOLVED: Final = "@Microsoft.KeyVault("  # App Service puts the secret in its place, if it may read it


class Reference(NamedTuple):
    """`name`: path of the file, name in the keyring, or URL of the secret in its Key Vault."""

    kind: Literal["file", "keyring", "vault"]
    name: str


def reference(text: str) -> Reference | None:
    """Of `file:/path`, `keyring:name` and `https://contoso.vault.azure.net/secrets/name`, with or without a
    version; None if the text is the secret itself."""
    kind, _, name = text.partition(":")
    if kind == "file":
        return Reference("file", name)
    if kind == "keyring":
        return Reference("keyring", name)
    return Reference("vault", text.rstrip("/")) if _VAULT.fullmatch(text) else None


def is_at_azure(vault_url: str) -> bool:
    """Whether a token for vaults may be sent there: not to whoever has a name that looks like one."""
    return (urlsplit(vault_url).hostname or "").endswith(_VAULTS)


def fault_of(secret: str) -> str | None:
    """Why a text cannot be sent as a secret; None if it can."""
    if not secret:
        return "it is empty"
    if secret.startswith(UNRESOLVED):
        return (
            "a reference to Key Vault that App Service has not resolved: give the app's identity the role "
            "'Key Vault Secrets User' on the vault, or write the URL of the secret here"
        )
    if _UNFILLED.fullmatch(secret):
        return "it reads like the name of a variable; one is written ${NAME}"
    if secret.startswith("<") and secret.endswith(">"):
        return "a placeholder; put the secret itself in its place"
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        return "a secret must not hold spaces, line breaks or characters beyond ASCII"
    return None
