"""langchain-openai: chat, stream, tool call, typed output, responses, embeddings; sync and async."""

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class City(BaseModel):
    name: str
    people: int


def play(chat: Any, responses: Any, embeddings: Any) -> None:
    answer = chat.invoke("Say hello.")
    assert answer.content
    assert answer.usage_metadata["output_tokens"] > 0

    assert all(answer.content for answer in chat.batch(["Say hello.", "Say goodbye."]))  # in threads

    pieces = [piece for piece in chat.stream("Count to three.") if piece.content]
    assert len(pieces) > 1

    asked = HumanMessage("How is the weather in Lisbon?")
    called = chat.bind_tools([weather]).invoke([asked])
    (call,) = called.tool_calls
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert chat.bind_tools([weather]).invoke([asked, called, result]).content

    assert isinstance(chat.with_structured_output(City).invoke("Describe a city."), City)

    assert responses.invoke("Say hello.").content
    assert len([piece for piece in responses.stream("Count to three.") if piece.content]) > 1

    vectors = embeddings.embed_documents(["blue", "glass"])
    assert [len(vector) for vector in vectors] == [1_536, 1_536]


async def play_async(chat: Any, responses: Any, embeddings: Any) -> None:
    assert (await chat.ainvoke("Say hello.")).content
    pieces = [piece async for piece in chat.astream("Count to three.") if piece.content]
    assert len(pieces) > 1
    called = await chat.bind_tools([weather]).ainvoke("How is the weather in Lisbon?")
    assert called.tool_calls
    assert isinstance(await chat.with_structured_output(City).ainvoke("Describe a city."), City)
    assert (await responses.ainvoke("Say hello.")).content
    assert len([piece async for piece in responses.astream("Count to three.") if piece.content]) > 1
    vectors = await embeddings.aembed_documents(["blue", "glass"])
    assert [len(vector) for vector in vectors] == [1_536, 1_536]
