"""What reaches Azure of a request, and what comes back: rows of the requirements about a single call."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import SURFACES, Surface, sdk_client
from tests.contract.gateways import ADAPTERS, Adapter, Stage, running_gateway

import smalt
from smalt import AzureOpenAI, Fleet
from smalt.emulator.canned import Rule
from smalt.emulator.testing import Handle, running
from smalt.wire.models import model_data

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
IN_LISBON = {"city": "Lisbon", "days": 2}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def tool(name: str, **properties: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": [*properties],
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS: Any = [tool("forecast", city="string", days="integer"), tool("book", city="string")]


def credentials(azure: Handle) -> list[dict[str, str]]:
    """The headers of every request that Azure got which could carry a credential."""
    known = ("authorization", "api-key", "x-api-key", "ocp-apim-subscription-key")
    return [
        {name: value for name, value in entry["headers"] if name.lower() in known} for entry in azure.log()
    ]


@pytest.mark.parametrize("make", ["openai", "azure_openai"])
def test_req_1_9_a_key_is_the_only_credential(azure: Handle, fleet: Fleet, make: str) -> None:
    """In the header `api-key`, whatever the SDK itself would send."""
    with getattr(fleet, make)(default_headers={"Authorization": "Bearer mine"}) as client:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert credentials(azure) == [{"api-key": azure.key("east")}]


@pytest.fixture(scope="module", params=ADAPTERS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    adapter: Adapter = request.param
    with running_gateway(adapter) as stage:
        yield stage


@pytest.mark.parametrize("surface", SURFACES)
def test_req_1_9_the_gateways_key_goes_no_further(azure: Handle, stage: Stage, surface: Surface) -> None:
    """The resource is shown its own key and nothing of the caller's."""
    stage.play(world.settings(azure))
    with sdk_client(stage.url, surface) as client:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert credentials(azure) == [{"api-key": azure.key("east")}]


def proxy(azure: Handle, key: str) -> Fleet:
    """Over a server that is spoken to as OpenAI's."""
    server = {
        "kind": "openai",
        "endpoint": f"{azure.url('east')}/openai/v1",
        "api_keys": [key],
        "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
    }
    routes = {"gpt-4o": {"route": ["proxy/gpt-4o-prod"]}}
    return Fleet(smalt.Settings.model_validate({"resources": {"proxy": server}, "models": routes}))


def test_req_1_9_a_bearer_is_the_only_credential(azure: Handle) -> None:
    """For servers that want the key so; there is no `api-key` beside it."""
    with proxy(azure, azure.key("east")) as fleet, fleet.openai() as client:
        assert client.chat.completions.create(model="gpt-4o", messages=HELLO).id
    assert credentials(azure) == [{"authorization": f"Bearer {azure.key('east')}"}]


def test_req_1_9_a_bearer_is_not_doubled(azure: Handle) -> None:
    """A key that brings the word along is refused before any call, and not shown."""
    with pytest.raises(smalt.ConfigurationError, match="a secret must not hold spaces") as caught:
        proxy(azure, f"Bearer {azure.key('east')}")
    assert azure.key("east") not in str(caught.value)
    assert azure.log() == []


def test_req_1_13_the_body_is_the_official_sdks(azure: Handle) -> None:
    """Every role, tools, a picture's address and odd letters: what Azure gets is the same to the byte."""
    call = {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"city":"Évora"}'}}
    asked: dict[str, Any] = {
        "model": "gpt-4o-prod",
        "messages": [
            {"role": "system", "content": "You plan journeys, in json."},
            {"role": "user", "content": [{"type": "text", "text": "Évora, “now” 🚆"}, _picture()]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "booked"},
            {"role": "user", "content": "Thanks."},
        ],
        "tools": TOOLS,
        "temperature": 0,
        "max_tokens": 50,
        "response_format": {"type": "json_object"},
        "seed": 7,
        "user": "u-1",
    }
    where: dict[str, Any] = {
        "azure_endpoint": azure.url("east"),
        "api_key": azure.key("east"),
        "api_version": "2024-10-21",
    }
    with AzureOpenAI(**where) as ours, openai.AzureOpenAI(**where) as official:
        ours.chat.completions.create(**asked)
        official.chat.completions.create(**asked)
    mine, theirs = azure.log()
    assert json.dumps(mine["body"]) == json.dumps(theirs["body"])  # in the same order
    assert _length(mine) == _length(theirs)
    assert (mine["path"], mine["query"]) == (theirs["path"], theirs["query"])
    assert mine["status"] == 200


