"""Every way in which the SDK asks for an answer: over a fleet it gives what it gives directly."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.contract import world
from tests.contract.scenarios import ONLY_EAST

from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
USAGE: Any = {"include_usage": True}


class Forecast(BaseModel):
    """What a structured answer is parsed into."""

    city: str
    days: int


TOOL: Any = openai.pydantic_function_tool(Forecast)
_ID = re.compile(r"0{8}[0-9a-f]{5}")


def same(told: Any) -> Any:
    """Plain data, without ids and the second of the answer."""
    if isinstance(told, BaseModel):
        return same(told.model_dump(warnings=False))
    if isinstance(told, dict):
        return {key: same(value) for key, value in told.items() if not key.startswith("created")}
    if isinstance(told, list | tuple):
        return [same(one) for one in told]
    return _ID.sub("", told) if isinstance(told, str) else told


def chat(client: Any, **asked: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=HELLO, **asked)


def parsed_chat(client: Any) -> Any:
    asked = {"model": "gpt-4o", "messages": HELLO, "response_format": Forecast}
    answer = client.chat.completions.parse(**asked)
    assert isinstance(answer.choices[0].message.parsed, Forecast)
    return answer


def parsed_tool(client: Any) -> Any:
    answer = client.chat.completions.parse(
        model="gpt-4o", messages=HELLO, tools=[TOOL], tool_choice="required"
    )
    (call,) = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Forecast)
    return answer


def tool_conversation(client: Any) -> Any:
    """The model calls, gets its result and answers in words."""
    asked = chat(client, tools=[TOOL], tool_choice="required").choices[0].message
    told = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "rain"}
    messages = [*HELLO, asked.model_dump(exclude_none=True), told]
    answer = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL])
    assert answer.choices[0].message.content
    return answer


def streamed_chat(client: Any) -> Any:
    asked = {"model": "gpt-4o", "messages": HELLO, "response_format": Forecast, "stream_options": USAGE}
    with client.chat.completions.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Forecast)
    assert final.usage
    return kinds, final


def plainly_streamed_chat(client: Any) -> Any:
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        stream.until_done()
        return stream.get_final_completion()


def streaming_response(client: Any) -> Any:
    way = client.chat.completions.with_streaming_response
    with way.create(model="gpt-4o", messages=HELLO, stream=True) as response:
        lines = list(response.iter_lines())
    with way.create(model="gpt-4o", messages=HELLO) as response:
        return len(lines), lines[-2], response.parse()


def raw_response(client: Any) -> Any:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    return raw.status_code, raw.parse(), raw.http_response.headers["content-type"]


def responses(client: Any) -> Any:
    first = client.responses.create(model="gpt-4o", input="hello", instructions="Be brief.")
    assert first.output_text
    return first


def conversation_of_responses(client: Any) -> Any:
    """The second answer builds on the first one, which the service keeps."""
    first = client.responses.create(model="gpt-4o", input="hello")
    return client.responses.create(model="gpt-4o", input="and?", previous_response_id=first.id)


def parsed_response(client: Any) -> Any:
    answer = client.responses.parse(model="gpt-4o", input="hello", text_format=Forecast)
    assert isinstance(answer.output_parsed, Forecast)
    return answer


def streamed_response(client: Any) -> Any:
    with client.responses.stream(model="gpt-4o", input="hello", text_format=Forecast) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert isinstance(final.output_parsed, Forecast)
    return kinds, final


def embeddings(client: Any) -> Any:
    asked = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
    return [client.embeddings.create(**asked), client.embeddings.create(**asked, encoding_format="float")]


METHODS: dict[str, Callable[[Any], Any]] = {
    "create": chat,
    "several choices": lambda client: chat(client, n=2, logprobs=True, top_logprobs=2, seed=1),
    "create, streamed": lambda client: list(chat(client, stream=True, stream_options=USAGE)),
    "parse": parsed_chat,
    "parse a tool call": parsed_tool,
    "a conversation with a tool": tool_conversation,
    "stream": streamed_chat,
    "stream without usage": plainly_streamed_chat,
    "with_streaming_response": streaming_response,
    "with_raw_response": raw_response,
    "responses": responses,
    "responses, streamed": lambda client: list(
        client.responses.create(model="gpt-4o", input="hello", stream=True)
    ),
    "responses, chained": conversation_of_responses,
    "responses.parse": parsed_response,
    "responses.stream": streamed_response,
    "embeddings": embeddings,
}


class Named:
    """A client that is asked by the names of models, before an upstream that has its own."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._client, name)
        if callable(part):
            return lambda **asked: part(**{**asked, "model": world.SHARED[asked["model"]]})
        return Named(part)


