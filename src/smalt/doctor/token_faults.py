"""Why Entra ID, or the machine's own service, gave no token.

Source: "Microsoft Entra authentication and authorization error codes"; classes of azure-core.
"""

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from smalt.config.identity import Identity
from smalt.doctor.findings import Diagnosis

_NUMBER = re.compile(r"AADSTS(\d+)")
_VARIABLES = ("$AZURE_CLIENT_ID", "$AZURE_TENANT_ID")  # which azure-identity reads
_NO_CONNECTION = ("ServiceRequestError", "ServiceResponseError", "ConnectionError", "ReadTimeout", "SSLError")


class _Known(NamedTuple):
    code: str
    cause: str
    mend: Sequence[str]


_RESET = ("az ad app credential reset --id {client} --append   # prints a new secret",)
_SECRET = _Known(
    "secret_refused",
    "the client secret is not one of the application's: the value is needed, not its id",
    _RESET,
)
_SCOPE = _Known(
    "wrong_audience",
    "tokens are asked for something that the tenant does not know: {scope}",
    ("remove identity.scope; the default is https://cognitiveservices.azure.com/.default",),
)
_APPLICATION = _Known(
    "application_not_found",
    "the tenant has no such application: client_id or tenant_id is that of another",
    ("az login --tenant {tenant}", "az ad app show --id {client} --query appId"),
)
_TENANT = _Known(
    "tenant_not_found", "there is no tenant {tenant}", ("az account list --query '[].tenantId'   # yours",)
)
_CERTIFICATE = _Known(
    "certificate_refused",
    "the certificate is not registered with the application",
    (
        "az ad app credential list --id {client} --cert   # those that are",
        "az ad app credential reset --id {client} --cert @CERTIFICATE.pem --append",
    ),
)
_FEDERATION = _Known(
    "federation_refused",
    "the application trusts no such workload: issuer or subject differ from its federated credential",
    ("az ad app federated-credential list --id {client}",),
)
_BY_NUMBER = {
    "7000215": _SECRET,
    "7000222": _Known("secret_expired", "the client secret is over", _RESET),
    "700016": _APPLICATION,
    "900023": _TENANT,
    "90002": _TENANT,
    "500011": _SCOPE,
    "1002012": _SCOPE,
    "70011": _SCOPE,
    "700027": _CERTIFICATE,
    "700211": _FEDERATION,
    "700212": _FEDERATION,
    "700213": _FEDERATION,
    "70043": _Known("login_expired", "the login of the Azure CLI is over", ("az login",)),
    "50173": _Known("login_expired", "the login of the Azure CLI is over", ("az login",)),
}


def of_token_error(error: Exception, identity: Identity, scope: str) -> Diagnosis:
    """The fault behind an exception of azure-identity."""
    number = _number(str(error))
    words = {
        "client": identity.client_id or "$AZURE_CLIENT_ID",
        "tenant": identity.tenant_id or "$AZURE_TENANT_ID",
        "scope": scope,
    }
    if number in _BY_NUMBER:
        code, cause, mend = _BY_NUMBER[number]
        quoted = {name: _quoted(word) for name, word in words.items()}
        steps = [step.format(**quoted) for step in mend]
        return Diagnosis("authentication", code, cause.format(**words), steps)
    if number:
        mend = [f"https://login.microsoftonline.com/error?code={number}"]
        return Diagnosis("authentication", "token_denied", f"Entra ID refused with AADSTS{number}", mend)
    if isinstance(error, ValueError):
        cause = "something that this kind of identity needs is missing"
        return Diagnosis("authentication", "identity_incomplete", cause, ("smalt check",))
    kinds = {type(cause).__name__ for cause in (error, error.__cause__, error.__context__)}
    if kinds.intersection(_NO_CONNECTION):
        cause = "Entra ID, or the metadata service of this machine, cannot be reached"
        mend = ("curl --head https://login.microsoftonline.com",)
        return Diagnosis("authentication", "authority_unreachable", cause, mend)
    return Diagnosis("authentication", "no_identity", *_unavailable(identity))


def _quoted(word: str) -> str:
    """For a shell, which fills in the variables."""
    return word if word in _VARIABLES else shlex.quote(word)


def _number(text: str) -> str:
    """Empty if there is none."""
    if "Unable to get authority configuration" in text:  # msal's words for a tenant without metadata
        return "90002"
    found = _NUMBER.search(text)
    return found[1] if found else ""


def _unavailable(identity: Identity) -> tuple[str, Sequence[str]]:
    match identity.kind:
        case "managed_identity":
            whose = f"the identity {identity.client_id}" if identity.client_id else "a managed identity"
            return f"this machine does not have {whose}", (
                "give it one: az vm identity assign, az webapp identity assign, az containerapp identity …",
                "with several identities, name one: identity: {kind: managed_identity, client_id: ...}",
            )
        case "cli":
            return "the Azure CLI is not installed, or nobody is logged in", ("az login",)
        case _:
            return "none of the ways to a token works here", (
                "az login   # on a developer's machine",
                "or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; or a managed identity",
            )