def _picture() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}


def _length(entry: dict[str, Any]) -> int:
    """Bytes of the body."""
    return next(int(value) for name, value in entry["headers"] if name.lower() == "content-length")


@pytest.fixture(scope="module")
def prepared_azure() -> Iterator[Handle]:
    """It calls a tool when asked about the weather, and says 156 tokens when asked for a story."""
    rules = (
        Rule(re.compile("weather"), tool="forecast", arguments=IN_LISBON),
        Rule(re.compile("story"), text=" ".join(["blue"] * 156)),
    )
    with running(replace(world.azure(), answers=rules)) as handle:
        yield handle


@pytest.fixture
def prepared(prepared_azure: Handle) -> Iterator[Callable[..., Any]]:
    """Chat with it."""
    prepared_azure.reset()
    with Fleet(world.settings(prepared_azure)) as fleet, fleet.openai() as client:
        yield lambda **asked: client.chat.completions.create(model="gpt-4o", **asked)


def test_req_1_14_tools(prepared: Callable[..., Any], prepared_azure: Handle) -> None:
    """Of two tools one is called with arguments that fit its schema; its result goes back and is answered."""
    messages: list[Any] = [{"role": "user", "content": "How is the weather in Lisbon?"}]
    asked = prepared(messages=messages, tools=TOOLS).choices[0]
    assert asked.finish_reason == "tool_calls"
    (call,) = asked.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("forecast", IN_LISBON)

    messages += [
        asked.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 24 degrees."},
    ]
    answered = prepared(messages=messages, tools=TOOLS, tool_choice="none").choices[0]
    assert answered.finish_reason == "stop"
    assert answered.message.content
    first, second = prepared_azure.log()
    assert [sent["function"]["name"] for sent in first["body"]["tools"]] == ["forecast", "book"]
    assert second["body"]["messages"][1]["tool_calls"][0]["id"] == call.id
    assert second["body"]["messages"][2] == messages[2]


def test_req_1_15_usage_and_cost(prepared: Callable[..., Any]) -> None:
    """28 tokens in and 156 out are 184, and cost 0.00163 USD with gpt-4o."""
    messages = [{"role": "user", "content": "Tell a story " + " ".join(["blue"] * 18)}]
    answer = prepared(messages=messages)
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (28, 156, 184)
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.tool_calls is None
    receipt = smalt.receipt(answer)
    assert receipt is not None
    assert receipt.usage is not None
    assert (receipt.usage.input_tokens, receipt.usage.output_tokens) == (28, 156)
    assert receipt.cost_usd == Decimal("0.00163")


@pytest.mark.parametrize("model", ["gpt-4", "gpt-35-turbo"])
def test_req_1_18_an_image_is_refused_at_home(azure: Handle, fleet: Fleet, model: str) -> None:
    """A model that sees no images is never sent one; the error says why."""
    known = model_data(model)
    assert known is not None
    assert known.abilities is not None
    assert "vision" not in known.abilities
    shown: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, _picture()]}]
    with fleet.openai() as client:
        with pytest.raises(
            openai.BadRequestError, match=f"no upstream of '{model}' can serve vision"
        ) as caught:
            client.chat.completions.create(model=model, messages=shown)
        assert azure.log() == []
        assert client.chat.completions.create(model="gpt-4o", messages=shown).id
    told = smalt.explain(caught.value)
    assert told is not None
    assert (told.code, told.status, told.retryable) == ("invalid_request_error", "INVALID_ARGUMENT", False)
