"""Requests that Azure would refuse as they are: through every door they are put right, and that is told."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import NAMES, AnyDoor, Ask, Result, sdk_client
from tests.contract.gateways import Adapter, Stage

from smalt import AsyncOpenAI, Fleet
from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

NAME = "weather.get/current"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 1}},
    "required": ["city"],
    "additionalProperties": False,
}
HELLO = {"messages": [{"role": "user", "content": "How is the weather in a lost region?"}]}
CAPPED = {**HELLO, "max_tokens": 2_000}
TOOLS = {"tools": [{"type": "function", "function": {"name": NAME, "parameters": SCHEMA}}]}
CHOSEN = {"tool_choice": {"type": "function", "function": {"name": NAME}}}

Play = Callable[..., Result]


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest, doors: dict[str, AnyDoor]) -> AnyDoor:
    return doors[request.param]


@pytest.fixture
def play(azure: Handle, door: AnyDoor) -> Play:
    """Ask through the door."""

    def run(ask: Ask, *, adapt: bool = True) -> Result:
        with door.open(Settings.model_validate({**world.written(azure), "adapt": adapt})) as opened:
            return opened(ask)

    return run


def rewrites(result: Result) -> set[str]:
    assert result.error is None
    return set(result.headers.get("x-smalt-rewrites", "").split(","))


@pytest.mark.parametrize("kind", ["chat", "stream"])
def test_an_old_cap_for_a_model_that_refuses_it(play: Play, azure: Handle, kind: Any) -> None:
    """The o-series answers although it is asked with max_tokens."""
    result = play(Ask(kind, CAPPED, "o3-mini"))
    assert "max_completion_tokens" in rewrites(result)
    assert result.text if kind == "stream" else result.answer
    assert azure.bill()["totals"]["requests"] == 1


def test_an_old_cap_for_others(play: Play) -> None:
    """Models that take max_tokens get it."""
    assert "max_completion_tokens" not in rewrites(play(Ask("chat", CAPPED)))


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (Ask("chat", CAPPED, "o3-mini"), "max_completion_tokens"),
        (Ask("chat", {**HELLO, **TOOLS}), "does not match pattern"),
    ],
)
def test_adaptation_switched_off(play: Play, ask: Ask, says: str) -> None:
    """Azure's own refusal comes back."""
    result = play(ask, adapt=False)
    assert isinstance(result.error, openai.BadRequestError)
    assert says in result.error.message
    assert "x-smalt-rewrites" not in result.error.response.headers


def test_a_tool_by_any_name(play: Play, azure: Handle) -> None:
    """It is called by the caller's name, and its answer finds it again."""
    result = play(Ask("chat", {**HELLO, **TOOLS, **CHOSEN}))
    assert rewrites(result) == {"tool_names"}
    assert result.answer
    message = result.answer["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert call["function"]["name"] == NAME
    told = {"role": "tool", "tool_call_id": call["id"], "name": NAME, "content": "Rain."}
    conversation = [*HELLO["messages"], {"role": "assistant", "tool_calls": [call]}, told]
    for offered in (TOOLS, {}):  # the last word is often asked for without tools
        result = play(Ask("chat", {"messages": conversation, **offered}))
        assert rewrites(result) == {"tool_names"}
        assert result.answer
        assert result.answer["choices"][0]["message"]["content"]
    assert NAME not in str(azure.log())


def test_a_tool_by_any_name_in_a_stream(play: Play) -> None:
    """The same, piece by piece."""
    result = play(Ask("stream", {**HELLO, **TOOLS, **CHOSEN}))
    assert rewrites(result) == {"stream_options", "tool_names"}
    deltas = [choice["delta"] for chunk in result.chunks for choice in chunk["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    assert [call["function"]["name"] for call in calls if call["function"]["name"]] == [NAME]


def test_a_strict_schema_with_limits(play: Play) -> None:
    """Azure's strict mode takes no minLength; the tool is called all the same."""
    strict = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": SCHEMA}}
    ask = Ask("chat", {**HELLO, "tools": [strict], "tool_choice": "required"})
    assert rewrites(play(ask)) == {"tool_schemas"}
    refused = play(ask, adapt=False)
    assert isinstance(refused.error, openai.BadRequestError)
    assert "'minLength' is not permitted" in refused.error.message


RESPONSE: dict[str, Any] = {
    "model": "gpt-4o",
    "input": "How is the weather?",
    "tools": [{"type": "function", "name": NAME, "parameters": SCHEMA, "strict": False}],
    "tool_choice": "required",
}


@pytest.mark.parametrize("adapter", ["hot", "asgi"])
def test_responses_through_the_gateway(azure: Handle, stages: dict[Adapter, Stage], adapter: Adapter) -> None:
    """Their tools are told flat, and the answer repeats them."""
    stages[adapter].play(world.settings(azure))
    with sdk_client(stages[adapter].url, "openai") as client:
        answer = client.responses.create(**RESPONSE)
        assert _names([item.model_dump() for item in (*answer.output, *answer.tools)]) == [NAME, NAME]
        with client.responses.create(**RESPONSE, stream=True) as stream:
            events = [event.model_dump() for event in stream]
    _check_events(events)


async def test_responses_through_the_library(azure: Handle) -> None:
    """The same without a gateway, and with the answer of the tool."""
    async with AsyncOpenAI(fleet=Fleet(world.settings(azure))) as client:
        answer = await client.responses.create(**RESPONSE)
        (call,) = answer.output
        assert _names([call.model_dump()]) == [NAME]
        told = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
        conversation = [{"role": "user", "content": "Hi."}, call.model_dump(exclude_none=True), told]
        last = await client.responses.create(model="gpt-4o", input=conversation)
        assert last.output_text
        async with await client.responses.create(**RESPONSE, stream=True) as stream:
            events = [event.model_dump() async for event in stream]
    _check_events(events)


def _check_events(events: list[dict[str, Any]]) -> None:
    """Item by item, and in the response that is repeated at the beginning and at the end."""
    assert _names([event["item"] for event in events if "item" in event]) == [NAME, NAME]
    responses = [event["response"] for event in events if "response" in event]
    assert len(responses) > 1
    assert all(_names(response["tools"]) == [NAME] for response in responses)
    assert _names(responses[-1]["output"]) == [NAME]


def _names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]
