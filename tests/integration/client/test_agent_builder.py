"""Agents that a program builds by itself: one model, its key or token, and tools."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.integration.client.scripted import KEY, Scripted, scripted
from tests.integration.client.test_requests import credentials
from tests.integration.client.test_tokens import entra, token

from smalt import Agent, AgentBuilder, ConfigurationError, InvalidDeployment, InvalidEndpoint, MissingAuth
from smalt.client.agent_builder import OPENAI
from smalt.emulator.testing import Handle

__all__ = ["entra", "token"]

pytestmark = pytest.mark.sdk

ENDPOINT = "https://contoso.openai.azure.com"


def look(place: str) -> str:
    """Say what can be seen at a place."""
    return f"two rats at {place}"


def by_key(azure: Handle) -> AgentBuilder:
    return AgentBuilder().with_azure_openai_llm(azure.url("east"), "gpt-4o-prod", azure.key("east"))


def answers_and_runs_a_tool(agent: Agent) -> None:
    """What every agent is built for."""
    answer = agent.run("Where am I?")
    assert answer.text
    looked = agent.run("Look around.", history=answer.messages, tools=[look])
    assert [message["role"] for message in looked.messages[2:]] == ["user", "assistant", "tool", "assistant"]
    assert looked.messages[4]["content"].startswith("two rats at ")


def test_req_1_10_an_agent_with_an_azure_key(azure: Handle) -> None:
    """It asks that deployment with that key, and what it cost is told by the deployment's name."""
    with by_key(azure).build() as agent:
        answers_and_runs_a_tool(agent)
        assert agent.run("Hello?").cost_usd
    assert {(entry["resource"], entry["deployment"]) for entry in azure.log()} == {("east", "gpt-4o-prod")}
    assert credentials(azure) == [{"api-key": azure.key("east")}] * 4


def test_req_1_10_an_agent_with_an_entra_token(entra: Handle, token: str) -> None:
    """And no key."""
    asked = len(entra.log())
    builder = AgentBuilder().with_azure_openai_entra_auth(entra.url("east"), "gpt-4o-prod", token)
    with builder.build() as agent:
        answers_and_runs_a_tool(agent)
    assert credentials(entra)[asked:] == [{"authorization": f"Bearer {token}"}] * 3


@pytest.fixture
def openai_itself() -> Iterator[Scripted]:
    """What speaks as OpenAI does."""
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"place":"home"}'}}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "In a cellar."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "content": "Two rats."},
    ]
    with scripted(messages) as server:
        yield server


def test_req_1_10_an_agent_with_an_openai_key(openai_itself: Scripted) -> None:
    """Direct OpenAI, where it is asked for by name; else nothing leads there."""
    builder = AgentBuilder().with_openai_llm(KEY, "gpt-4o", endpoint=openai_itself.url)
    with builder.build() as agent:
        answers_and_runs_a_tool(agent)
    assert [body["model"] for body in openai_itself.asked] == ["gpt-4o"] * 3
    assert openai_itself.keys == [f"Bearer {KEY}"] * 3
    built = AgentBuilder().with_openai_llm(KEY, "gpt-4o").build()
    assert built.fleet._settings.resources["default"].base_url == OPENAI == "https://api.openai.com/v1"


def test_req_1_10_the_migration_from_openai_to_azure(azure: Handle, openai_itself: Scripted) -> None:
    """One line of the program changes, the rest goes on."""

    def program(builder: AgentBuilder) -> str:
        with builder.with_tools(look).with_circuit_breakers().build() as agent:
            return agent.run("Look around.").text

    openai_itself.asked.append({})  # the first answer is for others
    assert program(AgentBuilder().with_openai_llm(KEY, "gpt-4o", endpoint=openai_itself.url)) == "Two rats."
    assert program(by_key(azure))
    before, after = openai_itself.asked[-1], azure.log()[-1]["body"]
    assert before["tools"] == after["tools"]
    assert [m["role"] for m in before["messages"]] == [m["role"] for m in after["messages"]]


