"""Azure Resource Manager: accounts, their keys and deployments, usage and quota. Read only but for the keys.

GET  /subscriptions
GET  /subscriptions/{id}/providers/Microsoft.CognitiveServices/accounts
GET  /subscriptions/{id}/providers/Microsoft.CognitiveServices/locations/{region}/usages
GET  {group}/providers/Microsoft.CognitiveServices/accounts
GET  {account}, {account}/deployments, {account}/deployments/{name}
POST {account}/listKeys, {account}/regenerateKey

Paths are case-insensitive, as ARM's are. Lists leave out what the caller may not read.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from smalt.emulator.catalogue import model_of
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet
from smalt.emulator.identity.directory import ARM_AUDIENCES, Directory, Unfit
from smalt.emulator.identity.keys import KeyName
from smalt.emulator.identity.spec import ACCOUNTS, RESOURCE_GROUP, Principal, subscription_id
from smalt.emulator.rates import requests_per_minute
from smalt.emulator.refusals import JSON, Canned, Refusal, answer_json
from smalt.emulator.server import Request
from smalt.emulator.world import Resource, World

PROVIDER = "Microsoft.CognitiveServices"

_WRONG_AUDIENCE = (
    "The access token has been obtained for wrong audience or resource '{aud}'. It should exactly match with "
    f"one of the allowed audiences {', '.join(map(repr, ARM_AUDIENCES))}."
)
_WRONG_TENANT = (
    "The access token is from the wrong issuer '{iss}'. It must match the tenant "
    "'https://sts.windows.net/{home}/' associated with this subscription."
)
_WHY = {
    "missing": ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
    "invalid": ("InvalidAuthenticationToken", "The access token is invalid."),
    "expired": (
        "ExpiredAuthenticationToken",
        "The access token expiry UTC time is earlier than the current.",
    ),
    "audience": ("InvalidAuthenticationTokenAudience", _WRONG_AUDIENCE),
    "tenant": ("InvalidAuthenticationTokenTenant", _WRONG_TENANT),
}


class Arm:
    """Answers as `Service` asks it to."""

    def __init__(self, world: World, plan: Fleet) -> None:
        self._world = world
        self._plan = plan

    def __call__(self, request: Request, now: float) -> Canned:
        caller = self._caller(request, now)
        if "api-version" not in parse_qs(request.query):
            text = "The api-version query parameter (?api-version=) is required for all requests."
            raise _refusal(400, "MissingApiVersionParameter", text)
        path = unquote(request.path).rstrip("/")
        may = _May(self._world.directory, caller, now)
        match (request.method, *path.lower().split("/")[1:]):
            case ("GET", "subscriptions"):
                return _listing(self._subscriptions(may))
            case (method, "subscriptions", subscription, *rest) if subscription in self._subscription_ids():
                return self._in_subscription(may, method, subscription, rest, request)
            case (_, "subscriptions", subscription, *_):
                text = f"The subscription '{subscription}' could not be found."
                raise _refusal(404, "SubscriptionNotFound", text)
            case _:
                raise _no_such(path)

    def _in_subscription(
        self, may: "_May", method: str, subscription: str, rest: list[str], request: Request
    ) -> Canned:
        accounts = {
            name.lower(): resource
            for name, resource in self._world.resources.items()
            if subscription_id(resource.spec.subscription) == subscription
        }
        match (method, *rest):
            case ("GET", "providers", "microsoft.cognitiveservices", "locations", region, "usages"):
                may.do(f"{PROVIDER}/locations/usages/read", f"/subscriptions/{subscription}")
                return _listing(self._usages(subscription, region))
            case (_, "resourcegroups", group, *_) if group != RESOURCE_GROUP:
                raise _refusal(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
            case ("GET", "providers", "microsoft.cognitiveservices", "accounts") | (
                "GET",
                "resourcegroups",
                _,
                "providers",
                "microsoft.cognitiveservices",
                "accounts",
            ):
                readable = (one for one in accounts.values() if may.read(one.spec.arm_id))
                return _listing(_account(one) for one in readable)
            case (
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.cognitiveservices",
                "accounts",
                name,
                *what,
            ):
                if name in accounts:
                    return self._in_account(may, accounts[name], method, what, request)
                text = (
                    f"The Resource '{ACCOUNTS}/{name}' under resource group '{RESOURCE_GROUP}' was not "
                    "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
                )
                raise _refusal(404, "ResourceNotFound", text)
            case _:
                raise _no_such(request.path)

    def _in_account(
        self, may: "_May", resource: Resource, method: str, what: list[str], request: Request
    ) -> Canned:
        deployments = {name.lower(): one for name, one in resource.spec.deployments.items()}
        match (method, *what):
            case ("GET",):
                may.do(f"{ACCOUNTS}/read", resource.spec.arm_id)
                return answer_json(_account(resource))
            case ("GET", "deployments"):
                may.do(f"{ACCOUNTS}/deployments/read", resource.spec.arm_id)
                return _listing(_deployment(resource, one) for one in deployments.values())
            case ("GET", "deployments", name) if name in deployments:
                may.do(f"{ACCOUNTS}/deployments/read", resource.spec.arm_id)
                return answer_json(_deployment(resource, deployments[name]))
            case ("POST", "listkeys"):
                may.do(f"{ACCOUNTS}/listKeys/action", resource.spec.arm_id)
                return _keys(resource)
            case ("POST", "regeneratekey"):
                may.do(f"{ACCOUNTS}/regenerateKey/action", resource.spec.arm_id)
                resource.keys.regenerate(_key_number(request.body))
                return _keys(resource)
            case _:
                raise _no_such(request.path)

    def _caller(self, request: Request, now: float) -> Principal:
        directory = self._world.directory
        try:
            return directory.check(request, ARM_AUDIENCES, now)
        except Unfit as unfit:
            code, text = _WHY[unfit.reason]
            text = text.format(**{"aud": "", "iss": "", "home": directory.spec.home, **unfit.claims})
            challenge = f'Bearer authorization_uri="{directory.authority_url}/{directory.spec.home}"'
            if unfit.reason != "missing":
                challenge += f', error="invalid_token", error_description="{text}"'
            raise _refusal(401, code, text, **{"www-authenticate": challenge}) from None

    def _subscription_ids(self) -> dict[str, str]:
        """Names by id."""
        names = [resource.spec.subscription for resource in self._world.resources.values()]
        return {subscription_id(name): name for name in names}

    def _subscriptions(self, may: "_May") -> Iterator[dict[str, Any]]:
        for number, name in self._subscription_ids().items():
            if may.read(f"/subscriptions/{number}"):
                yield {
                    "id": f"/subscriptions/{number}",
                    "subscriptionId": number,
                    "displayName": name,
                    "tenantId": self._world.directory.spec.home,
                    "state": "Enabled",
                }

    def _usages(self, subscription: str, region: str) -> Iterator[dict[str, Any]]:
        """A pool that the fleet file gives no quota has just what is deployed."""
        quotas, used = self._plan.quotas, self._plan.used()
        for pool in {**quotas, **used}:
            if (subscription_id(pool.subscription), pool.region) == (subscription, region):
                name = f"OpenAI.{pool.sku}.{pool.model}" if pool.model else f"OpenAI.{pool.sku}"
                taken = used.get(pool, 0)
                yield {
                    "name": {"value": name, "localizedValue": name},
                    "currentValue": taken,
                    "limit": quotas.get(pool, taken),
                    "unit": "Count",
                }


class _May:
    """What a caller may do now."""

    def __init__(self, directory: Directory, caller: Principal, now: float) -> None:
        self._directory = directory
        self._caller = caller
        self._now = now

    def read(self, arm_id: str) -> bool:
        # */read stands for the subscription's own read, which no role for accounts gives
        action = f"{ACCOUNTS}/read" if PROVIDER in arm_id else "Microsoft.Resources/subscriptions/read"
        return self._directory.allows(self._caller, action, arm_id, self._now, data=False)

    def do(self, action: str, arm_id: str) -> None:
        """Raises `Refusal`."""
        if self._directory.allows(self._caller, action, arm_id, self._now, data=False):
            return
        caller = self._caller
        text = (
            f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have "
            f"authorization to perform action '{action}' over scope '{arm_id}' or the scope is invalid. If "
            "access was recently granted, please refresh your credentials."
        )
        raise _refusal(403, "AuthorizationFailed", text)


def _account(resource: Resource) -> dict[str, Any]:
    return {
        "id": resource.spec.arm_id,
        "name": resource.spec.name,
        "type": ACCOUNTS,
        "kind": "OpenAI",
        "location": resource.spec.region,
        "sku": {"name": "S0"},
        "properties": {
            "endpoint": f"{resource.listener.url}/",
            "customSubDomainName": resource.spec.name,
            "disableLocalAuth": resource.switches.disable_local_auth,
            "publicNetworkAccess": "Enabled",
            "provisioningState": "Succeeded",
        },
    }


def _deployment(resource: Resource, one: Deployment) -> dict[str, Any]:
    model = model_of(one.model, one.version)
    properties: dict[str, Any] = {
        "model": {"format": "OpenAI", "name": model.name, "version": model.version},
        "versionUpgradeOption": "OnceNewDefaultVersionAvailable",
        "currentCapacity": one.capacity,
        "provisioningState": "Succeeded",
    }
    if one.limit_tpm is not None:
        rpm = requests_per_minute(one.model, one.limit_tpm)
        properties["rateLimits"] = [
            {"key": "request", "renewalPeriod": 10, "count": math.ceil(rpm / 6)},
            {"key": "token", "renewalPeriod": 60, "count": one.limit_tpm},
        ]
    if one.spillover:
        properties["spilloverDeploymentName"] = one.spillover
    return {
        "id": f"{resource.spec.arm_id}/deployments/{one.name}",
        "name": one.name,
        "type": f"{ACCOUNTS}/deployments",
        "sku": {"name": one.sku, "capacity": one.capacity},
        "properties": properties,
    }


def _keys(resource: Resource) -> Canned:
    if resource.switches.disable_local_auth:
        raise _refusal(400, "BadRequest", "Failed to list key. disableLocalAuth is set to be true")
    return answer_json(resource.keys.report())


def _key_number(body: bytes) -> int:
    try:
        return msgspec.json.decode(body, type=KeyName).number
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _refusal(400, "InvalidParameter", "The keyName is not valid; use Key1 or Key2.") from None


def _listing(items: Iterable[dict[str, Any]]) -> Canned:
    return answer_json({"value": list(items)})


def _no_such(path: str) -> Refusal:
    text = f"No HTTP resource was found that matches the request URI '{path}'."
    return _refusal(404, "InvalidResourceType", text)


def _refusal(status: int, code: str, message: str, **headers: str) -> Refusal:
    return Refusal(Canned(status, {**JSON, **headers}, {"error": {"code": code, "message": message}}))
