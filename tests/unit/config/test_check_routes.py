"""Names that lead nowhere, and what is said about them: the exact lines."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.config.build import resource, settings, standard

from smalt.errors import ConfigurationError

# To which a test adds one line on top.
WORLD = """\
resources:
  east:
    endpoint: https://contoso-east.openai.azure.com
    region: eastus
    api_keys: [k]
    deployments:
      d: {model: gpt-4o, sku: Standard}
      mini: {model: gpt-4o-mini, sku: Standard}
      old: {model: gpt-35-turbo}
residency: {us: [eastus], eu: [swedencentral, westeurope]}
"""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "models: {gpt-4: {}}",
            "1:10: models.gpt-4.route: no deployment serves this model; did you mean 'gpt-4o'?",
        ),
        (
            "models: {gpt-4o: {route: [west/d]}}",
            "1:27: models.gpt-4o.route[0]: no resource is named 'west'; did you mean 'east'?",
        ),
        ("models: {gpt-4o: {route: [x/d]}}", "1:27: models.gpt-4o.route[0]: no resource is named 'x'"),
        (
            "models: {gpt-4o: {route: [[east/D]]}}",
            "1:27: models.gpt-4o.route[0]: resource east has no deployment 'D'",
        ),
        (
            "models: {gpt-4: {route: [east/d]}}",
            "1:26: models.gpt-4.route[0]: east/d serves gpt-4o, not gpt-4",
        ),
        (
            "models: {gpt-4: {route: [east]}}",
            "1:26: models.gpt-4.route[0]: resource east has no deployment of gpt-4",
        ),
    ],
)
def test_a_bad_route(line: str, problem: str, problems: Callable[..., list[str]]) -> None:
    """What is named must be there, and of the model."""
    assert problems(f"{line}\n{WORLD}") == [problem]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "models: {gpt-4o: {fallbacks: [gpt-4o-min]}}",
            "1:31: models.gpt-4o.fallbacks[0]: no model is named 'gpt-4o-min'; did you mean 'gpt-4o-mini'?",
        ),
        (
            "models: {gpt-4o: {fallbacks: [gpt-4o-mini, zzz]}}",
            "1:44: models.gpt-4o.fallbacks[1]: no model is named 'zzz'",
        ),
        (
            "models: {gpt-4o: {fallbacks: ['gpt-*']}, 'gpt-*': {route: [east]}}",
            "1:31: models.gpt-4o.fallbacks[0]: no model is named 'gpt-*'; did you mean 'gpt-4o'?",
        ),
        (
            "models: {gpt-4o: {fallbacks: [gpt-4o]}}",
            "1:19: models.gpt-4o.fallbacks: gpt-4o -> gpt-4o leads back to the start",
        ),
        (
            "models: {gpt-4o: {fallbacks: [gpt-4o-mini]}, gpt-4o-mini: {fallbacks: [gpt-4o]}}",
            "1:19: models.gpt-4o.fallbacks: gpt-4o -> gpt-4o-mini -> gpt-4o leads back to the start",
        ),
    ],
)
def test_bad_fallbacks(line: str, problem: str, problems: Callable[..., list[str]]) -> None:
    """Unknown models, and chains without an end."""
    assert problems(f"{line}\n{WORLD}") == [problem]


def test_every_circle_of_fallbacks_is_told(problems: Callable[..., list[str]]) -> None:
    """With the whole chain; models that only lead into one are not to blame."""
    fallbacks = {"a": "b", "b": "c", "c": "a", "d": "d", "e": "a"}
    models = ", ".join(f"{m}: {{route: [east/{m}], fallbacks: [{f}]}}" for m, f in fallbacks.items())
    deployments = ", ".join(f"{m}: {{model: {m}}}" for m in fallbacks)
    text = (
        f"resources: {{east: {{endpoint: 'https://c.openai.azure.com', api_keys: [k], "
        f"deployments: {{{deployments}}}}}}}\nmodels: {{{models}}}\n"
    )
    told = [problem.split(": ", 1)[1] for problem in problems(text)]
    assert told == [
        "models.a.fallbacks: a -> b -> c -> a leads back to the start",
        "models.d.fallbacks: d -> d leads back to the start",
    ]


def test_circles_that_meet_are_all_told(problems: Callable[..., list[str]]) -> None:
    """Mending one leaves the other."""
    line = "models: {gpt-4o: {fallbacks: [gpt-4o-mini]}, gpt-4o-mini: {fallbacks: [gpt-4o, gpt-4o-mini]}}"
    assert len(problems(f"{line}\n{WORLD}")) == 2


def test_fallbacks_may_meet() -> None:
    """Two ways to one model are no circle."""
    models = {"a": {"fallbacks": ["b", "c"]}, "b": {"fallbacks": ["d"]}, "c": {"fallbacks": ["d"]}}
    checked = settings({"e": resource({name: name for name in "abcd"})}, models=models)
    assert checked.models["a"].fallbacks == ("b", "c")


def test_a_model_that_only_a_route_serves_may_be_a_fallback() -> None:
    """Of a server that serves only where it is named."""
    resources = {"e": resource({"a": "a"}), "proxy": resource({"b": "b"}, kind="openai")}
    fallback: dict[str, Any] = {"a": {"fallbacks": ["b"]}}
    settings(resources, models=fallback | {"b": {"route": ["proxy/b"]}})
    with pytest.raises(ConfigurationError, match="no model is named 'b'"):
        settings(resources, models=fallback)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "models: {'gpt-*': {}}",
            "1:10: models.gpt-*.route: a pattern needs a route: resources, or upstreams",
        ),
        (
            "models: {'gpt-*': {route: [esat]}}",
            "1:28: models.gpt-*.route[0]: no resource is named 'esat'; did you mean 'east'?",
        ),
        (
            "models: {'gpt-*': {route: [[east, east/dd]]}}",
            "1:28: models.gpt-*.route[0]: resource east has no deployment 'dd'; did you mean 'd'?",
        ),
        (
            "models: {'gpt-*': {route: [east], fallbacks: [gpt-4o]}}",
            "1:35: models.gpt-*.fallbacks: not for patterns; name the models themselves",
        ),
        (
            "models: {'gpt-*': {route: [east], defaults: {seed: 1}}}",
            "1:35: models.gpt-*.defaults: not for patterns; name the models themselves",
        ),
        (
            "models: {'gpt-*': {route: [east/d], residency: us}}",
            "1:37: models.gpt-*.residency: not for patterns; name the models themselves",
        ),
        (
            "models: {'azure/*': {route: [east/d]}}",
            "1:10: models.azure/*: patterns are not tried for names with azure/ or agent/",
        ),
        (
            "models: {gpt-4o: {residency: us}, 'gpt-*': {route: [east/d, east]}}",
            (
                "1:61: models.gpt-*.route[1]: may lead to a deployment of gpt-4o that is not listed, "
                "past its residency; name upstreams, or choose a narrower pattern"
            ),
        ),
    ],
)
def test_a_bad_pattern(line: str, problem: str, problems: Callable[..., list[str]]) -> None:
    """One line for what it cannot have."""
    assert problems(f"{line}\n{WORLD}") == [problem]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "models: {gpt-4o: {residency: uss}}",
            "1:19: models.gpt-4o.residency: no residency zone is named 'uss'; did you mean 'us'?",
        ),
        (
            "models: {gpt-4o: {residency: eu}}",
            ("1:19: models.gpt-4o.residency: residency leaves no upstream: east/d (eastus is not in eu)"),
        ),
        (
            "models: {gpt-35-turbo: {residency: eu, fallbacks: [gpt-4o]}}",
            (
                "1:25: models.gpt-35-turbo.residency: residency leaves no upstream: "
                "east/old (its SKU is not known), east/d (eastus is not in eu)"
            ),
        ),
    ],
)
def test_a_bad_residency(line: str, problem: str, problems: Callable[..., list[str]]) -> None:
    """Unknown zones, and fences that leave nothing: with everyone they shut out, and why."""
    assert problems(f"{line}\n{WORLD}") == [problem]


def test_a_fallback_must_be_inside_both_fences(problems: Callable[..., list[str]]) -> None:
    """What its own shuts out, it cannot lend."""
    line = "models: {gpt-35-turbo: {residency: us, fallbacks: [gpt-4o]}, gpt-4o: {residency: eu}}"
    assert problems(f"{line}\n{WORLD}") == [
        (
            "1:25: models.gpt-35-turbo.residency: residency leaves no upstream: "
            "east/old (its SKU is not known), east/d (eastus is not in eu)"
        ),
        "1:71: models.gpt-4o.residency: residency leaves no upstream: east/d (eastus is not in eu)",
    ]


def test_a_pattern_for_other_names_may_stand_beside_a_residency() -> None:
    """What it is for is not the model that must stay."""
    models = {"a": {"residency": "us"}, "b*": {"route": ["e"]}}
    east = resource({"a": standard("a")}, region="eastus")
    settings({"e": east}, models=models, residency={"us": ["eastus"]})


def test_a_fence_that_leaves_only_fallbacks_is_enough() -> None:
    """They serve the model then."""
    east = resource({"a": "a", "b": standard("b")}, region="eastus")
    models = {"a": {"residency": "us", "fallbacks": ["b"]}}
    settings({"e": east}, models=models, residency={"us": ["eastus"]})


def test_a_pattern_that_residency_leaves_nothing() -> None:
    """The deployment it names is of a model that must stay elsewhere."""
    resources = {
        "us": resource({"a": standard("a")}, region="eastus"),
        "eu": resource({"a": standard("a")}, region="westeurope"),
    }
    models = {"a": {"residency": "eu"}, "x*": {"route": ["us/a"]}}
    with pytest.raises(ConfigurationError) as caught:
        settings(resources, models=models, residency={"eu": ["westeurope"]})
    assert caught.value.problems == (
        "models.x*.route: residency leaves no upstream: us/a (eastus is not in eu)",
    )


@pytest.mark.parametrize("zone", ["eu", "EU"])
def test_a_zone_with_the_name_of_azures_holds_no_region_of_another(
    zone: str, problems: Callable[..., list[str]]
) -> None:
    """Deployments of a data zone are judged by that name."""
    text = WORLD.replace("eu: [swedencentral, westeurope]", f"{zone}: [swedencentral, East US, uksouth]")
    assert problems(text) == [f"10:47: residency.{zone}[1]: East US lies in Azure's data zone us"]
    settings({"e": resource({"a": "a"})}, residency={"mine": ["swedencentral", "eastus"]})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("agents: {a: {}}", "1:10: agents.a.model: model is required: the name of the model it uses"),
        (
            "agents: {a: {model: gpt-4p}}",
            "1:14: agents.a.model: no model is named 'gpt-4p'; did you mean 'gpt-4o'?",
        ),
        (
            "agents: {a: {model: gpt-35-turbo, needs: [vision, tools]}}",
            "1:35: agents.a.needs: no upstream of gpt-35-turbo can do all of this: tools, vision",
        ),
    ],
)
def test_a_bad_agent(line: str, problem: str, problems: Callable[..., list[str]]) -> None:
    """Its model must be there, and able."""
    assert problems(f"{line}\n{WORLD}") == [problem]


@pytest.mark.parametrize(
    "models", [{"gpt-35-turbo": {"fallbacks": ["gpt-4o"]}}, {"gpt-35-turbo": {"fallbacks": ["m"]}}]
)
def test_an_agent_may_be_served_by_a_fallback(models: dict[str, Any]) -> None:
    """One that has what the agent needs, or of which nobody knows."""
    resources = {"e": resource({"a": "gpt-35-turbo", "b": "gpt-4o", "c": "m"})}
    agents = {"guide": {"model": "gpt-35-turbo", "needs": ["vision"]}}
    settings(resources, models=models, agents=agents)
    with pytest.raises(ConfigurationError, match="can do all of this: vision"):
        settings(resources, agents=agents)


def test_an_agent_of_a_model_that_nobody_may_serve(problems: Callable[..., list[str]]) -> None:
    """The residency is to blame, and told once."""
    line = "models: {gpt-4o: {residency: eu}}\nagents: {a: {model: gpt-4o, needs: [tools]}}"
    assert problems(f"{line}\n{WORLD}") == [
        "1:19: models.gpt-4o.residency: residency leaves no upstream: east/d (eastus is not in eu)"
    ]


def test_everything_right_has_no_problem() -> None:
    """Upstreams and whole resources, in order or in lists."""
    east = resource({"d": "gpt-4o"})
    checked = settings({"east": east}, models={"gpt-4o": {"route": ["east/d", ["east"]]}})
    assert checked.models["gpt-4o"].route == (("east/d",), ("east",))
