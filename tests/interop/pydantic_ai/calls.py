"""pydantic-ai: chat, stream, tool call, typed output, embeddings, responses; sync and async."""

from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

asked: list[str] = []


class City(BaseModel):
    name: str
    people: int


def weather(city: str) -> str:
    """The weather in a city."""
    asked.append(city)
    return f"sunny in {city}"


async def play_async(azure: Any) -> None:
    model = OpenAIChatModel("gpt-4o-prod", provider=azure)
    agent = Agent(model)
    answer = await agent.run("Say hello.")
    assert answer.output
    assert answer.usage.output_tokens > 0

    async with agent.run_stream("Count to three.") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 1

    acting = Agent(model, tools=[weather])
    assert (await acting.run("How is the weather in Lisbon?")).output
    assert asked

    typed = Agent(model, output_type=City)
    assert isinstance((await typed.run("Describe a city.")).output, City)

    embedder = Embedder(OpenAIEmbeddingModel("text-embedding-3-small-prod", provider=azure))
    result = await embedder.embed_documents(["blue", "glass"])
    assert [len(vector) for vector in result.embeddings] == [1_536, 1_536]

    responding = Agent(OpenAIResponsesModel("gpt-5-mini-prod", provider=azure), tools=[weather])
    assert (await responding.run("How is the weather in Lisbon?")).output


def play(azure: Any) -> None:
    agent = Agent(OpenAIChatModel("gpt-4o-prod", provider=azure))
    assert agent.run_sync("Say hello.").output
    assert len(list(agent.run_stream_sync("Count to three.").stream_text(delta=True, debounce_by=None))) > 1
