"""Entra ID: discovery, keys, and the v2 token endpoint for client credentials.

GET  /{tenant}/v2.0/.well-known/openid-configuration, also without v2.0
GET  /{tenant}/discovery/v2.0/keys, also without v2.0
POST /{tenant}/oauth2/v2.0/token      by client_secret or by client_assertion (certificate, federation)
GET  /cluster/.well-known/openid-configuration, /cluster/keys    where federated identities come from

Errors are Entra ID's own, by their AADSTS numbers ("Microsoft Entra authentication and authorization error
codes").
"""

import math
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from smalt.emulator.identity.directory import Directory, UnknownAudience
from smalt.emulator.identity.jwt import BadToken, PublicKey, Token
from smalt.emulator.identity.spec import Principal
from smalt.emulator.refusals import JSON, Canned, Refusal, answer_json
from smalt.emulator.server import Request

EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DEFAULT = "/.default"
_REFRESHED_EARLY_S = 7_200  # tokens that live so long come with a time to refresh them before their end


class Authority:
    """Answers as `Service` asks it to."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def __call__(self, request: Request, now: float) -> Canned:
        match (request.method, *request.path.split("/")[1:]):
            case ("GET", "cluster", ".well-known", "openid-configuration"):
                issuer = self._directory.cluster_issuer
                return answer_json({"issuer": issuer, "jwks_uri": f"{issuer}/keys"})
            case ("GET", "cluster", "keys"):
                return answer_json({"keys": [self._directory.cluster.jwk]})
            case ("GET", tenant, "v2.0", ".well-known", "openid-configuration"):
                return answer_json(self._discovery(self._tenant(tenant, now), "/v2.0"))
            case ("GET", tenant, ".well-known", "openid-configuration"):
                return answer_json(self._discovery(self._tenant(tenant, now), ""))
            case ("GET", tenant, "discovery", "v2.0", "keys") | ("GET", tenant, "discovery", "keys"):
                self._tenant(tenant, now)
                return answer_json({"keys": [self._directory.signer.jwk]})
            case ("POST", tenant, "oauth2", "v2.0", "token"):
                return self._token(tenant, request, now)
            case _:
                return Canned(404, {"content-type": "text/html"}, "<html><body>404 Not Found</body></html>")

    def _discovery(self, tenant: str, version: str) -> dict[str, Any]:
        base = f"{self._directory.authority_url}/{tenant}"
        return {
            "issuer": f"{base}/v2.0" if version else f"https://sts.windows.net/{tenant}/",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "jwks_uri": f"{base}/discovery{version}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _tenant(self, name: str, now: float) -> str:
        tenant = self._directory.tenant(name)
        if tenant is None:
            text = (
                f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are "
                "signing into the correct cloud."
            )
            raise _refusal(400, "invalid_tenant", 90002, text, now)
        return tenant

    def _token(self, tenant_name: str, request: Request, now: float) -> Canned:
        form = {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
        tenant = self._tenant(tenant_name, now)
        if _needed(form, "grant_type", now) != "client_credentials":
            text = f"The app requested an unsupported grant type '{form['grant_type']}'."
            raise _refusal(400, "unsupported_grant_type", 70003, text, now)
        principal = self._application(_needed(form, "client_id", now), tenant, now)
        self._prove(principal, form, now)
        scope = _needed(form, "scope", now)
        if not scope.endswith(_DEFAULT):
            text = (
                f"The provided value for scope {scope} is not valid. Client credential flows must have a "
                "scope value with /.default suffixed to the resource identifier (application ID URI)."
            )
            raise _refusal(400, "invalid_scope", 1002012, text, now)
        audience = scope.removesuffix(_DEFAULT)
        try:
            grant = self._directory.issue(principal, audience, now)
        except UnknownAudience:
            text = (
                f"The resource principal named {audience} was not found in the tenant named {tenant}. This "
                "can happen if the application has not been installed by the administrator of the tenant or "
                "consented to by any user in the tenant."
            )
            raise _refusal(400, "invalid_resource", 500011, text, now) from None
        told: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": grant.expires_in_s,
            "ext_expires_in": grant.expires_in_s,
            "access_token": grant.token,
        }
        if grant.expires_in_s >= _REFRESHED_EARLY_S:
            told["refresh_in"] = grant.expires_in_s // 2
        return Canned(200, {**JSON, "cache-control": "no-store, no-cache"}, told)

    def _application(self, client_id: str, tenant: str, now: float) -> Principal:
        for principal in self._directory.spec.principals.values():
            known = (principal.client_id, principal.tenant_id) == (client_id.lower(), tenant)
            if known and principal.kind == "application":
                return principal
        text = (
            f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can "
            "happen if the application has not been installed by the administrator of the tenant or "
            "consented to by any user in the tenant. You may have sent your authentication request to the "
            "wrong tenant."
        )
        raise _refusal(400, "unauthorized_client", 700016, text, now)

    # how an application proves who it is

    def _prove(self, principal: Principal, form: Mapping[str, str], now: float) -> None:
        if "client_assertion" in form and form.get("client_assertion_type") == _ASSERTION_TYPE:
            self._prove_by_assertion(principal, form["client_assertion"], now)
        elif "client_secret" in form:
            shown = form["client_secret"].encode()
            if not any(secrets.compare_digest(shown, known.encode()) for known in principal.secrets):
                text = (
                    "Invalid client secret provided. Ensure the secret being sent in the request is the "
                    "client secret value, not the client secret ID, for a secret added to app "
                    f"'{principal.client_id}'."
                )
                raise _invalid_client(7000215, text, now)
        else:
            text = (
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' "
                "grant type."
            )
            raise _invalid_client(7000216, text, now)

    def _prove_by_assertion(self, principal: Principal, assertion: str, now: float) -> None:
        try:
            token = Token.read(assertion)
        except BadToken:
            raise _invalid_client(50027, "JWT token is invalid or malformed.", now) from None
        if token.claims.get("iss") == principal.client_id:
            self._prove_by_certificate(principal, token, now)
        else:
            self._prove_by_federation(principal, token, now)
        if not _number(token, "nbf") <= now < _number(token, "exp"):
            text = (
                f"Client assertion is not within its valid time range. Current time: {_moment(now)}, "
                f"expiry time of assertion {token.claims.get('exp')}."
            )
            raise _invalid_client(700024, text, now)

    def _prove_by_certificate(self, principal: Principal, token: Token, now: float) -> None:
        if not any(_signed(token, key) for key in principal.certificates):
            thumbprint = token.header.get("x5t#S256") or token.header.get("x5t") or ""
            text = (
                f"The certificate with identifier used to sign the client assertion is not registered on "
                f"application. [Reason - The key was not found., Thumbprint of key used by client: "
                f"'{thumbprint}']."
            )
            raise _invalid_client(700027, text, now)
        wanted = f"{self._directory.authority_url}/{principal.tenant_id}/"
        if token.claims.get("sub") != principal.client_id or not str(token.claims.get("aud")).startswith(
            wanted
        ):
            text = "Client assertion audience or subject claim does not match the application or its realm."
            raise _invalid_client(700023, text, now)

    def _prove_by_federation(self, principal: Principal, token: Token, now: float) -> None:
        claims, stem = token.claims, "No matching federated identity record found for presented assertion"
        if claims.get("iss") != self._directory.cluster_issuer:
            raise _invalid_client(700211, f"{stem} issuer '{claims.get('iss')}'.", now)
        if claims.get("sub") not in principal.federated_subjects:
            raise _invalid_client(700213, f"{stem} subject '{claims.get('sub')}'.", now)
        audience = claims.get("aud")
        if EXCHANGE_AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise _invalid_client(700212, f"{stem} audience '{audience}'.", now)
        if not _signed(token, self._directory.cluster.public_key):
            raise _invalid_client(50013, "Assertion failed signature validation.", now)


def _signed(token: Token, key: PublicKey) -> bool:
    try:
        token.verify(key)
    except BadToken:
        return False
    return True


def _number(token: Token, claim: str) -> float:
    """Not a number, so never in range, if it is none."""
    value = token.claims.get(claim, 0)
    return value if isinstance(value, int | float) else math.nan


def _needed(form: Mapping[str, str], name: str, now: float) -> str:
    if name not in form:
        text = f"The request body must contain the following parameter: '{name}'."
        raise _refusal(400, "invalid_request", 900144, text, now)
    return form[name]


def _invalid_client(number: int, text: str, now: float) -> Refusal:
    return _refusal(401, "invalid_client", number, text, now)


def _refusal(status: int, error: str, number: int, text: str, now: float) -> Refusal:
    trace_id, correlation_id = str(uuid.uuid4()), str(uuid.uuid4())
    moment = _moment(now)
    ids = f"Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {moment}"
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: {text} {ids}",
        "error_codes": [number],
        "timestamp": moment,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return Refusal(Canned(status, JSON, body))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