def test_req_1_10_tools_are_given_to_the_builder(azure: Handle) -> None:
    """Once or more often; they are offered in every run."""

    def roll() -> int:
        """Roll a die."""
        return 4

    with by_key(azure).with_tools(look).with_tools(roll).build() as agent:
        agent.run("Go on.")
    offered = azure.log()[0]["body"]["tools"]
    assert [tool["function"]["name"] for tool in offered] == ["look", "roll"]


def test_req_1_10_circuit_breakers_stop_asking_what_is_broken(azure: Handle) -> None:
    """After so many failures in a row; the next run is refused at once, and nothing is sent."""
    azure.set("east", "error", error="server_error")
    with by_key(azure).with_circuit_breakers(failures=1, open_s=600).build() as agent:
        for _ in range(2):
            with pytest.raises(openai.APIStatusError):
                agent.run("Hello?")
        (status,) = agent.fleet.status()
    assert len(azure.log()) == 1
    assert (status.available, status.state) == (False, "open")


def test_a_price_that_is_not_known_is_not_guessed(azure: Handle) -> None:
    """The name of this deployment tells no model."""
    builder = AgentBuilder().with_azure_openai_llm(azure.url("sweden"), "moved", azure.key("sweden"))
    with builder.build() as agent:
        assert agent.run("Hello?").cost_usd is None


MISTAKES: dict[str, tuple[Callable[[AgentBuilder], Any], type[ConfigurationError], str]] = {
    "no model": (
        lambda b: b.build(),
        ConfigurationError,
        "^the agent has no model: call with_azure_openai_llm, with_azure_openai_entra_auth or with_",
    ),
    "two models": (
        lambda b: b.with_openai_llm("k", "gpt-4o").with_azure_openai_llm(ENDPOINT, "prod", "k"),
        ConfigurationError,
        "^the agent has a model already, 'gpt-4o'; an agent has one$",
    ),
    "no endpoint": (
        lambda b: b.with_azure_openai_llm("", "prod", "k").build(),
        InvalidEndpoint,
        "endpoint is required",
    ),
    "no deployment": (
        lambda b: b.with_azure_openai_llm(ENDPOINT, "", "k"),
        InvalidDeployment,
        "^deployment ID is required",
    ),
    "no key": (
        lambda b: b.with_azure_openai_llm(ENDPOINT, "prod", "").build(),
        MissingAuth,
        "either APIKey or EntraToken must be provided",
    ),
    "no token": (
        lambda b: b.with_azure_openai_entra_auth(ENDPOINT, "prod", "").build(),
        MissingAuth,
        "either APIKey or EntraToken must be provided",
    ),
    "no OpenAI key": (lambda b: b.with_openai_llm("", "gpt-4o").build(), MissingAuth, "a key is required"),
    "no failures": (
        lambda b: b.with_openai_llm("k", "gpt-4o").with_circuit_breakers(failures=0).build(),
        ConfigurationError,
        r"breaker\.failures: expected a whole number above 0, got 0",
    ),
    "no function": (
        lambda b: b.with_openai_llm("k", "gpt-4o").with_tools(json).build(),  # type: ignore[arg-type]
        ConfigurationError,
        "^a tool must be a function with a name",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_req_1_10_a_mistake_is_one_clear_line(mistake: str) -> None:
    """Of the kind that belongs to it, before any request."""
    make, kind, text = MISTAKES[mistake]
    with pytest.raises(kind, match=text):
        make(AgentBuilder())


def test_req_1_10_a_builder_that_failed_has_not_built() -> None:
    """It says again what is wrong."""
    builder = AgentBuilder().with_openai_llm("k", "gpt-4o").with_tools(max)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"^the tool 'max' cannot be described to a model: "):
            builder.build()


def test_req_1_10_a_builder_builds_once() -> None:
    """Two agents would share what nobody sees; after a mistake it may be mended."""
    builder = AgentBuilder().with_openai_llm("k", "gpt-4o").with_circuit_breakers(failures=0)
    with pytest.raises(ConfigurationError):
        builder.build()
    builder.with_circuit_breakers().build()
    with pytest.raises(ConfigurationError, match=r"^this builder has built its agent: begin another"):
        builder.build()
