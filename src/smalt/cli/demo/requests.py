"""What the application of the story asks for, with the official SDK and nothing else."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from smalt.cli.demo.scene import CHAT_MODEL, EMBEDDING_MODEL, Emulator, Region
from smalt.errors import SmaltError

CROWD = 50
THINKING_MS = 2_000.0  # of every region while the crowd waits
CUT_AFTER_S = 1.0  # after the first arrival, at the latest: well before anyone can have been answered

DEGREES = {"Lisbon": 24, "Oslo": 9, "Kyoto": 17}
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Temperature in a city, in degrees Celsius.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": list(DEGREES)}},
            "required": ["city"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Answer:
    """`told`: the x-smalt- headers of the answer, without that prefix."""

    text: str
    told: Mapping[str, str]


@dataclass(slots=True)
class Stream:
    """A streamed answer. Iterating gives its pieces as they come; the times are known after that."""

    pieces: Iterator[str]
    told: Mapping[str, str]
    count: int = 0
    first_s: float = 0.0
    last_s: float = 0.0

    def __iter__(self) -> Iterator[str]:
        started_s = time.monotonic()
        for piece in self.pieces:
            self.last_s = time.monotonic() - started_s
            self.first_s = self.first_s or self.last_s
            self.count += 1
            yield piece


@dataclass(slots=True)
class Crowd:
    """Many requests at once, and a region cut off under them.

    `waiting_at_cut`: requests the first region had not answered yet. `by_region`: who answered.
    `rescued`: answered after a failed attempt.
    """

    requests: int = CROWD
    waiting_at_cut: int = 0
    by_region: dict[str, int] = field(default_factory=dict)
    rescued: int = 0
    errors: list[str] = field(default_factory=list)


def chat(client: openai.OpenAI, prompt: str) -> Answer:
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": prompt}]
    )
    return Answer(raw.parse().choices[0].message.content or "", told(raw.headers))


def stream(client: openai.OpenAI, prompt: str) -> Stream:
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": prompt}], stream=True
    )
    chunks = raw.parse()
    pieces = (chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
    return Stream((piece for piece in pieces if piece), told(raw.headers))


def tool_call(client: openai.OpenAI, prompt: str) -> Answer:
    """The model asks for a function, the function runs here, the model gets its result. Two requests."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": prompt}]
    first = client.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=[WEATHER])
    calls = first.choices[0].message.tool_calls
    if not calls or calls[0].type != "function":
        raise SmaltError("the model did not call the tool it was given")
    city = json.loads(calls[0].function.arguments)["city"]
    asked: ChatCompletionMessageParam = {
        "role": "assistant",
        "tool_calls": [
            {
                "id": calls[0].id,
                "type": "function",
                "function": {"name": "get_weather", "arguments": calls[0].function.arguments},
            }
        ],
    }
    result = f"{DEGREES[city]} C"
    messages += [asked, {"role": "tool", "tool_call_id": calls[0].id, "content": result}]
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=messages, tools=[WEATHER], stop="."
    )
    said = raw.parse().choices[0].message.content
    return Answer(f"get_weather({city}) ran here: {result}. {said}", told(raw.headers))


def embeddings(client: openai.OpenAI, texts: list[str]) -> Answer:
    raw = client.embeddings.with_raw_response.create(model=EMBEDDING_MODEL, input=texts)
    vectors = raw.parse().data
    return Answer(f"{len(vectors)} texts, {len(vectors[0].embedding)} numbers each", told(raw.headers))


async def crowd(make_client: Callable[[], openai.AsyncOpenAI], emulator: Emulator, first: Region) -> Crowd:
    """Ask many times at once; as soon as all wait for their answers, cut off the first region."""
    result = Crowd()
    emulator.pace(latency_ms=THINKING_MS)
    async with make_client() as client, asyncio.TaskGroup() as group:
        for number in range(CROWD):
            group.create_task(_one_of_many(client, number, result))
        waiting = await _all_waiting(emulator)
        emulator.cut(first)
        result.waiting_at_cut = waiting[first.resource]
    return result


async def _one_of_many(client: openai.AsyncOpenAI, number: int, result: Crowd) -> None:
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=CHAT_MODEL,
            messages=[{"role": "user", "content": f"Order {number}: is it on its way?"}],
            max_tokens=16,
        )
    except openai.OpenAIError as error:
        result.errors.append(f"{type(error).__name__}: {error}")
        return
    answer = told(raw.headers)
    result.by_region[answer["region"]] = result.by_region.get(answer["region"], 0) + 1
    result.rescued += int(answer["attempts"]) > 1


async def _all_waiting(emulator: Emulator) -> Mapping[str, int]:
    """Who waits where, once everybody does or the first answers are near."""
    until_s = None
    while True:
        await asyncio.sleep(0.03)
        waiting = emulator.in_flight()
        arrived, now_s = sum(waiting.values()), time.monotonic()
        if arrived and until_s is None:
            until_s = now_s + CUT_AFTER_S
        if arrived >= CROWD or (until_s is not None and now_s > until_s):
            return waiting


def told(headers: Mapping[str, Any]) -> dict[str, str]:
    """What smalt says about an answer."""
    prefix = "x-smalt-"
    return {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}
