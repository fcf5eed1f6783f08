"""Deployments of one resource, without sockets."""

from dataclasses import replace
from typing import Any

import pytest

from smalt.emulator import chat
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet, default_fleet
from smalt.emulator.quota import Load, ProvisionedQuota
from smalt.emulator.refusals import Refusal, catalogue
from smalt.emulator.serving import Served, Serving, spills
from smalt.emulator.world import World

DEPLOYMENTS = (
    Deployment("ptu", "gpt-4.1", "ProvisionedManaged", 1, "standard"),
    Deployment("alone", "gpt-4.1", "ProvisionedManaged", 1),
    Deployment("standard", "gpt-4.1", "Standard", 1_000),
    Deployment("flexible", "gpt-5.6-sol", "GlobalStandard", 10_000),
    Deployment("regional", "gpt-5.6-sol", "Standard", 1_000),
)
FULL: dict[str, Any] = {"max_tokens": 1_000}  # weighs 4,000; one PTU of gpt-4.1 takes 3,000 in a minute


@pytest.fixture
def world() -> World:
    fleet: Fleet = default_fleet(0)
    east = replace(fleet.resources["east"], deployments={d.name: d for d in DEPLOYMENTS})
    return World(replace(fleet, resources={"east": east}), seed=0)


def serving(world: World, **body: Any) -> Serving:
    body.setdefault("messages", [{"role": "user", "content": "hello"}])
    return Serving(world, world.resources["east"], chat.OPERATION, "2024-10-21", body)


def serve(
    world: World, name: str, *, fault: str | None = None, spillover: str | None = None, **body: Any
) -> Served:
    deployment = world.resources["east"].spec.deployments[name]
    return serving(world, **body).serve(deployment, catalogue()[fault] if fault else None, spillover)


