"""litellm: chat, stream, tool call, embeddings; sync and async."""

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches prices from the internet when imported

import litellm

AZURE: Any = {
    "api_base": os.environ["AZURE_OPENAI_ENDPOINT"],
    "api_key": os.environ["AZURE_OPENAI_API_KEY"],
    "api_version": os.environ["OPENAI_API_VERSION"],
}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
EMBEDDINGS: Any = {"model": "azure/text-embedding-3-small-prod", "input": ["blue", "glass"], **AZURE}


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "azure/gpt-4o-prod", "messages": [{"role": "user", "content": text}], **AZURE, **more}


def play() -> None:
    assert litellm.completion(**chat("Say hello.")).choices[0].message.content
    stream = litellm.completion(**chat("Count to three.", stream=True))
    assert sum(1 for chunk in stream if chunk.choices[0].delta.content) > 1
    acting = litellm.completion(**chat("How is the weather in Lisbon?", tools=[WEATHER]))
    assert acting.choices[0].message.tool_calls
    vectors = litellm.embedding(**EMBEDDINGS).data
    assert [len(vector["embedding"]) for vector in vectors] == [1_536, 1_536]


async def play_async() -> None:
    assert (await litellm.acompletion(**chat("Say hello."))).choices[0].message.content
    stream = await litellm.acompletion(**chat("Count to three.", stream=True))
    assert len([chunk async for chunk in stream if chunk.choices[0].delta.content]) > 1
    acting = await litellm.acompletion(**chat("How is the weather in Lisbon?", tools=[WEATHER]))
    assert acting.choices[0].message.tool_calls
    vectors = (await litellm.aembedding(**EMBEDDINGS)).data
    assert [len(vector["embedding"]) for vector in vectors] == [1_536, 1_536]
