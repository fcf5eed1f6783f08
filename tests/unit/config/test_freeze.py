"""From settings to what the engine decides by."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.unit.config.build import resource, settings, standard

from smalt import Fleet
from smalt.config import Settings, freeze, load
from smalt.config.freeze import budgets, own_prices
from smalt.config.schema import Breaker, Deployment, ModelSettings, Resource
from smalt.core.budgets import BudgetSpec
from smalt.core.engine import Engine
from smalt.core.settings import BreakerSpec, EngineSettings, PatternSpec, PoolSpec, RetrySpec, RouteSpec
from smalt.errors import ModelNotAvailableError
from smalt.types import Facts, Failure, FailureKind, Operation
from smalt.wire.models import TokenPrice

US = resource({"m-us": standard("m"), "n-us": standard("n")}, region="eastus")
EU = resource({"m-eu": standard("m")}, region="swedencentral")
ZONES = {"eu": ["swedencentral"]}


def frozen(resources: dict[str, Any], **sections: Any) -> EngineSettings:
    return freeze(settings(resources, **sections))


def asked(engine: Engine, model: str) -> tuple[str, ...]:
    """The upstreams a name leads to, as on an Azure surface, where it may also name a deployment."""
    facts = Facts(Operation.CHAT, model, names_deployment=True)
    return tuple(state.spec.name for tier in engine.route(facts).tiers for state in tier.states)


def test_a_route_has_its_own_pool_and_those_of_its_fallbacks() -> None:
    """Each with its strategy."""
    models = {"m": {"strategy": "weighted", "fallbacks": ["n"]}}
    own, other = PoolSpec((("us/m-us", "eu/m-eu"),), "weighted"), PoolSpec((("us/n-us",),))
    assert frozen({"us": US, "eu": EU}, models=models).routes["m"] == RouteSpec("m", (own, other))


def test_an_agent_is_a_route_with_needs() -> None:
    """Under a name of its own, for the same model."""
    routes = frozen({"eu": EU}, agents={"guide": {"model": "m", "needs": ["tools", "vision"]}}).routes
    pools = (PoolSpec((("eu/m-eu",),)),)
    assert routes["agent/guide"] == RouteSpec("m", pools, frozenset({"tools", "vision"}))


def test_patterns_are_no_routes() -> None:
    """Their names are not asked for."""
    engine_settings = frozen(
        {"us": US}, models={"g*": {"route": ["us"], "strategy": "random"}, "*": {"route": ["us/m-us"]}}
    )
    assert engine_settings.patterns == (
        PatternSpec("g*", (("us",),), "random"),
        PatternSpec("*", (("us/m-us",),)),
    )
    assert not {"g*", "*"} & set(engine_settings.routes)


def test_only_a_resource_of_that_name_is_the_default() -> None:
    """Where `azure/<deployment>` leads when nobody has the deployment."""
    assert frozen({"default": resource({})}).default_resource == "default"
    assert frozen({"eu": EU}).default_resource is None


def test_retries_and_breaker_are_carried_over() -> None:
    """Their defaults are those of the core."""
    assert freeze(Settings()).retry == RetrySpec()
    assert freeze(Settings()).breaker == BreakerSpec()
    retry = {"max_attempts": 2, "base_s": 0.5, "cap_s": 4, "jitter_s": 0, "after_timeout": True}
    engine_settings = frozen({"eu": EU}, retry=retry, breaker={"failures": 3, "open_s": 9})
    assert engine_settings.retry == RetrySpec(2, 0.5, 4, 0, after_timeout=True)
    assert engine_settings.breaker == BreakerSpec(failures=3, open_s=9)


def test_req_2_12_exact_names_win_over_patterns() -> None:
    """`gpt-4o` is one of `gpt-*` unless it has a route; the pattern with more letters wins."""
    resources = {"us": US, "eu": resource({"gpt-4.1": "gpt-4.1"}, region="swedencentral")}
    models = {"gpt-*": {"route": ["us"]}, "gpt-4o-*": {"route": ["eu", "us/m-us"]}}
    engine = Engine(frozen(resources, models=models))
    assert asked(engine, "gpt-4o") == ("us/gpt-4o",)
    assert asked(engine, "gpt-4o-mini") == ("eu/gpt-4o-mini", "us/m-us")
    assert asked(engine, "gpt-4.1") == ("eu/gpt-4.1",)
    assert asked(engine, "m-us") == ("us/m-us",)
    with pytest.raises(ModelNotAvailableError):
        asked(engine, "o3")


def test_patterns_leave_names_of_deployments_and_agents_alone() -> None:
    """`azure/new` is a deployment of the default resource, whatever `*` says."""
    engine = Engine(frozen({"us": US, "default": resource({})}, models={"*": {"route": ["us"]}}))
    assert asked(engine, "azure/new") == ("default/new",)
    assert asked(engine, "new") == ("us/new",)


def test_two_names_of_one_endpoint_rest_together() -> None:
    """What one of them learns, the other knows."""
    twice = {"a": resource({"d": standard("m")}), "b": resource({"d": standard("n")})}
    engine = Engine(frozen(twice))
    call = engine.open_call(Facts(Operation.CHAT, "m"), unit=0, deadline_s=0)
    call.next(0)
    call.record(Failure(FailureKind.QUOTA, "full", 429, wait_s=9), 0)
    assert [status.state for status in engine.status(0)] == ["cooling", "cooling"]


def test_req_2_8_no_name_leads_out_of_the_zone() -> None:
    """Not a deployment's own, nor a pattern, nor the default resource."""
    engine_settings = frozen(
        {"us": US, "eu": EU, "default": resource({"m-new": "m"})},
        residency=ZONES,
        models={"m": {"residency": "eu"}, "*": {"route": ["us/m-us", "eu/m-eu"]}},
    )
    assert set(engine_settings.upstreams) == {"eu/m-eu", "us/n-us"}
    assert engine_settings.default_resource is None
    engine = Engine(engine_settings)
    for name in ("m", "m-us", "m-eu", "m-new", "m-other"):
        assert asked(engine, name) == ("eu/m-eu",)
    assert asked(engine, "n") == ("us/n-us",)
    for name in ("azure/m-us", "azure/m-new", "azure/m-other"):
        with pytest.raises(ModelNotAvailableError):
            asked(engine, name)


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


