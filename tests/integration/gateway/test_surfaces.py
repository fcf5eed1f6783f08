"""Every operation on every surface, by the official SDK and both adapters."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import SURFACES, Surface, sdk_client
from tests.contract.gateways import NARROW_KEY, Stage
from tests.contract.scenarios import ONLY_EAST, TOOLS
from tests.integration.gateway.raw import Answer, ask, head, request

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
PREFIX: dict[Surface, str] = {"openai": "/v1", "classic": "/openai", "v1": "/openai/v1"}

Asked = Callable[[Any], Any]


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Surface:
    """Each surface in turn."""
    surface: Surface = request.param
    return surface


@pytest.fixture
def client(stage: Stage, surface: Surface) -> Iterator[openai.OpenAI]:
    with sdk_client(stage.url, surface) as client:
        yield client


def chat(client: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content


def chat_streamed(client: Any) -> Any:
    with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def completion(client: Any) -> Any:
    return client.completions.create(model="gpt-35-turbo-instruct", prompt="hello").choices[0].text


def completion_streamed(client: Any) -> Any:
    asked = {"model": "gpt-35-turbo-instruct", "prompt": "hello", "stream": True}
    with client.completions.create(**asked) as stream:
        return "".join(chunk.choices[0].text for chunk in stream if chunk.choices)


def embedding(client: Any) -> Any:
    asked = {"model": "text-embedding-3-small", "input": ["hello"], "dimensions": 8}
    return len(client.embeddings.create(**asked).data[0].embedding) == 8


def response(client: Any) -> Any:
    return client.responses.create(model="gpt-4o", input="hello", store=False).output_text


def response_streamed(client: Any) -> Any:
    with client.responses.create(model="gpt-4o", input="hello", store=False, stream=True) as stream:
        return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


@pytest.mark.parametrize(
    "asked",
    [chat, chat_streamed, completion, completion_streamed, embedding, response, response_streamed],
    ids=lambda asked: asked.__name__,
)
def test_an_operation_on_each_surface(client: openai.OpenAI, azure: Handle, asked: Asked) -> None:
    """Answered at the first attempt, and upstream at the deployment of the model."""
    assert asked(client)
    (entry,) = azure.log()
    named = "instruct" if "completion" in asked.__name__ else "embed" if asked is embedding else "gpt-4o"
    assert entry["deployment"] == f"{named}-prod"


def test_models_on_each_surface(client: openai.OpenAI) -> None:
    """The list has the names that may be asked for; one by itself is told by its name."""
    listed = [model.id for model in client.models.list()]
    assert {"gpt-4o", "gpt-4", "text-embedding-3-small"} <= set(listed)
    assert [client.models.retrieve(name).id for name in listed] == listed
    assert client.models.retrieve("azure/gpt-4o-prod").id == "azure/gpt-4o-prod"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-unheard-of")
    assert caught.value.code == "model_not_found"


def test_a_model_that_a_key_may_not_use(stage: Stage, surface: Surface) -> None:
    """It gets its own, and no word about another, be it there or not."""
    with sdk_client(stage.url, surface, NARROW_KEY) as client:
        assert client.models.retrieve("gpt-4o").id == "gpt-4o"
        for name in ("gpt-4", "gpt-unheard-of"):
            with pytest.raises(openai.PermissionDeniedError):
                client.models.retrieve(name)


def get(stage: Stage, target: str, method: str = "GET") -> Answer:
    return ask(stage.url, head(target=target, method=method), method=method)


@pytest.mark.parametrize("path", ["/v1/models/", "//v1//models", "/openai/v1/models/?api-version=preview"])
def test_slashes_around_models(stage: Stage, path: str) -> None:
    """Doubled, or at the end, as base URLs bring them."""
    assert json.loads(get(stage, path).body)["object"] == "list"
    assert get(stage, path, "HEAD").status == 200


def test_a_model_by_its_encoded_name(stage: Stage) -> None:
    """A slash in it may be encoded or not."""
    for path in ("/v1/models/azure%2Fgpt-4o-prod", "/v1/models/azure/gpt-4o-prod/"):
        assert json.loads(get(stage, path).body)["id"] == "azure/gpt-4o-prod"


@pytest.mark.parametrize("operation", ["images/generations", "files", "assistants", "nothing/at/all", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_not_served_below_a_surface(
    stage: Stage, surface: Surface, method: str, operation: str
) -> None:
    """One error for all of it; it lists what is served there, with the paths of that surface."""
    answer = get(stage, f"{PREFIX[surface]}/{operation}", method)
    assert (answer.status, answer.error["code"]) == (400, "unsupported_operation")
    (served,) = answer.error["resolution"]
    assert f"{PREFIX[surface]}/responses" in served
    assert f"GET {PREFIX[surface]}/models" in served


@pytest.mark.parametrize("path", ["/v1x/models", "/openai-v1/chat/completions", "/nothing"])
def test_a_path_of_no_surface(stage: Stage, path: str) -> None:
    """A plain 404."""
    assert get(stage, path).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "resp_1"),
        ("DELETE", "resp_1"),
        ("POST", "resp_1/cancel"),
        ("GET", "resp_1/input_items"),
        ("GET", "resp_1?stream=true&starting_after=3"),
    ],
)
def test_a_stored_response(stage: Stage, azure: Handle, surface: Surface, method: str, path: str) -> None:
    """Not read, changed or deleted by the gateway, which says what to do instead."""
    answer = get(stage, f"{PREFIX[surface]}/responses/{path}", method)
    assert (answer.status, answer.error["code"]) == (400, "unsupported_operation")
    assert '"store": false' in answer.error["resolution"][1]
    assert azure.log() == []


@pytest.mark.parametrize(
    "builds_on",
    [
        {"previous_response_id": "resp_1"},
        {"extra_body": {"conversation": "conv_1"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
    ids=["a response", "a conversation", "an item"],
)
def test_what_one_resource_keeps(client: openai.OpenAI, azure: Handle, builds_on: dict[str, Any]) -> None:
    """A request that builds on it is refused where another resource might get it."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "gpt-4o", "input": "and?", **builds_on})
    assert caught.value.code == "unsupported_operation"
    assert "east, sweden" in caught.value.message
    assert azure.log() == []


