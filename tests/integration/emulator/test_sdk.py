"""The official client against the emulator, on both surfaces."""

from collections.abc import Iterator
from typing import cast

import openai
import pytest

from smalt.emulator.testing import Handle

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def azure(emulator: Handle) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=emulator.url("east"),
        api_key=emulator.key("east"),
        api_version="2024-10-21",
        max_retries=0,
    ) as client:
        yield client


@pytest.fixture
def v1(emulator: Handle) -> Iterator[openai.OpenAI]:
    base_url = f"{emulator.url('east')}/openai/v1/"
    with openai.OpenAI(base_url=base_url, api_key=emulator.key("east"), max_retries=0) as client:
        yield client


def test_both_surfaces_give_the_same_answer(azure: openai.AzureOpenAI, v1: openai.OpenAI) -> None:
    """The deployment comes from the path or from the body, the words are the same."""
    classic = azure.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    modern = v1.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    assert classic.choices[0].message.content == modern.choices[0].message.content
    assert classic.id != modern.id
    assert classic.model == "gpt-4o-2024-11-20"


def test_headers_are_azures(azure: openai.AzureOpenAI) -> None:
    """Ids, region, deployment and limits come with every answer; the caller's own id comes back."""
    raw = azure.chat.completions.with_raw_response.create(
        model="gpt-4o-prod", messages=HELLO, max_tokens=97, extra_headers={"x-ms-client-request-id": "mine"}
    )
    headers = raw.headers
    assert headers["x-ms-client-request-id"] == "mine"
    assert headers["x-ms-region"] == "East US"
    assert headers["x-ms-deployment-name"] == "gpt-4o-prod"
    assert headers["x-ratelimit-limit-tokens"] == "120000"
    assert headers["x-ratelimit-remaining-tokens"] == str(120_000 - 97 - 3)
    assert headers["apim-request-id"] != headers["x-request-id"]


def test_a_stream_is_billed_like_its_answer(azure: openai.AzureOpenAI, emulator: Handle) -> None:
    """The usage chunk, the bill and the answer of the same request agree to the token."""
    whole = azure.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    stream = azure.chat.completions.create(
        model="gpt-4o-prod", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].usage == whole.usage
    assert whole.usage
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    first, second = emulator.bill()["entries"]
    assert {name for name in first if first[name] != second[name]} == {"client_request_id"}
    assert (first["input_tokens"], first["output_tokens"]) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )


def test_a_tool_conversation_goes_round(azure: openai.AzureOpenAI) -> None:
    """The model calls the tool, gets its result and answers in words."""
    tools: list[openai.types.chat.ChatCompletionToolUnionParam] = [
        {
            "type": "function",
            "function": {
                "name": "look",
                "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
            },
        }
    ]
    asked = azure.chat.completions.create(model="gpt-4o-prod", messages=HELLO, tools=tools).choices[0].message
    assert asked.tool_calls
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [
        *HELLO,
        cast("openai.types.chat.ChatCompletionAssistantMessageParam", asked.model_dump(exclude_none=True)),
        {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "a lamp"},
    ]
    told = azure.chat.completions.create(model="gpt-4o-prod", messages=messages, tools=tools).choices[0]
    assert told.finish_reason == "stop"
    assert told.message.content


def test_embeddings_come_as_floats(azure: openai.AzureOpenAI, v1: openai.OpenAI) -> None:
    """The client asks for base64 by itself and decodes it; both surfaces agree."""
    model = "text-embedding-3-small-prod"
    one = azure.embeddings.create(model=model, input=["alpha", "beta"], dimensions=16)
    other = v1.embeddings.create(model=model, input="beta", dimensions=16, encoding_format="float")
    assert one.data[1].embedding == pytest.approx(other.data[0].embedding)
    assert len(one.data[0].embedding) == 16


def test_models_are_listed(azure: openai.AzureOpenAI, v1: openai.OpenAI) -> None:
    """The list tells what could be deployed, on both surfaces, and costs nothing."""
    assert [m.id for m in azure.models.list()] == [m.id for m in v1.models.list()]


def test_a_wrong_key_is_401(emulator: Handle) -> None:
    """The key of another resource does not open this one."""
    with (
        openai.AzureOpenAI(
            azure_endpoint=emulator.url("east"),
            api_key=emulator.key("japan"),
            api_version="2024-10-21",
            max_retries=0,
        ) as client,
        pytest.raises(openai.AuthenticationError, match="invalid subscription key"),
    ):
        client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)


def test_an_unknown_deployment_is_404(azure: openai.AzureOpenAI, v1: openai.OpenAI) -> None:
    """Names are case-sensitive, and those of models are no deployments."""
    for client, name in ((azure, "GPT-4o-prod"), (v1, "gpt-4o")):
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model=name, messages=HELLO)
        assert caught.value.code == "DeploymentNotFound"


def test_an_operation_must_fit_the_model(azure: openai.AzureOpenAI) -> None:
    """Chat with an embeddings model, and the reverse, is refused."""
    with pytest.raises(openai.BadRequestError, match="chatCompletion operation does not work") as caught:
        azure.chat.completions.create(model="text-embedding-3-small-prod", messages=HELLO)
    assert caught.value.code == "OperationNotSupported"
    with pytest.raises(openai.BadRequestError, match="embeddings operation does not work"):
        azure.embeddings.create(model="gpt-4o-prod", input="x")