def test_budgets_in_the_order_of_the_file() -> None:
    """Of all calls, of a tag, of an agent."""
    written = [{"tokens": "1M", "per": "day"}, {"tokens": 5, "tag": "search"}, {"tokens": 7, "agent": "a"}]
    (model,) = {deployment["model"] for deployment in EU["deployments"].values()}
    assert budgets(settings({"eu": EU}, budgets=written, agents={"a": {"model": model}})) == (
        BudgetSpec(1_000_000, "day"),
        BudgetSpec(5, "total", "search"),
        BudgetSpec(7, "total", agent="a"),
    )


FILE = """\
resources:
  east:
    endpoint: https://east.openai.azure.com
    region: eastus
    api_keys: [k]
    deployments:
      gpt-4o-ptu: {model: gpt-4o, sku: ProvisionedManaged, ptu: 50}
      gpt-4o: {model: gpt-4o, sku: Standard, quota_tpm: 120k, weight: 3}
  sweden:
    endpoint: https://sweden.openai.azure.com
    region: swedencentral
    api_keys: [k]
    deployments:
      gpt-4o: {model: gpt-4o, sku: Standard, quota_tpm: 120k}
      mini: {model: gpt-4o-mini}
models:
  gpt-4o:
    route: [east/gpt-4o-ptu, [east/gpt-4o, sweden/gpt-4o]]
    strategy: weighted
    fallbacks: [gpt-4o-mini]
  "gpt-*": {route: [east]}
breaker: {failures: 3}
"""


def test_req_2_15_settings_built_in_python_decide_as_the_file_does(tmp_path: Path) -> None:
    """Routes by name, upstreams with tiers and weights, a strategy: what the engine gets is equal."""
    built = Settings(
        resources={
            "east": Resource(
                endpoint="https://east.openai.azure.com",
                region="eastus",
                api_keys=(SecretStr("k"),),
                deployments={
                    "gpt-4o-ptu": Deployment(model="gpt-4o", sku="ProvisionedManaged", ptu=50),
                    "gpt-4o": Deployment(model="gpt-4o", sku="Standard", quota_tpm=120_000, weight=3),
                },
            ),
            "sweden": Resource(
                endpoint="https://sweden.openai.azure.com",
                region="swedencentral",
                api_keys=(SecretStr("k"),),
                deployments={
                    "gpt-4o": Deployment(model="gpt-4o", sku="Standard", quota_tpm=120_000),
                    "mini": Deployment(model="gpt-4o-mini"),
                },
            ),
        },
        models={
            "gpt-4o": ModelSettings(
                route=(("east/gpt-4o-ptu",), ("east/gpt-4o", "sweden/gpt-4o")),
                strategy="weighted",
                fallbacks=("gpt-4o-mini",),
            ),
            "gpt-*": ModelSettings(route=(("east",),)),
        },
        breaker=Breaker(failures=3),
    )
    (tmp_path / "smalt.yaml").write_text(FILE)
    loaded = load(env={}, cwd=tmp_path)
    assert freeze(built) == freeze(loaded)
    assert built == loaded
    assert Fleet(built).status() == Fleet(loaded).status()
