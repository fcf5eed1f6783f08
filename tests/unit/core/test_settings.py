import pytest

from smalt.core.settings import (
    BreakerSpec,
    EngineSettings,
    PoolSpec,
    RetrySpec,
    RouteSpec,
    Throughput,
    UpstreamSpec,
)


@pytest.mark.parametrize(
    ("name", "resource", "deployment"),
    [("east/gpt-4o", "east", "gpt-4o"), ("east/a/b", "east", "a/b"), ("east/a b/ü", "east", "a b/ü")],
)
def test_a_name_is_resource_and_deployment(name: str, resource: str, deployment: str) -> None:
    """Everything behind the first slash is the deployment's name."""
    spec = UpstreamSpec(name, "gpt-4o")
    assert (spec.resource, spec.deployment) == (resource, deployment)


def test_the_tiers_of_a_route_are_those_of_its_pools() -> None:
    """One after the other: those of the model, then those of its fallbacks."""
    own, fallback = PoolSpec((("east/a", "west/a"), ("north/a",))), PoolSpec((("east/b",),))
    tiers = RouteSpec("gpt-4o", (own, fallback)).tiers
    assert tiers == (("east/a", "west/a"), ("north/a",), ("east/b",))


def test_what_holds_without_a_word_in_the_configuration() -> None:
    """5 attempts, 1 s doubling to 32 s and up to 1 s of jitter, none after a timeout; 5 failures open the
    breaker for 30 s; 1,000 calls may wait; cached tokens of provisioned deployments are free."""
    settings = EngineSettings({}, {})
    assert settings.retry == RetrySpec(5, 1.0, 32.0, 1.0, after_timeout=False)
    assert settings.breaker == BreakerSpec(failures=5, open_s=30.0)
    assert settings.max_waiting == 1_000
    assert Throughput(1_000, 4.0).cached_weight == 0.0
