"""Who smalt is to Azure: where Entra tokens come from, and who reads Key Vaults."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from smalt.config.numbers import Seconds
from smalt.config.section import Secret, Section


def _as_identity(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


def _without_bearer(value: object) -> object:
    """Tokens are often copied with the word that comes before them in the header."""
    return value.strip().removeprefix("Bearer ").strip() if isinstance(value, str) else value


class Identity(Section):
    """How to get Entra tokens; the kind alone may stand for the whole."""

    kind: Literal[
        "default",
        "managed_identity",
        "workload_identity",
        "client_secret",
        "client_certificate",
        "cli",
        "token",
    ] = Field(
        default="default",
        description="Where tokens come from. `default`: the first that works of azure-identity's "
        "DefaultAzureCredential: environment, workload identity, managed identity, developer tools.",
    )
    client_id: str | None = Field(
        default=None, description="Of the application, or of a managed identity assigned by a user."
    )
    tenant_id: str | None = Field(default=None, description="The tenant of the application.")
    client_secret: Secret | None = Field(
        default=None, description="Of `kind: client_secret`: `${VAR}`, `file:/path` or `keyring:name`."
    )
    certificate_file: str | None = Field(
        default=None,
        description="Of `kind: client_certificate`: PEM or PFX, with the private key; relative to this file.",
    )
    token: Annotated[SecretStr, BeforeValidator(_without_bearer)] | None = Field(
        default=None,
        description="Of `kind: token`: an Entra token, with or without `Bearer `, used until it expires.",
    )
    scope: str | None = Field(
        default=None,
        description="What tokens are asked for. Absent: what the surface and the cloud of the endpoint want, "
        "such as https://cognitiveservices.azure.com/.default.",
    )
    authority: str | None = Field(
        default=None,
        description="Where tokens are asked for. Absent: `AZURE_AUTHORITY_HOST`, or Entra ID of the cloud of "
        "the endpoint.",
    )


IdentityOrKind = Annotated[Identity, BeforeValidator(_as_identity)]


class KeyVault(Section):
    """How secrets in Key Vaults are read."""

    identity: IdentityOrKind | None = Field(
        default=None, description="Who reads them. Absent: the identity of the resource, else `default`."
    )
    refresh_s: Seconds = Field(
        default=300.0,
        description="How long a secret is used before it is read again. While the vault cannot be reached, "
        "the last one stays in use.",
    )
