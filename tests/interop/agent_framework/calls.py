"""agent-framework: an agent over chat completions and over responses, its stream, its tool; embeddings."""

from typing import Annotated, Any

from agent_framework import Agent

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


async def play(chat: Any, responses: Any, embedding: Any) -> None:
    await converse(chat)
    await converse(responses)
    vectors = await embedding.get_embeddings(["blue", "glass"])
    assert [len(vector.vector) for vector in vectors] == [1_536, 1_536]
