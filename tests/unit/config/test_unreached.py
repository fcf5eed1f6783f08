"""Parts of the settings that no call can reach."""

from typing import Any

import pytest
from tests.unit.config.build import resource, settings, standard

from smalt.config.advice import warnings

EAST = resource({"d": standard("gpt-4o"), "m": standard("gpt-4o-mini")}, region="eastus")
WEST = resource({"d": standard("gpt-4o")}, region="westus")
PROXY = resource({"gpt-4o": "gpt-4o", "azure/x": "x"}, kind="openai")
OLD = resource({"o": "gpt-35-turbo"})


def told(resources: dict[str, Any], **sections: Any) -> list[str]:
    return list(warnings(settings(resources, **sections)))


@pytest.mark.parametrize(
    ("route", "place", "what"),
    [
        (["east/d", ["west/d", "east/d"]], 1, "east/d"),
        (["east", "east/d"], 1, "east/d"),
        ([["east/d", "west/d"], "east"], 1, "east"),
        ([["east/d", "east/d"]], 0, "east/d"),
    ],
)
def test_an_upstream_that_stands_twice_in_a_route(route: list[Any], place: int, what: str) -> None:
    """The first place counts."""
    assert told({"east": EAST, "west": WEST}, models={"gpt-4o": {"route": route}}) == [
        f"models.gpt-4o.route[{place}]: {what} has its place in this route already; the first one counts"
    ]


def test_a_resource_that_brings_more_may_follow_its_deployment() -> None:
    """It adds its other deployments of the model; so does a pattern, whose deployments have any name."""
    two = resource({"d": "gpt-4o", "e": "gpt-4o"})
    models = {"gpt-4o": {"route": ["east/d", "east"]}, "o*": {"route": ["east/d", "east"]}}
    assert told({"east": two}, models=models) == []


def test_a_resource_twice_in_the_route_of_a_pattern() -> None:
    """The same names of deployments are tried there."""
    assert told({"east": EAST, "west": WEST}, models={"o*": {"route": ["east", ["west", "east"]]}}) == [
        "models.o*.route[1]: east has its place in this route already; the first one counts"
    ]


def test_a_fallback_that_is_tried_already() -> None:
    """Twice in a list, or the agent's own model."""
    assert told(
        {"east": EAST},
        models={"gpt-4o": {"fallbacks": ["gpt-4o-mini", "gpt-4o-mini"]}},
        agents={"guide": {"model": "gpt-4o-mini", "fallbacks": ["gpt-4o", "gpt-4o-mini"]}},
    ) == [
        "models.gpt-4o.fallbacks[1]: gpt-4o-mini is tried already, before it; remove it here",
        "agents.guide.fallbacks[1]: gpt-4o-mini is tried already, before it; remove it here",
    ]


def test_a_fallback_that_residency_shuts_out() -> None:
    """The model itself is served; the fallback never is."""
    europe = resource({"d": standard("gpt-4o")}, region="westeurope")
    assert told(
        {"europe": europe, "old": OLD},
        models={"gpt-4o": {"residency": "eu", "fallbacks": ["gpt-35-turbo"]}},
        residency={"eu": ["westeurope"]},
    ) == ["models.gpt-4o.fallbacks[0]: residency leaves no upstream of gpt-35-turbo to gpt-4o"]


def test_a_fallback_without_what_the_agent_needs() -> None:
    """Its model serves; the fallback is left out of every call."""
    assert told(
        {"east": EAST, "old": OLD},
        agents={"guide": {"model": "gpt-4o", "needs": ["vision"], "fallbacks": ["gpt-35-turbo"]}},
    ) == ["agents.guide.fallbacks[0]: no upstream of gpt-35-turbo can do all that the agent needs: vision"]


def test_a_deployment_of_an_openai_server_that_no_route_names() -> None:
    """It serves only where it is named, by itself or with its resource."""
    unnamed = (
        "resources.proxy.deployments.azure/x: no route names it, and a resource of kind openai serves only "
        "where one does: models.x.route"
    )
    route: dict[str, Any] = {"gpt-4o": {"route": ["east/d", "proxy/gpt-4o"]}}
    assert told({"east": EAST, "proxy": PROXY}, models=route) == [unnamed]
    assert told({"east": EAST, "proxy": PROXY}, models=route | {"x": {"route": ["proxy"]}}) == []
    assert told({"east": EAST, "proxy": PROXY}, models={"*": {"route": ["proxy"]}}) == []


def test_a_weight_that_counts_nowhere() -> None:
    """Only one strategy looks at it."""
    heavy = {"east": resource({"d": {"model": "gpt-4o", "weight": 3}}), "west": WEST}
    assert told(heavy) == [
        (
            "resources.east.deployments.d.weight: counts only under the strategy weighted, "
            "which no route of it has"
        )
    ]
    assert told(heavy, models={"gpt-4o": {"strategy": "weighted"}}) == []


def test_names_that_nothing_refers_to() -> None:
    """A quota that is not shared, a zone in which nobody must stay."""
    assert told({"east": EAST}, quotas={"q": "10k"}, residency={"us": ["eastus"]}) == [
        "quotas.q: no deployment shares this quota: name it there, as quota",
        "residency.us: no model stays in this zone: name it there, as residency",
    ]
    shared = resource({"d": {"model": "gpt-4o", "sku": "Standard", "quota": "q"}}, region="eastus")
    used = {
        "quotas": {"q": "10k"},
        "residency": {"us": ["eastus"]},
        "models": {"gpt-4o": {"residency": "us"}},
    }
    assert told({"east": shared}, **used) == []


def test_a_gateway_key_for_a_model_that_is_not_there() -> None:
    """It would be refused whatever it asks for."""
    gateway = {"keys": [{"alias": "ci", "key": "k", "models": ["gpt-4o", "gpt4o"]}]}
    assert told({"east": EAST}, gateway=gateway) == [
        "gateway.keys[0].models[1]: nothing is called 'gpt4o' here; did you mean 'gpt-4o'?"
    ]


@pytest.mark.parametrize("name", ["gpt-4o", "d", "azure/d", "agent/guide", "o3-mini"])
def test_what_a_gateway_key_may_name(name: str) -> None:
    """Models, deployments with `azure/` and without, agents, and what matches a pattern."""
    assert (
        told(
            {"east": EAST},
            models={"o*": {"route": ["east"]}},
            agents={"guide": {"model": "gpt-4o"}},
            gateway={"keys": [{"alias": "ci", "key": "k", "models": [name]}]},
        )
        == []
    )


def test_beside_a_default_resource_any_name_may_be_right() -> None:
    """It takes deployments that are not listed."""
    gateway = {"keys": [{"alias": "ci", "key": "k", "models": ["whatever"]}]}
    assert told({"default": resource({})}, gateway=gateway) == []