@pytest.fixture
def fleet(azure: Handle) -> Fleet:
    """With one region: responses that build on others are kept there."""
    return Fleet(world.settings(azure, **ONLY_EAST))


@pytest.fixture
def direct(azure: Handle) -> Iterator[Named]:
    """The official client before one region: on the surface that has everything."""
    with openai.OpenAI(
        base_url=f"{azure.url('east')}/openai/v1/", api_key=azure.key("east"), max_retries=0
    ) as client:
        yield Named(client)


@pytest.mark.parametrize("make", ["openai", "azure_openai"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_of_the_sdk(fleet: Fleet, direct: Named, azure: Handle, method: str, make: str) -> None:
    """On both kinds of clients it gives what it gives without smalt."""
    expected = same(METHODS[method](direct))
    azure.reset()
    with getattr(fleet, make)() as client:
        assert same(METHODS[method](client)) == expected
    assert all(status.in_flight == 0 for status in fleet.status())


async def chat_async(client: Any) -> Any:
    create = client.chat.completions.create
    streamed = [chunk async for chunk in await create(model="gpt-4o", messages=HELLO, stream=True)]
    return await create(model="gpt-4o", messages=HELLO), streamed


async def parsed_async(client: Any) -> Any:
    answer = await client.chat.completions.parse(model="gpt-4o", messages=HELLO, response_format=Forecast)
    response = await client.responses.parse(model="gpt-4o", input="hello", text_format=Forecast)
    assert isinstance(answer.choices[0].message.parsed, Forecast)
    assert isinstance(response.output_parsed, Forecast)
    return answer, response


async def streamed_async(client: Any) -> Any:
    async with client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    async with client.responses.stream(model="gpt-4o", input="hello", text_format=Forecast) as events:
        more = [event.type async for event in events]
        response = await events.get_final_response()
    return kinds, final, more, response


async def responses_async(client: Any) -> Any:
    first = await client.responses.create(model="gpt-4o", input="hello")
    streamed = await client.responses.create(
        model="gpt-4o", input="and?", previous_response_id=first.id, stream=True
    )
    return first, [event async for event in streamed]


async def raw_async(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    way = client.chat.completions.with_streaming_response
    async with way.create(model="gpt-4o", messages=HELLO, stream=True) as response:
        lines = [line async for line in response.iter_lines()]
    return raw.parse(), len(lines), lines[-2]


async def embeddings_async(client: Any) -> Any:
    return await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=8)


ASYNC_METHODS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "create": chat_async,
    "parse": parsed_async,
    "stream": streamed_async,
    "responses": responses_async,
    "raw": raw_async,
    "embeddings": embeddings_async,
}


@pytest.mark.parametrize("make", ["async_openai", "async_azure_openai"])
@pytest.mark.parametrize("method", ASYNC_METHODS)
async def test_a_method_of_the_asynchronous_sdk(fleet: Fleet, azure: Handle, method: str, make: str) -> None:
    """The same for asyncio."""
    async with openai.AsyncOpenAI(
        base_url=f"{azure.url('east')}/openai/v1/", api_key=azure.key("east"), max_retries=0
    ) as direct:
        expected = same(await ASYNC_METHODS[method](Named(direct)))
    await asyncio.to_thread(azure.reset)
    async with getattr(fleet, make)() as client:
        assert same(await ASYNC_METHODS[method](client)) == expected
    assert all(status.in_flight == 0 for status in fleet.status())
