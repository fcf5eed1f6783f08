"""agent-framework: an agent over chat completions and over responses, its stream, its tool; embeddings."""

import asyncio
import os
from typing import Annotated, Any

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient, OpenAIEmbeddingClient

AZURE: Any = {
    "azure_endpoint": os.environ["AZURE_OPENAI_ENDPOINT"],
    "api_key": os.environ["AZURE_OPENAI_API_KEY"],
}
asked: list[str] = []


def weather(city: Annotated[str, "its name"]) -> str:
    """The weather in a city."""
    asked.append(city)
    return f"sunny in {city}"


async def converse(client: Any) -> None:
    agent = Agent(client=client, instructions="Be brief.")
    assert (await agent.run("Say hello.")).text
    pieces = [update.text async for update in agent.run("Count to three.", stream=True) if update.text]
    assert len(pieces) > 1

    asked.clear()
    acting = Agent(client=client, instructions="Be brief.", tools=[weather])
    assert (await acting.run("How is the weather in Lisbon?")).text
    assert asked


async def main() -> None:
    await converse(OpenAIChatCompletionClient(model="gpt-4o-prod", api_version="2024-10-21", **AZURE))
    # it always asks for encrypted reasoning, which Azure refuses for models that do not reason
    await converse(OpenAIChatClient(model="gpt-5-mini-prod", **AZURE))
    embedding = OpenAIEmbeddingClient(model="text-embedding-3-small-prod", api_version="2024-10-21", **AZURE)
    vectors = await embedding.get_embeddings(["blue", "glass"])
    assert [len(vector.vector) for vector in vectors] == [1_536, 1_536]


asyncio.run(main())
