"""openai: chat, stream, tool call, typed output, embeddings, responses; sync and async."""

from typing import Any

from pydantic import BaseModel

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class City(BaseModel):
    name: str
    people: int


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-prod", "messages": [{"role": "user", "content": text}], **more}


RESPONSES: Any = {"model": "gpt-4o-prod", "input": "Count to three."}
EMBEDDINGS: Any = {"model": "text-embedding-3-small-prod", "input": ["blue", "glass"]}


def play(client: Any) -> None:
    answer = client.chat.completions.create(**chat("Say hello."))
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0

    stream = client.chat.completions.create(**chat("Count to three.", stream=True))
    assert sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content) > 1

    acting = client.chat.completions.create(**chat("How is the weather in Lisbon?", tools=[WEATHER]))
    assert acting.choices[0].message.tool_calls

    typed = client.chat.completions.parse(**chat("Describe a city.", response_format=City))
    assert isinstance(typed.choices[0].message.parsed, City)

    vectors = client.embeddings.create(**EMBEDDINGS).data
    assert [len(vector.embedding) for vector in vectors] == [1_536, 1_536]

    assert client.responses.create(**RESPONSES).output_text
    events = [event.type for event in client.responses.create(**RESPONSES, stream=True)]
    assert events[-1] == "response.completed"


async def play_async(client: Any) -> None:
    answer = await client.chat.completions.create(**chat("Say hello."))
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0

    stream = await client.chat.completions.create(**chat("Count to three.", stream=True))
    assert len([chunk async for chunk in stream if chunk.choices and chunk.choices[0].delta.content]) > 1

    acting = await client.chat.completions.create(**chat("How is the weather in Lisbon?", tools=[WEATHER]))
    assert acting.choices[0].message.tool_calls

    typed = await client.chat.completions.parse(**chat("Describe a city.", response_format=City))
    assert isinstance(typed.choices[0].message.parsed, City)

    vectors = (await client.embeddings.create(**EMBEDDINGS)).data
    assert [len(vector.embedding) for vector in vectors] == [1_536, 1_536]

    assert (await client.responses.create(**RESPONSES)).output_text
    events = [event.type async for event in await client.responses.create(**RESPONSES, stream=True)]
    assert events[-1] == "response.completed"
