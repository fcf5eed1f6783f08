"""Who serves what, in which order, and whom residency shuts out."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.config.build import resource, settings, standard

from smalt.config.routes import Plan, Tiers, is_pattern, plans, why_excluded, with_fallbacks
from smalt.config.schema import Settings
from smalt.config.upstreams import upstreams
from smalt.core.settings import PoolSpec

PTU = {"model": "m", "sku": "ProvisionedManaged"}
GLOBAL_PTU = {"model": "m", "sku": "GlobalProvisionedManaged"}
STANDARD = standard("m")

# Two regions with the models m and n; in the United States also as a global deployment.
WORLD = {
    "us": resource({"m-us": STANDARD, "n-us": standard("n")}, region="eastus"),
    "eu": resource({"m-eu": STANDARD, "n-eu": standard("n")}, region="swedencentral"),
    "global": resource({"m-gl": {"model": "m", "sku": "GlobalStandard"}}, region="swedencentral"),
}
ZONES = {"eu": ["swedencentral"]}


def planned(resources: dict[str, Any], **sections: Any) -> dict[str, Plan]:
    checked = settings(resources, **sections)
    return plans(checked, upstreams(checked))


def tiers(resources: dict[str, Any], **sections: Any) -> dict[str, Tiers]:
    """Of each name's own pool."""
    return {name: plan.pools[plan.model].tiers for name, plan in planned(resources, **sections).items()}


def chain(**fallbacks: str) -> Settings:
    """Models of one letter, with those of theirs."""
    models = {name: {"fallbacks": [*names]} for name, names in fallbacks.items()}
    return Settings.model_validate({"models": models})


def test_a_default_route_takes_provisioned_deployments_first() -> None:
    """They are paid for anyway; the rest share the load."""
    east, west = resource({"a": STANDARD, "b": PTU}), resource({"c": GLOBAL_PTU, "d": "m"})
    assert tiers({"e": east, "w": west})["m"] == (("e/b", "w/c"), ("e/a", "w/d"))


def test_every_model_has_a_route() -> None:
    """And every deployment name has one behind `azure/`, over all resources that have it."""
    assert tiers({"e": resource({"x": "m", "y": "n"}), "w": resource({"x": "m"})}) == {
        "m": (("e/x", "w/x"),),
        "n": (("e/y",),),
        "azure/x": (("e/x", "w/x"),),
        "azure/y": (("e/y",),),
    }


def test_a_written_route_wins() -> None:
    """In its order; an inner list is one tier."""
    resources = {"e": resource({"a": PTU, "b": STANDARD}), "w": resource({"b": STANDARD})}
    models = {"m": {"route": [["w/b", "e/b"], "e/a"]}}
    assert tiers(resources, models=models)["m"] == (("w/b", "e/b"), ("e/a",))


def test_a_model_without_a_written_route_keeps_the_default() -> None:
    """Other settings of a model leave its route alone."""
    plan = planned({"e": resource({"a": STANDARD})}, models={"m": {"strategy": "random"}})["m"]
    assert plan.pools == {"m": PoolSpec((("e/a",),), "random")}


def test_a_resource_name_means_its_deployments_of_the_model() -> None:
    """And what an earlier tier has is not named again."""
    resources = {"e": resource({"a": PTU, "b": STANDARD, "n": "n"}), "w": resource({"b": STANDARD})}
    models = {"m": {"route": ["e/a", "e", ["w", "e/b"], "e"]}}
    assert tiers(resources, models=models)["m"] == (("e/a",), ("e/b",), ("w/b",))


def test_servers_that_are_not_azure_serve_only_where_named() -> None:
    """A deployment name may hold slashes."""
    resources = {
        "e": resource({"a": "m"}),
        "proxy": resource({"azure/m": "m", "azure/m/2": "m"}, kind="openai"),
    }
    assert tiers(resources) == {"m": (("e/a",),), "azure/a": (("e/a",),)}
    models = {"m": {"route": ["e/a", "proxy/azure/m"]}}
    assert tiers(resources, models=models)["m"] == (("e/a",), ("proxy/azure/m",))


def test_the_pools_of_fallbacks_follow_with_their_own_strategy() -> None:
    """Each is served as if it had been asked for itself."""
    models = {"m": {"strategy": "weighted", "fallbacks": ["n"]}, "n": {"strategy": "least_latency"}}
    assert planned(WORLD, models=models)["m"].pools == {
        "m": PoolSpec((("us/m-us", "eu/m-eu", "global/m-gl"),), "weighted"),
        "n": PoolSpec((("us/n-us", "eu/n-eu"),), "least_latency"),
    }


@pytest.mark.parametrize(
    ("settings", "order"),
    [
        (chain(), "a"),
        (chain(a="bc"), "abc"),
        (chain(a="bc", b="d"), "abdc"),
        (chain(a="bc", b="c", c="d"), "abcd"),
        (chain(a="bcb", b="de", d="c"), "abdce"),
    ],
)
def test_fallbacks_of_fallbacks_come_depth_first(settings: Settings, order: str) -> None:
    """And each model once."""
    assert with_fallbacks("a", settings) == tuple(order)


