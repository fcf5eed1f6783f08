"""Tokens for managed identities, as a machine gets them: instance metadata service (IMDS) and App Service.

GET /metadata/identity/oauth2/token    IMDS; azure-identity is sent here by AZURE_POD_IDENTITY_AUTHORITY_HOST
GET /msi/token                         App Service, by IDENTITY_ENDPOINT and IDENTITY_HEADER

Sources: "How to use managed identities on a virtual machine" and "App Service: REST endpoint reference".
"""

import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs

from smalt.emulator.deployments import SUBSCRIPTION
from smalt.emulator.identity.directory import Directory, UnknownAudience
from smalt.emulator.identity.spec import Principal, arm_id
from smalt.emulator.refusals import JSON, Canned, Refusal, answer_json
from smalt.emulator.server import Request

APP_SERVICE_PATH = "/msi/token"
APP_SERVICE_VERSION = "2019-08-01"
IMDS_PATH = "/metadata/identity/oauth2/token"
IMDS_VERSIONS = ("2018-02-01", "2019-06-01", "2019-11-01", "2020-06-01", "2020-12-01", "2021-02-01")


class Metadata:
    """Answers as `Service` asks it to. `header`: the secret that App Service gives to the app."""

    def __init__(self, directory: Directory, header: str) -> None:
        self._directory = directory
        self._header = header

    def __call__(self, request: Request, now: float) -> Canned:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        match (request.method, request.path):
            case ("GET", "/metadata/identity/oauth2/token"):
                return self._imds(request, query, now)
            case ("GET", "/msi/token"):
                return self._app_service(request, query, now)
            case _:
                return Canned(404, {"content-type": "text/plain"}, "Not Found")

    def _imds(self, request: Request, query: Mapping[str, str], now: float) -> Canned:
        if (request.header("metadata") or "").lower() != "true":
            raise _imds_refusal("invalid_request", "Required metadata header not specified")
        if request.header("x-forwarded-for"):  # a request that somebody else was tricked into sending
            raise _imds_refusal("invalid_request", "Requests with the X-Forwarded-For header are refused")
        if query.get("api-version") not in IMDS_VERSIONS:
            told = "Bad request. api-version is invalid or was not specified in the request."
            raise Refusal(Canned(400, JSON, {"error": told, "newest-versions": IMDS_VERSIONS[:-4:-1]}))
        if "resource" not in query:
            raise _imds_refusal("invalid_request", "Required query variable 'resource' is missing")
        wanted = {
            "client_id": query.get("client_id"),
            "object_id": query.get("object_id") or query.get("principal_id"),
            "resource_id": query.get("msi_res_id") or query.get("mi_res_id"),
        }
        found = self._identity(wanted)
        if isinstance(found, str):
            raise _imds_refusal("invalid_request", found)
        try:
            grant = self._directory.issue(found, query["resource"], now)
        except UnknownAudience:
            text = (
                f"AADSTS500011: The resource principal named {query['resource']} was not found in the tenant."
            )
            raise _imds_refusal("invalid_resource", text) from None
        return answer_json(
            {
                "access_token": grant.token,
                "client_id": found.client_id,
                "expires_in": str(grant.expires_in_s),
                "expires_on": str(grant.expires_on_s),
                "ext_expires_in": str(grant.expires_in_s),
                "not_before": str(grant.not_before_s),
                "resource": query["resource"],
                "token_type": "Bearer",
            }
        )

    def _app_service(self, request: Request, query: Mapping[str, str], now: float) -> Canned:
        shown = request.header("x-identity-header") or ""
        if not secrets.compare_digest(shown.encode(), self._header.encode()):
            raise _app_service_refusal(401, "The X-IDENTITY-HEADER is missing or not that of this app.")
        if query.get("api-version") != APP_SERVICE_VERSION or "resource" not in query:
            raise _app_service_refusal(400, "api-version or resource is missing or not supported.")
        wanted = {
            "client_id": query.get("client_id"),
            "object_id": query.get("principal_id") or query.get("object_id"),
            "resource_id": query.get("mi_res_id"),
        }
        found = self._identity(wanted)
        if isinstance(found, str):
            raise _app_service_refusal(400, "No User Assigned or Delegated Managed Identity found.")
        try:
            grant = self._directory.issue(found, query["resource"], now)
        except UnknownAudience:
            raise _app_service_refusal(
                500, "An unexpected error occurred while fetching the token."
            ) from None
        return answer_json(
            {
                "access_token": grant.token,
                "client_id": found.client_id,
                "expires_on": str(grant.expires_on_s),
                "not_before": str(grant.not_before_s),
                "resource": query["resource"],
                "token_type": "Bearer",
            }
        )

    def _identity(self, wanted: Mapping[str, str | None]) -> Principal | str:
        """The identity that is meant, or why there is none."""
        here = [one for one in self._directory.spec.principals.values() if one.kind != "application"]
        if any(wanted.values()):
            for one in here:
                ids = {
                    "client_id": one.client_id,
                    "object_id": one.object_id,
                    "resource_id": arm_id(
                        SUBSCRIPTION, "Microsoft.ManagedIdentity/userAssignedIdentities", one.name
                    ),
                }
                if all(value.lower() == ids[kind].lower() for kind, value in wanted.items() if value):
                    return one
            return "Identity not found"
        # nobody named one: that of the system, else the only one there is
        chosen = [one for one in here if one.kind == "system"] or here
        if len(chosen) > 1:
            return (
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the "
                "identity in the token request"
            )
        return chosen[0] if chosen else "Identity not found"


def _imds_refusal(error: str, text: str) -> Refusal:
    return Refusal(Canned(400, JSON, {"error": error, "error_description": text}))


def _app_service_refusal(status: int, text: str) -> Refusal:
    return Refusal(Canned(status, JSON, {"statusCode": status, "message": text}))
