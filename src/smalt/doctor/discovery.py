"""What ARM knows of a subscription's Azure OpenAI accounts, as settings."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smalt.config.upstreams import is_provisioned
from smalt.doctor.arm import SUBSCRIPTIONS_VERSION, Arm
from smalt.doctor.deployed import TPM_PER_UNIT, deployed
from smalt.errors import ConfigurationError

_KINDS = ("OpenAI", "AIServices")
_OPENAI_API = "OpenAI Language Model Instance API"  # among the endpoints of an account of kind AIServices
_NOT_ASKED = ("batch", "developer")  # in the names of deployment types that take no requests of their own


@dataclass(frozen=True, slots=True)
class Discovered:
    """`data`: settings as plain data. `left_out`: a line for everything that is not among them, and why."""

    data: Mapping[str, Any]
    left_out: tuple[str, ...]


def discover(arm: Arm, subscription: str | None) -> Discovered:
    """Every account with a deployment. `subscription`: by id or name; None for all that can be read.

    Raises ConfigurationError if there is no such subscription or nothing in it; ArmRefused, NoToken.
    """
    resources: dict[str, Any] = {}
    left_out: list[str] = []
    for one in _subscriptions(arm, subscription):
        accounts = f"/subscriptions/{one}/providers/Microsoft.CognitiveServices/accounts"
        for account in arm.listing(accounts):
            if account.get("kind") in _KINDS:
                name, resource = _resource(arm, account, left_out)
                if resource:
                    resources[_unused(name, resources)] = resource
    if not resources:
        raise ConfigurationError(
            "no Azure OpenAI resource with a deployment is to be seen",
            problems=(
                *left_out,
                "See who asks: az account show; the role Reader on the subscription shows everything in it.",
                "See what is there: az cognitiveservices account list --output table",
            ),
        )
    return Discovered({"resources": resources}, tuple(left_out))


def _subscriptions(arm: Arm, wanted: str | None) -> list[str]:
    listed = list(arm.listing("/subscriptions", version=SUBSCRIPTIONS_VERSION))
    found = [
        str(one["subscriptionId"])
        for one in listed
        if wanted is None
        or wanted.lower() in (str(one[key]).lower() for key in ("subscriptionId", "displayName"))
    ]
    if not found:
        names = ", ".join(str(one["displayName"]) for one in listed) or "none"
        problem = f"there is no subscription {wanted}" if wanted else "no subscription is to be seen"
        raise ConfigurationError(
            f"{problem}; those that can be read: {names}",
            problems=("az login, if you are somebody else; az account list --output table",),
        )
    return found


def _resource(arm: Arm, account: Mapping[str, Any], left_out: list[str]) -> tuple[str, dict[str, Any] | None]:
    """Name and settings; None if nothing in it can be asked."""
    name, properties = str(account["name"]), account.get("properties") or {}
    deployments = dict(_deployments(name, arm.listing(f"{account['id']}/deployments"), left_out))
    if not deployments:
        left_out.append(f"{name}: no deployment that takes requests")
        return name, None
    endpoints = properties.get("endpoints") or {}
    return name, {
        "endpoint": str(endpoints.get(_OPENAI_API) or properties.get("endpoint", "")).rstrip("/"),
        "region": str(account.get("location", "")).lower().replace(" ", ""),
        "identity": "default",
        "azure_id": account["id"],
        "deployments": deployments,
    }


def _deployments(
    account: str, listed: Iterable[Mapping[str, Any]], left_out: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for told in listed:
        one = deployed(told)
        subject = f"{account}/{one.name}"
        if any(word in one.sku.lower() for word in _NOT_ASKED):
            left_out.append(f"{subject}: {one.sku} takes no single requests")
        elif one.state not in ("", "Succeeded"):
            left_out.append(f"{subject}: its state is {one.state}")
        elif one.format not in ("", "OpenAI"):
            left_out.append(f"{subject}: {one.model} is a model of {one.format}, not of OpenAI")
        elif is_provisioned(one.sku):
            yield one.name, {"model": one.model, "sku": one.sku, "ptu": one.capacity}
        else:
            yield one.name, {"model": one.model, "sku": one.sku, "quota_tpm": _tpm(one.capacity)}


def _tpm(capacity: int) -> str:
    """As people write it."""
    tokens = capacity * TPM_PER_UNIT
    return f"{tokens // 1_000_000}m" if tokens % 1_000_000 == 0 and tokens else f"{tokens // 1_000}k"


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    number = 2
    unused = name
    while unused in taken:
        unused, number = f"{name}-{number}", number + 1
    return unused
