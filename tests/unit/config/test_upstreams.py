"""What is written about a deployment and what is known of its model, put together."""

from typing import Any

import pytest
from tests.unit.config.build import resource, settings

from smalt.config.upstreams import is_provisioned, upstreams
from smalt.core.settings import QuotaGroup, Throughput, UpstreamSpec
from smalt.wire.models import model_data


def upstream(deployment: dict[str, Any], *, kind: str = "azure", **sections: Any) -> UpstreamSpec:
    """The one of a single deployment; written as it comes from a file."""
    resources = {"e": resource({"d": deployment}, kind=kind)}
    if kind == "openai":
        sections["models"] = {deployment["model"]: {"route": ["e/d"]}}
    return upstreams(settings(resources, **sections))["e/d"]


def test_an_upstream_carries_what_decisions_need() -> None:
    """Of a model that nobody knows: only what is written."""
    east = resource({"d": {"model": "m", "sku": "Standard", "quota_tpm": 10, "weight": 3}}, region="eastus")
    assert upstreams(settings({"east": east})) == {
        "east/d": UpstreamSpec(
            "east/d",
            "m",
            "eastus",
            "Standard",
            limit_tpm=10,
            weight=3,
            address="https://eastus.openai.azure.com/d",
        )
    }


def test_what_is_known_of_a_model_completes_it() -> None:
    """The longest prompt, and what it can do."""
    known = model_data("gpt-4o")
    assert known is not None
    spec = upstream({"model": "gpt-4o"})
    assert spec.context_tokens == known.context_tokens == 128_000
    assert spec.abilities == known.abilities
    assert "vision" in (spec.abilities or ())
    assert "vision" not in (upstream({"model": "gpt-35-turbo"}).abilities or ())


@pytest.mark.parametrize(
    ("written", "limit"),
    [({}, None), ({"quota_tpm": 10}, 10), ({"limit_tpm": 5}, 5), ({"quota_tpm": 10, "limit_tpm": 5}, 5)],
)
def test_our_own_limit_wins_over_the_quota(written: dict[str, int], limit: int | None) -> None:
    """Without either there is no limit of ours."""
    assert upstream({"model": "m", **written}).limit_tpm == limit


@pytest.mark.parametrize(
    ("written", "limit_rpm"),
    [
        ({"model": "gpt-4o", "sku": "Standard", "quota_tpm": "120k"}, 720),
        ({"model": "gpt-4o", "sku": "GlobalStandard", "quota_tpm": "120k"}, 720),
        ({"model": "gpt-4o", "sku": "DataZoneStandard", "quota_tpm": "120k"}, 720),
        ({"model": "gpt-4o", "sku": "standard", "quota_tpm": "1500"}, 9),
        ({"model": "gpt-4.1", "sku": "Standard", "quota_tpm": "120k"}, 120),
        ({"model": "o1", "sku": "Standard", "quota_tpm": "1k"}, 1 / 6),
        ({"model": "gpt-4o", "sku": "Standard", "quota_tpm": "120k", "quota_rpm": 60}, 60),
        ({"model": "m", "quota_rpm": 60}, 60),
        ({"model": "m", "sku": "Standard", "quota_tpm": "120k"}, None),
        ({"model": "gpt-4o", "quota_tpm": "120k"}, None),
        ({"model": "gpt-4o", "sku": "ProvisionedManaged", "quota_tpm": "120k"}, None),
        ({"model": "gpt-4o", "sku": "Standard"}, None),
        ({"model": "gpt-4o", "sku": "Standard", "limit_tpm": "120k"}, None),
    ],
)
def test_requests_come_with_the_tokens(written: dict[str, Any], limit_rpm: float | None) -> None:
    """As Azure grants them to deployments that are paid by token; nothing is guessed."""
    assert upstream(written).limit_rpm == limit_rpm


def test_other_servers_grant_no_requests_with_their_tokens() -> None:
    """The rule is Azure's."""
    proxied = {"model": "gpt-4o", "sku": "Standard", "quota_tpm": "120k"}
    assert upstream(proxied, kind="openai").limit_rpm is None


def test_our_own_limit_lowers_the_tokens_only() -> None:
    """Azure still takes the requests that come with the whole quota."""
    spec = upstream({"model": "gpt-4o", "sku": "Standard", "quota_tpm": "120k", "limit_tpm": "10k"})
    assert (spec.limit_tpm, spec.limit_rpm) == (10_000, 720)


def test_a_provisioned_deployment_has_a_throughput() -> None:
    """That of all its PTUs; weights as known of the model."""
    spec = upstream({"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": "50"})
    assert spec.throughput == Throughput(input_tpm=125_000, output_weight=4, cached_weight=0)
    assert (spec.limit_tpm, spec.limit_rpm) == (None, None)


@pytest.mark.parametrize(
    "written", [{"model": "gpt-4o"}, {"model": "m", "ptu": 50}, {"model": "gpt-4", "ptu": 50}]
)
def test_an_unknown_throughput_is_not_guessed(written: dict[str, Any]) -> None:
    """Without PTUs, for unknown models, and for models of which it is not published."""
    assert upstream({"sku": "ProvisionedManaged", **written}).throughput is None


def test_deployments_share_a_quota_by_its_name() -> None:
    """Each may have one of its own, too."""
    east = resource({"a": {"model": "m", "quota": "q"}, "b": {"model": "m", "quota": "q", "quota_tpm": "1k"}})
    specs = upstreams(settings({"east": east}, quotas={"q": "240k"}))
    assert specs["east/a"].group == specs["east/b"].group == QuotaGroup("q", 240_000)
    assert (specs["east/a"].limit_tpm, specs["east/b"].limit_tpm) == (None, 1_000)


def test_two_names_of_one_endpoint_have_one_address() -> None:
    """However the endpoint was pasted."""
    pasted = "https://Contoso.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"
    plain = resource({"d": "m", "e": "m"}, endpoint="https://contoso.openai.azure.com/")
    specs = upstreams(settings({"a": plain, "b": resource({"d": "m"}, endpoint=pasted)}))
    assert specs["a/d"].address == specs["b/d"].address == "https://contoso.openai.azure.com/d"
    assert specs["a/e"].address == "https://contoso.openai.azure.com/e"


@pytest.mark.parametrize(
    ("sku", "provisioned"),
    [("ProvisionedManaged", True), ("globalprovisionedmanaged", True), ("Standard", False), (None, False)],
)
def test_who_is_paid_by_the_hour(sku: str | None, provisioned: bool) -> None:
    """By the name of the deployment type."""
    assert is_provisioned(sku) is provisioned
