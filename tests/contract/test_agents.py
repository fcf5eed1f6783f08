"""Agents, asked for by name through every door: deployment, parameters, instructions, fallbacks, budget."""

from collections.abc import Mapping
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import NAMES, AnyDoor, Ask, Kind, Result
from tests.contract.scenarios import HELLO

from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

AGENTS = {
    "narrator": {"model": "gpt-4o", "temperature": 0.9, "instructions": "You narrate a dungeon."},
    "rules": {"model": "gpt-4o-mini", "temperature": 0, "instructions": "You know the rules."},
    "guide": {"model": "gpt-4o", "instructions": "You guide {{ hero }} through {{ place }}."},
    "painter": {"model": "gpt-35-turbo", "needs": ["vision"], "fallbacks": ["gpt-4o"]},
    "lost": {"model": "gone", "fallbacks": ["gpt-4o-mini"], "instructions": "You are lost."},
}
OWN = {"role": "system", "content": "Answer in rhyme."}
USER = HELLO["messages"][0]


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest, doors: dict[str, AnyDoor]) -> AnyDoor:
    return doors[request.param]


def with_agents(azure: Handle, **sections: Any) -> Settings:
    """`gone` is configured, but deployed nowhere."""
    told = {**world.written(azure, agents=AGENTS), **sections}
    for resource in told["resources"].values():
        resource["deployments"] = {**resource["deployments"], "gone": {"model": "gone", "sku": "Standard"}}
    return Settings.model_validate(told)


def asked(
    door: AnyDoor, azure: Handle, agent: str, kind: Kind = "chat", body: Mapping[str, Any] = HELLO
) -> tuple[Result, list[dict[str, Any]]]:
    """The answer, and what the emulator saw."""
    with door.open(with_agents(azure)) as opened:
        result = opened(Ask(kind, body, f"agent/{agent}"))
    return result, azure.log()


@pytest.mark.parametrize("kind", ["chat", "stream"])
def test_req_3_10_each_agent_has_deployment_parameters_and_prompt_of_its_own(
    door: AnyDoor, azure: Handle, kind: Kind
) -> None:
    """As Azure sees it, and declared in the answer."""
    with door.open(with_agents(azure)) as opened:
        answers = [opened(Ask(kind, HELLO, f"agent/{name}")) for name in ("narrator", "rules")]
    assert [
        (entry["deployment"], entry["body"]["temperature"], entry["body"]["messages"])
        for entry in azure.log()
    ] == [
        ("gpt-4o-prod", 0.9, [{"role": "system", "content": "You narrate a dungeon."}, USER]),
        ("gpt-4o-mini-prod", 0, [{"role": "system", "content": "You know the rules."}, USER]),
    ]
    for answer in answers:
        assert {"instructions", "defaults.temperature"} <= {*answer.headers["x-smalt-rewrites"].split(",")}


def test_req_3_10_an_agent_is_routed_by_its_needs(door: AnyDoor, azure: Handle) -> None:
    """Its own model cannot see pictures; the fallback that can is asked at once."""
    result, (entry,) = asked(door, azure, "painter")
    assert result.error is None
    assert entry["deployment"] == "gpt-4o-prod"


def test_an_agent_has_fallbacks_of_its_own(door: AnyDoor, azure: Handle) -> None:
    """What answers in the place of its model gets its instructions, too."""
    result, entries = asked(door, azure, "lost")
    assert result.error is None
    assert [entry["deployment"] for entry in entries] == ["gone", "gone", "gpt-4o-mini-prod"]
    assert {entry["body"]["messages"][0]["content"] for entry in entries} == {"You are lost."}


def test_the_callers_own_system_message_comes_after_the_agents(door: AnyDoor, azure: Handle) -> None:
    """Both are told."""
    _, (entry,) = asked(door, azure, "rules", body={**HELLO, "messages": [OWN, USER]})
    assert [message["content"] for message in entry["body"]["messages"]] == [
        "You know the rules.",
        "Answer in rhyme.",
        USER["content"],
    ]


@pytest.mark.parametrize(
    ("own", "told"),
    [({}, "You know the rules."), ({"instructions": "Rhyme."}, "You know the rules.\n\nRhyme.")],
)
def test_responses_are_told_in_their_own_way(
    door: AnyDoor, azure: Handle, own: dict[str, str], told: str
) -> None:
    """As `instructions`, before those of the caller."""
    result, (entry,) = asked(door, azure, "rules", "responses", {"input": "hello", **own})
    assert result.error is None
    assert entry["body"]["instructions"] == told
    assert "instructions" in result.headers["x-smalt-rewrites"].split(",")


@pytest.mark.parametrize("kind", ["chat", "stream"])
def test_a_template_that_lacks_its_variables_is_refused(door: AnyDoor, azure: Handle, kind: Kind) -> None:
    """In one line that names them, and nothing is sent."""
    result, entries = asked(door, azure, "guide", kind)
    assert isinstance(result.error, openai.BadRequestError)
    assert isinstance(result.error.body, dict)
    assert result.error.body["message"] == (
        "the instructions of the agent 'guide' need variables that the request does not give: hero, place"
    )
    assert result.error.code == "invalid_request_error"
    assert entries == []


def test_an_agent_has_a_budget_of_its_own(door: AnyDoor, azure: Handle) -> None:
    """Others go on, even by the same model."""
    settings = with_agents(azure, budgets=[{"agent": "narrator", "tokens": 120, "per": "day"}])
    body = {**HELLO, "max_tokens": 40}
    with door.open(settings) as opened:
        first, second, *others = [
            opened(Ask("chat", body, model))
            for model in ("agent/narrator", "agent/narrator", "agent/rules", "gpt-4o")
        ]
    assert isinstance(second.error, openai.RateLimitError)
    assert second.error.code == "budget_exceeded"
    assert "of 120 tokens per day for the agent 'narrator'" in second.error.message
    assert [one.error for one in (first, *others)] == [None, None, None]
