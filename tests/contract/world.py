"""The two regions scenarios run in, and settings that lead to them."""

from collections.abc import Mapping
from typing import Any

from smalt.config import Settings
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet, Resource
from smalt.emulator.testing import Handle

PLENTY = 100_000  # thousands of tokens a minute
REGIONS = {"east": "eastus", "sweden": "swedencentral"}

# model -> deployment, in both regions unless said otherwise
SHARED = {
    "gpt-4o": "gpt-4o-prod",
    "gpt-4o-mini": "gpt-4o-mini-prod",
    "gpt-4-turbo": "gpt-4-turbo-prod",
    "gpt-4": "gpt-4-prod",
    "gpt-35-turbo": "gpt-35-turbo-prod",
    "gpt-35-turbo-instruct": "instruct-prod",
    "o3-mini": "o3-mini-prod",
    "text-embedding-3-small": "embed-prod",
    "tight": "tight",  # gpt-4o with 1,000 tokens a minute
    "moved": "moved",  # gpt-4o; configured in both regions, deployed in sweden only
    "spaced": "a b/ü",  # gpt-4o
}


def azure() -> Fleet:
    """What the emulator plays. Answers come at once."""
    return Fleet(0, {name: _resource(name) for name in REGIONS})


def _resource(name: str) -> Resource:
    here = {model: d for model, d in SHARED.items() if (name, model) != ("east", "moved")}
    deployments = {
        deployment: Deployment(
            deployment,
            model if model.startswith(("gpt", "o3", "text")) else "gpt-4o",
            "Standard",
            1 if model == "tight" else PLENTY,
        )
        for model, deployment in here.items()
    }
    cased = {d: Deployment(d, "gpt-4o", "Standard", PLENTY) for d in ("Cased", "cased")}
    if name == "east":
        deployments |= cased
    return Resource(name, 0, REGIONS[name], (f"{name}-key-1",), deployments, latency_ms=0, token_ms=0)


def settings(emulator: Handle, **sections: Mapping[str, Any]) -> Settings:
    """Both regions, quick to give up; `sections` lie over it, key by key."""
    return Settings.model_validate(written(emulator, **sections))


def written(emulator: Handle, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """The same as plain data."""
    deployments = {deployment: {"model": model, "sku": "Standard"} for model, deployment in SHARED.items()}
    told: dict[str, Any] = {
        "resources": {
            name: {
                "endpoint": emulator.url(name),
                "api_keys": [emulator.key(name)],
                "region": region,
                "deployments": deployments,
            }
            for name, region in REGIONS.items()
        },
        "retry": {"base_s": 0.05, "cap_s": 0.1, "jitter_s": 0},
        "timeouts": {"connect_s": 2, "total_s": 5, "stream_first_byte_s": 5, "stream_idle_s": 5},
    }
    for name, values in sections.items():
        told[name] = {**told.get(name, {}), **values}
    return told


def tried(azure: Handle) -> list[str]:
    """The regions that saw a request, in order."""
    return [entry["resource"] for entry in azure.log()]


def billed(azure: Handle) -> int:
    """How many requests Azure bills."""
    total: int = azure.bill()["totals"]["requests"]
    return total
