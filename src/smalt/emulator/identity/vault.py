"""Key Vault: secrets behind their challenge, by Azure's role model.

GET /secrets, /secrets/{name}/versions, /secrets/{name}, /secrets/{name}/{version}
PUT /secrets/{name}                 a new version

Texts of refusals are Key Vault's own where they are published, else composed around its AKV numbers.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import msgspec

from smalt.emulator.identity.directory import VAULT_AUDIENCE, Directory, Unfit
from smalt.emulator.identity.spec import Principal
from smalt.emulator.identity.store import Store, Version
from smalt.emulator.refusals import JSON, Canned, Refusal, answer_json
from smalt.emulator.server import Request

API_VERSIONS = ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")

_ACTIONS = "Microsoft.KeyVault/vaults/secrets/"
_NAME = re.compile(r"[A-Za-z0-9-]{1,127}")
_WHY = {
    "missing": "AKV10000: Request is missing a Bearer or PoP token.",
    "invalid": "AKV10001: Error validating token: the signature or the form of the token is not valid.",
    "expired": "AKV10001: Error validating token: the lifetime of the token is over.",
    "audience": "AKV10022: Invalid audience. Expected https://vault.azure.net, found: {aud}.",
    "tenant": "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{home}/, found {iss}.",
}


class SecretBody(msgspec.Struct):
    class Attributes(msgspec.Struct):
        enabled: bool = True

    value: str
    attributes: Attributes = msgspec.field(default_factory=Attributes)
    content_type: str | None = msgspec.field(default=None, name="contentType")
    tags: dict[str, str] | None = None


class KeyVault:
    """Answers as `Service` asks it to. `arm_id`: where its roles apply. `url` gives its address."""

    def __init__(self, directory: Directory, store: Store, arm_id: str, url: Callable[[], str]) -> None:
        self._directory = directory
        self._store = store
        self._arm_id = arm_id
        self._url = url

    def __call__(self, request: Request, now: float) -> Canned:
        try:
            caller = self._directory.check(request, {VAULT_AUDIENCE}, now)
        except Unfit as unfit:
            raise self._challenge(unfit) from None
        version = parse_qs(request.query).get("api-version", [""])[0]
        if version not in API_VERSIONS:
            text = (
                f"The specified version ({version}) is not recognized. Consider using the latest supported "
            )
            raise _refusal(400, "BadParameter", f"{text}version ({API_VERSIONS[-1]}).")
        path = request.path.rstrip("/").split("/")[1:]
        match (request.method, *path):
            case ("GET", "secrets"):
                self._allow(caller, "readMetadata", now)
                return answer_json({"value": list(self._listed()), "nextLink": None})
            case ("GET", "secrets", name, "versions"):
                self._allow(caller, "readMetadata", now)
                items = [self._item(name, one, one.version) for one in self._store.versions(name)]
                return answer_json({"value": items, "nextLink": None})
            case ("GET", "secrets", name, *wanted) if len(wanted) < 2:
                self._allow(caller, "getSecret", now)
                return self._get(name, "".join(wanted))
            case ("PUT", "secrets", name):
                self._allow(caller, "setSecret", now)
                return self._put(name, request.body, now)
            case _:
                raise _refusal(404, "NotFound", f"There is no {request.method} {request.path} here.")

    def _get(self, name: str, version: str) -> Canned:
        found = self._store.find(name, version)
        if found is None:
            text = (
                f"A secret with (name/id) {name}{'/' if version else ''}{version} was not found in this key "
                "vault. If you recently deleted this secret you may be able to recover it using the correct "
                "recovery command. For help resolving this issue, please see "
                "https://go.microsoft.com/fwlink/?linkid=2125182"
            )
            raise _refusal(404, "SecretNotFound", text)
        if not found.enabled:
            text = "Operation get is not allowed on a disabled secret."
            raise _refusal(403, "Forbidden", text, inner="SecretDisabled")
        return answer_json({"value": found.value, **self._item(name, found, found.version)})

    def _put(self, name: str, body: bytes, now: float) -> Canned:
        if not _NAME.fullmatch(name):
            raise _refusal(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        try:
            told = msgspec.json.decode(body, type=SecretBody)
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = "The secret bundle in the body is not valid JSON or has no value."
            raise _refusal(400, "BadParameter", text) from None
        enabled, kind = told.attributes.enabled, told.content_type
        made = self._store.put(name, told.value, now, enabled=enabled, content_type=kind, tags=told.tags)
        return answer_json({"value": made.value, **self._item(name, made, made.version)})

    def _listed(self) -> Iterator[dict[str, Any]]:
        for name in self._store.names():
            yield self._item(name, self._store.versions(name)[-1], "")

    def _item(self, name: str, one: Version, version: str) -> dict[str, Any]:
        told = {
            "id": "/".join(filter(None, (self._url(), "secrets", name, version))),
            "attributes": {
                "enabled": one.enabled,
                "created": one.made_s,
                "updated": one.made_s,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
        }
        optional = {"contentType": one.content_type, "tags": one.tags}
        return told | {key: value for key, value in optional.items() if value is not None}

    def _allow(self, caller: Principal, verb: str, now: float) -> None:
        action = f"{_ACTIONS}{verb}/action"
        if self._directory.allows(caller, action, self._arm_id, now, data=True):
            return
        text = (
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny "
            "assignments or role definitions were changed recently, please observe propagation time.\r\n"
            f"Caller: appid={caller.client_id};oid={caller.object_id};"
            f"iss=https://sts.windows.net/{caller.tenant_id}/\r\nAction: '{action}'\r\n"
            f"Resource: '{self._arm_id}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n"
            f"DecisionReason: null \r\nVault: {self._arm_id.rpartition('/')[2]}\r\n"
        )
        raise _refusal(403, "Forbidden", text, inner="ForbiddenByRbac")

    def _challenge(self, unfit: Unfit) -> Refusal:
        directory = self._directory
        text = _WHY[unfit.reason].format(
            **{"aud": "", "iss": "", "home": directory.spec.home, **unfit.claims}
        )
        header = (
            f'Bearer authorization="{directory.authority_url}/{directory.spec.home}", '
            f'resource="{VAULT_AUDIENCE}"'
        )
        if unfit.reason != "missing":
            header += f', error="invalid_token", error_description="{text}"'
        return _refusal(401, "Unauthorized", text, **{"www-authenticate": header})


def _refusal(status: int, code: str, message: str, inner: str | None = None, **headers: str) -> Refusal:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return Refusal(Canned(status, {**JSON, **headers}, {"error": error}))
