"""From settings to what the engine decides by."""

from decimal import Decimal
from typing import Any

import pytest

from smalt.config import Settings, freeze
from smalt.config.freeze import own_prices
from smalt.core.settings import RetrySpec, UpstreamSpec
from smalt.wire.models import TokenPrice


def resource(**deployments: dict[str, Any]) -> dict[str, Any]:
    return {"endpoint": "https://c.openai.azure.com", "deployments": deployments}


def tiers(data: dict[str, Any]) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {name: route.tiers for name, route in freeze(Settings.model_validate(data)).routes.items()}


PTU = {"model": "m", "sku": "ProvisionedManaged"}
GLOBAL_PTU = {"model": "m", "sku": "GlobalProvisionedManaged"}
STANDARD = {"model": "m", "sku": "Standard"}
BARE = {"model": "m"}


def test_an_upstream_carries_what_decisions_need() -> None:
    """Name, model, region, SKU and limit."""
    east = resource(d={"model": "m", "sku": "Standard", "quota_tpm": 10}) | {"region": "eastus"}
    settings = freeze(Settings.model_validate({"resources": {"east": east}}))
    assert settings.upstreams == {"east/d": UpstreamSpec("east/d", "m", "eastus", "Standard", 10)}


@pytest.mark.parametrize(
    ("written", "limit"),
    [({}, None), ({"quota_tpm": 10}, 10), ({"limit_tpm": 5}, 5), ({"quota_tpm": 10, "limit_tpm": 5}, 5)],
)
def test_our_own_limit_wins_over_the_quota(written: dict[str, int], limit: int | None) -> None:
    """Without either there is no limit of ours."""
    data = {"resources": {"e": resource(d={"model": "m", **written})}}
    assert freeze(Settings.model_validate(data)).upstreams["e/d"].limit_tpm == limit


def test_a_default_route_takes_provisioned_deployments_first() -> None:
    """They are paid for anyway; the rest share the load."""
    data = {"resources": {"e": resource(a=STANDARD, b=PTU), "w": resource(c=GLOBAL_PTU, d=BARE)}}
    assert tiers(data)["m"] == (("e/b", "w/c"), ("e/a", "w/d"))


def test_every_model_has_a_route() -> None:
    """And every deployment name has one behind `azure/`, over all resources that have it."""
    data = {"resources": {"e": resource(x={"model": "m"}, y={"model": "n"}), "w": resource(x={"model": "m"})}}
    assert tiers(data) == {
        "m": (("e/x", "w/x"),),
        "n": (("e/y",),),
        "azure/x": (("e/x", "w/x"),),
        "azure/y": (("e/y",),),
    }


def test_a_written_route_wins() -> None:
    """In its order; an inner list is one tier."""
    data = {
        "resources": {"e": resource(a=PTU, b=STANDARD), "w": resource(b=STANDARD)},
        "models": {"m": {"route": [["w/b", "e/b"], "e/a"]}},
    }
    assert tiers(data)["m"] == (("w/b", "e/b"), ("e/a",))


def test_a_model_without_a_written_route_keeps_the_default() -> None:
    """Other settings of a model leave its route alone."""
    data = {"resources": {"e": resource(a=STANDARD)}, "models": {"m": {}}}
    assert tiers(data)["m"] == (("e/a",),)


def test_a_resource_name_means_its_deployments_of_the_model() -> None:
    """And what an earlier tier has is not named again."""
    data = {
        "resources": {"e": resource(a=PTU, b=STANDARD, n={"model": "n"}), "w": resource(b=STANDARD)},
        "models": {"m": {"route": ["e/a", "e", ["w", "e/b"], "e"]}},
    }
    assert tiers(data)["m"] == (("e/a",), ("e/b",), ("w/b",))


def test_servers_that_are_not_azure_serve_only_where_named() -> None:
    """A deployment name may hold slashes."""
    proxy = resource(**{"azure/m": BARE, "azure/m/2": BARE}) | {"kind": "openai"}
    data: dict[str, Any] = {"resources": {"e": resource(a=BARE), "proxy": proxy}}
    assert tiers(data) == {"m": (("e/a",),), "azure/a": (("e/a",),)}
    data["models"] = {"m": {"route": ["e/a", "proxy/azure/m"]}}
    assert tiers(data)["m"] == (("e/a",), ("proxy/azure/m",))


def test_only_a_resource_of_that_name_is_the_default() -> None:
    """Where `azure/<deployment>` leads when nobody has the deployment."""
    assert (
        freeze(Settings.model_validate({"resources": {"default": resource()}})).default_resource == "default"
    )
    assert freeze(Settings.model_validate({"resources": {"e": resource(a=BARE)}})).default_resource is None


def test_retries_are_carried_over() -> None:
    """Their defaults are those of the core."""
    assert freeze(Settings()).retry == RetrySpec()
    retry = {"max_attempts": 2, "base_s": 0.5, "cap_s": 4, "jitter_s": 0, "after_timeout": True}
    assert freeze(Settings.model_validate({"retry": retry})).retry == RetrySpec(
        2, 0.5, 4, 0, after_timeout=True
    )


def test_own_prices_by_model() -> None:
    """As exact as they are written."""
    prices = {
        "m": {"input_usd": "0.1", "output_usd": 9},
        "n": {"input_usd": 1, "output_usd": 2, "cached_usd": 0},
    }
    assert own_prices(Settings.model_validate({"prices": prices})) == {
        "m": TokenPrice(Decimal("0.1"), Decimal(9)),
        "n": TokenPrice(Decimal(1), Decimal(2), cached_usd=Decimal(0)),
    }
