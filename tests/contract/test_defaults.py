"""Profiles of models and agents: what a request leaves out is filled in, through every door."""

from typing import Any

import pytest
from tests.contract import world
from tests.contract.doors import NAMES, AnyDoor, Ask, Result
from tests.contract.scenarios import HELLO

from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

PROFILE = {"temperature": 0.2, "max_tokens": 800, "seed": 7}
AGENT = {"model": "gpt-4o", "temperature": 0.9, "needs": ["tools"]}


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest, doors: dict[str, AnyDoor]) -> AnyDoor:
    return doors[request.param]


def profiled(azure: Handle) -> Settings:
    """Models and an agent with parameters; one deployment is asked by another version of the API."""
    models = {name: {"defaults": PROFILE} for name in ("gpt-4o", "o3-mini")}
    told = world.written(azure, models=models, agents={"narrator": AGENT})
    for resource in told["resources"].values():
        versioned = {
            "o3-mini-prod": {"model": "o3-mini", "sku": "Standard", "api_version": "2025-04-01-preview"}
        }
        resource["deployments"] = {**resource["deployments"], **versioned}
    return Settings.model_validate(told)


def asked(door: AnyDoor, azure: Handle, ask: Ask) -> tuple[Result, dict[str, Any], str]:
    """The answer, and the body and the query that the emulator saw."""
    with door.open(profiled(azure)) as opened:
        result = opened(ask)
    assert result.error is None
    (entry,) = azure.log()
    return result, entry["body"], entry["query"]


def rewrites(result: Result) -> list[str]:
    told = result.headers.get("x-smalt-rewrites", "").split(",")
    return [name for name in told if name not in {"", "model", "stream_options"}]


@pytest.mark.parametrize("kind", ["chat", "stream"])
def test_req_0_19_the_profile_of_a_model(door: AnyDoor, azure: Handle, kind: Any) -> None:
    """Temperature and limit stand in the body that Azure gets, and the answer says who put them there."""
    result, body, query = asked(door, azure, Ask(kind, {**HELLO, "seed": 5}))
    assert {name: body[name] for name in PROFILE} == {**PROFILE, "seed": 5}
    assert rewrites(result) == ["defaults.temperature", "defaults.max_tokens"]
    assert "api-version=2024-10-21" in query


def test_req_0_19_a_profile_leaves_out_what_its_model_refuses(door: AnyDoor, azure: Handle) -> None:
    """A reasoning model gets its limit by the name it takes, no temperature, and its own API version."""
    result, body, query = asked(door, azure, Ask("chat", HELLO, "o3-mini"))
    assert (body["max_completion_tokens"], body["seed"]) == (800, 7)
    assert body.keys().isdisjoint({"temperature", "max_tokens"})
    assert rewrites(result) == ["defaults.max_tokens", "defaults.seed"]
    assert "api-version=2025-04-01-preview" in query


def test_an_agent_has_parameters_of_its_own(door: AnyDoor, azure: Handle) -> None:
    """Before those of its model, which fill in the rest."""
    result, body, _ = asked(door, azure, Ask("chat", HELLO, "agent/narrator"))
    assert {name: body[name] for name in PROFILE} == {**PROFILE, "temperature": 0.9}
    assert len(rewrites(result)) == 3


def test_the_name_of_a_deployment_has_the_profile_of_its_model(door: AnyDoor, azure: Handle) -> None:
    """Programs that were written for Azure ask for deployments."""
    _, body, _ = asked(door, azure, Ask("chat", HELLO, "gpt-4o-prod"))
    assert {name: body[name] for name in PROFILE} == PROFILE