def refused(world: World, name: str, **asked: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        serve(world, name, **asked)
    return caught.value


def outcome(world: World, name: str) -> Refusal | None:
    try:
        serve(world, name)
    except Refusal as refusal:
        return refusal
    return None


def test_spillover_is_for_what_another_deployment_might_do() -> None:
    """429, 500, 503 and a prompt that is too long; neither timeouts nor what the caller did."""
    spilled = {name for name, canned in catalogue().items() if spills(canned)}
    assert spilled >= {"ptu_full", "server_error", "service_unavailable", "context_length_exceeded"}
    assert not spilled & {"gateway_timeout", "invalid_api_key", "content_filter_prompt", "stream_cut"}


def test_the_standard_deployment_answers_in_its_own_name(world: World) -> None:
    """Headers tell both names, and limits of the one that served."""
    assert serve(world, "ptu", **FULL).spilled_from is None
    served = serve(world, "ptu", **FULL)
    assert (served.deployment.name, served.spilled_from) == ("standard", "ptu")
    assert served.headers["x-ms-spillover-from-deployment"] == "ptu"
    assert served.headers["x-ms-deployment-name"] == "standard"
    assert served.headers["x-ratelimit-limit-tokens"] == "1000000"
    assert "azure-openai-deployment-utilization" not in served.headers


@pytest.mark.parametrize("fault", ["server_error", "service_unavailable", "rate_limit_short_text"])
def test_failures_of_the_provisioned_side_spill_over(world: World, fault: str) -> None:
    """The fault befalls the first deployment; the second serves."""
    assert serve(world, "ptu", fault=fault).spilled_from == "ptu"
    assert refused(world, "alone", fault=fault).canned is catalogue()[fault]
    assert refused(world, "standard", fault=fault).canned is catalogue()[fault]


def test_a_long_prompt_fits_the_standard_deployment(world: World) -> None:
    """Provisioned gpt-4.1 takes 128,000 tokens, standard gpt-4.1 takes more."""
    messages = [{"role": "user", "content": "word " * 130_000}]
    assert serve(world, "ptu", messages=messages).spilled_from == "ptu"
    assert (
        refused(world, "alone", messages=messages).canned.body["error"]["code"] == "context_length_exceeded"
    )


def test_what_the_caller_did_wrong_does_not_spill_over(world: World) -> None:
    """It would be as wrong elsewhere."""
    assert refused(world, "ptu", temperature=9).canned.status == 400


def test_a_caller_can_name_the_spillover(world: World) -> None:
    """Where one is set up, that one wins."""
    for _ in range(2):
        serve(world, "alone", **FULL, spillover="standard")
    assert serve(world, "alone", **FULL, spillover="standard").spilled_from == "alone"
    serve(world, "ptu", **FULL)
    assert serve(world, "ptu", **FULL, spillover="nowhere").deployment.name == "standard"


@pytest.mark.parametrize(("target", "status"), [("nowhere", "404"), ("ptu", "400"), ("standard", "429")])
def test_a_failed_spillover_leaves_the_first_error(world: World, target: str, status: str) -> None:
    """The provisioned deployment's own refusal comes back, with the status of the second attempt."""
    world.resources["east"].switches.pressure = 1.0
    serve(world, "alone", **FULL)
    canned = refused(world, "alone", **FULL, spillover=target).canned
    assert "at capacity" in canned.body["error"]["message"]
    assert canned.headers["x-ms-spillover-error"] == status
    assert int(canned.headers["retry-after-ms"]) > 0


def test_a_standard_deployment_never_spills_over(world: World) -> None:
    """Whatever the caller writes."""
    world.resources["east"].switches.pressure = 1.0
    headers = refused(world, "standard", spillover="regional").canned.headers
    assert "x-ms-spillover-error" not in headers


def test_pressure_refuses_its_share_the_same_way_each_time(world: World) -> None:
    """The dice follow from the seed; provisioned deployments are spared; quota is told and has room."""
    world.resources["east"].switches.pressure = 0.3

    def outcomes() -> list[Refusal | None]:
        return [outcome(world, "flexible") for _ in range(40)]

    first = outcomes()
    refusals = [refusal.canned for refusal in first if refusal]
    assert 4 < len(refusals) < 20
    for canned in refusals:
        assert "high demand" in canned.body["error"]["message"]
        assert int(canned.headers["x-ratelimit-remaining-tokens"]) > 0
    world.reset()
    world.resources["east"].switches.pressure = 0.3
    assert [bool(refusal) for refusal in outcomes()] == [bool(refusal) for refusal in first]
    world.resources["east"].switches.pressure = 1.0
    assert serve(world, "alone").deployment.name == "alone"


def test_flex_needs_its_model_its_sku_and_capacity(world: World) -> None:
    """Where it cannot be it is an invalid request, where it is short a 429 of its own kind."""
    answer = serve(world, "flexible", service_tier="flex").answer
    assert answer.body
    assert answer.body["service_tier"] == "flex"
    for name in ("standard", "regional", "alone"):
        assert "flex" in refused(world, name, service_tier="flex").canned.body["error"]["message"]
    world.resources["east"].switches.flex_full = True
    canned = refused(world, "flexible", service_tier="flex").canned
    assert (canned.status, canned.body["error"]["code"]) == (429, "resource_unavailable")
    assert serve(world, "flexible", service_tier="default").answer.body


def test_a_failed_request_gives_back_what_it_reserved(world: World) -> None:
    """Provisioned units are charged for what was computed, and once."""
    quota = world.resources["east"].quotas["alone"]
    assert isinstance(quota, ProvisionedQuota)
    refused(world, "alone", temperature=9, **FULL)
    refused(world, "alone", fault="server_error", **FULL)
    assert quota.utilization_percent(world.clock.now()) == 0.0
    exchange = serving(world, **FULL)
    exchange.serve(world.resources["east"].spec.deployments["alone"], None, None)
    for _ in range(2):
        exchange.settle(Load(1_500))
    assert quota.utilization_percent(world.clock.now()) == pytest.approx(50.0, abs=1.0)


def test_a_filtered_prompt_is_charged_alone(world: World) -> None:
    """The refusal knows how many tokens to bill."""
    quota = world.resources["east"].quotas["alone"]
    assert isinstance(quota, ProvisionedQuota)
    billed = refused(world, "alone", fault="content_filter_prompt", **FULL).input_tokens
    assert billed == 8
    percent = quota.utilization_percent(world.clock.now())
    assert percent == pytest.approx(100 * billed / 3_000, abs=0.1)
