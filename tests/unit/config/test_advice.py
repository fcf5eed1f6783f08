"""What works but should be mended."""

from typing import Any

import pytest
from tests.unit.config.build import resource, settings, standard

from smalt.config.advice import warnings


def told(deployment: dict[str, Any]) -> tuple[str, ...]:
    return warnings(settings({"e": resource({"d": deployment})}))


@pytest.mark.parametrize(
    "deployment",
    [
        {"model": "gpt-4o"},
        standard("gpt-4o", quota_tpm=1_000),
        {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 50},
    ],
)
def test_good_settings_have_no_warnings(deployment: dict[str, Any]) -> None:
    """Nothing to mend."""
    assert told(deployment) == ()


def test_a_private_link_endpoint() -> None:
    """The certificate covers the public name only, and DNS leads that to the private address."""
    private = resource({"d": "m"}, endpoint="https://contoso.privatelink.openai.azure.com")
    assert warnings(settings({"e": private})) == (
        (
            "resources.e.endpoint: a privatelink host matches no TLS certificate; "
            "https://contoso.openai.azure.com is used, which DNS resolves to the private address"
        ),
    )


def test_a_token_beside_a_key() -> None:
    """The key is used."""
    both = resource({"d": "m"}, identity={"kind": "token", "token": "t"})
    assert warnings(settings({"e": both})) == (
        "resources.e.identity: api_keys are there, too, and are used; remove one of the two",
    )


def test_an_identity_may_read_the_keys() -> None:
    """In their vault; then it is not idle."""
    vault = "https://contoso.vault.azure.net/secrets/key"
    assert warnings(settings({"e": resource({"d": "m"}, identity="cli") | {"api_keys": [vault]}})) == ()


@pytest.mark.parametrize(
    ("deployment", "lacking"),
    [
        ({"model": "gpt-4o", "sku": "ProvisionedManaged"}, "ptu is not set"),
        ({"model": "m", "sku": "GlobalProvisionedManaged", "ptu": 5}, "the throughput of m is not known"),
    ],
)
def test_a_provisioned_deployment_that_cannot_be_followed(deployment: dict[str, Any], lacking: str) -> None:
    """It has no bucket here; Azure says when it is full."""
    assert told(deployment) == (
        (
            f"resources.e.deployments.d: its utilization cannot be followed, since {lacking}; "
            "calls spill over when Azure refuses them"
        ),
    )


def test_a_default_resource_beside_residency() -> None:
    """It no longer takes names that are not listed."""
    resources = {"default": resource({}), "e": resource({"d": standard("m")}, region="eastus")}
    checked = settings(resources, models={"m": {"residency": "us"}}, residency={"us": ["eastus"]})
    assert warnings(checked) == (
        "resources.default: only its listed deployments are served, because of the residency of a model",
    )


def test_a_default_that_its_own_model_refuses() -> None:
    """It would never be sent there; of an agent, too."""
    written = settings(
        {"e": resource({"d": "o3", "c": "gpt-4o"})},
        models={
            "o3": {"defaults": {"temperature": 0.2, "max_tokens": 800}},
            "gpt-4o": {"defaults": {"seed": 1}},
        },
        agents={"quick": {"model": "gpt-4o", "temperature": 0.9, "reasoning_effort": "low"}},
    )
    assert warnings(written) == (
        "models.o3.defaults.temperature: o3 does not take it; it is left out where that model answers",
        "agents.quick.reasoning_effort: gpt-4o does not take it; it is left out where that model answers",
    )