def test_a_pattern_keeps_its_references() -> None:
    """What a resource has under the name asked for is not known before."""
    models = {"g*": {"route": ["us", ["eu", "us/m-us", "eu"]], "strategy": "random"}}
    plan = planned(WORLD, models=models)["g*"]
    assert plan.pools == {"g*": PoolSpec((("us",), ("eu", "us/m-us")), "random")}
    assert is_pattern("g*")
    assert not is_pattern("m")


def test_an_agent_is_served_as_its_model() -> None:
    """By the same pools, less those that lack what it needs: that the engine sees to."""
    found = planned(
        WORLD, models={"m": {"fallbacks": ["n"]}}, agents={"a": {"model": "m", "needs": ["tools"]}}
    )
    agent, model = found["agent/a"], found["m"]
    assert agent == replace(model, needs=frozenset({"tools"}))


def test_an_agent_has_fallbacks_of_its_own() -> None:
    """Before those of its model; the residency of its model holds for them, too."""
    world = {**WORLD, "more": resource({"o": standard("o")}, region="swedencentral")}
    agents = {"a": {"model": "m", "fallbacks": ["o"]}}
    found = planned(
        world, residency=ZONES, models={"m": {"residency": "eu", "fallbacks": ["n"]}}, agents=agents
    )
    assert found["agent/a"].upstreams == ("eu/m-eu", "more/o", "eu/n-eu")
    assert found["m"].upstreams == ("eu/m-eu", "eu/n-eu")


@pytest.mark.parametrize(
    ("settings", "own", "order"),
    [(chain(), "b", "ab"), (chain(a="bc", d="e"), "d", "adebc"), (chain(a="bc"), "cab", "acb")],
)
def test_own_fallbacks_come_before_those_of_the_model(settings: Settings, own: str, order: str) -> None:
    """Each model once."""
    assert with_fallbacks("a", settings, tuple(own)) == tuple(order)


def test_residency_shuts_out_what_lies_outside() -> None:
    """And says why."""
    plan = planned(WORLD, residency=ZONES, models={"m": {"residency": "eu"}})["m"]
    assert plan.upstreams == ("eu/m-eu",)
    assert plan.excluded == {
        "us/m-us": "eastus is not in eu",
        "global/m-gl": "GlobalStandard is not known to stay in its region",
    }


def test_residency_covers_the_fallbacks() -> None:
    """A model that may be served anywhere may not be when it stands in for one that may not."""
    found = planned(WORLD, residency=ZONES, models={"m": {"residency": "eu", "fallbacks": ["n"]}})
    assert found["m"].upstreams == ("eu/m-eu", "eu/n-eu")
    assert set(found["m"].excluded) == {"us/m-us", "global/m-gl", "us/n-us"}
    assert found["n"].upstreams == ("us/n-us", "eu/n-eu")


def test_residency_of_a_fallback_stays_with_it() -> None:
    """Its deployments outside serve nobody; the model it stands in for is free."""
    found = planned(WORLD, residency=ZONES, models={"n": {"residency": "eu"}, "m": {"fallbacks": ["n"]}})
    assert found["m"].upstreams == ("us/m-us", "eu/m-eu", "global/m-gl", "eu/n-eu")


def test_residency_covers_names_of_deployments() -> None:
    """`azure/` is no way around it."""
    found = planned(WORLD, residency=ZONES, models={"m": {"residency": "eu"}})
    assert found["azure/m-us"].upstreams == ()
    assert found["azure/m-us"].excluded == {"us/m-us": "eastus is not in eu"}
    assert found["azure/m-eu"].upstreams == ("eu/m-eu",)
    assert found["azure/n-us"].upstreams == ("us/n-us",)


def test_residency_covers_patterns() -> None:
    """A deployment that one of them names is still one of its model."""
    models = {"m": {"residency": "eu"}, "g*": {"route": ["us/m-us", ["eu/m-eu", "us/n-us"]]}}
    plan = planned(WORLD, residency=ZONES, models=models)["g*"]
    assert plan.upstreams == ("eu/m-eu", "us/n-us")
    assert plan.excluded == {"us/m-us": "eastus is not in eu"}


def test_residency_covers_agents() -> None:
    """They are served as their model is."""
    found = planned(WORLD, residency=ZONES, models={"m": {"residency": "eu"}}, agents={"a": {"model": "m"}})
    assert found["agent/a"].upstreams == ("eu/m-eu",)


def test_without_residency_nobody_is_excluded() -> None:
    """By any name."""
    checked = settings(WORLD, residency=ZONES)
    specs = upstreams(checked)
    assert not any(why_excluded(spec, name, checked) for spec in specs.values() for name in ("m", "n", "x"))