def test_what_the_only_resource_keeps(stage: Stage, client: openai.OpenAI, azure: Handle) -> None:
    """A conversation goes on where there is nothing to choose."""
    stage.play(world.settings(azure, **ONLY_EAST))
    first = client.responses.create(model="gpt-4o", input="hello")
    second = client.responses.create(model="gpt-4o", input="and?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.output_text


def test_req_2_7_tools_on_each_surface(client: openai.OpenAI, azure: Handle) -> None:
    """Whole and streamed: Azure gets the tools as they were sent, the caller gets the call."""
    asked: Any = {"model": "gpt-4o", "messages": HELLO, **TOOLS}
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.finish_reason == "tool_calls"
    with client.chat.completions.create(**asked, stream=True) as stream:
        choices = [choice for chunk in stream for choice in chunk.choices]
    said = [call.function for choice in choices for call in choice.delta.tool_calls or ()]
    assert said[0].name == "weather"
    arguments = "".join(function.arguments or "" for function in said)
    called: Any = whole.message.tool_calls
    assert [json.loads(call.function.arguments) for call in called] == [json.loads(arguments)]
    assert [entry["body"]["tools"] for entry in azure.log()] == [TOOLS["tools"]] * 2


def test_req_2_7_tools_of_responses(client: openai.OpenAI, azure: Handle) -> None:
    """Their flat form passes as well, and the call comes back with the tool's name."""
    tool = {"type": "function", **TOOLS["tools"][0]["function"], "strict": False}  # type: ignore[index]
    asked: Any = {"model": "gpt-4o", "input": "hello", "tools": [tool], "tool_choice": "required"}
    answer = client.responses.create(**asked, store=False)
    assert [item.name for item in answer.output if item.type == "function_call"] == ["weather"]
    assert azure.log()[0]["body"]["tools"] == [tool]


def test_req_2_4_the_prefix_is_taken_off_once(stage: Stage, azure: Handle) -> None:
    """`azure/x` is the deployment x, also where x itself begins with azure/."""
    settings = world.settings(azure)
    stage.play(settings.model_copy(update={"resources": {"default": settings.resources["east"]}}))
    for model, deployment in (("azure/gpt-4o-prod", "gpt-4o-prod"), ("azure/azure/x", "azure%2Fx")):
        content = json.dumps({"model": model, "messages": HELLO}).encode()
        ask(stage.url, request(content=content))
        assert azure.log()[-1]["path"] == f"/openai/deployments/{deployment}/chat/completions"
