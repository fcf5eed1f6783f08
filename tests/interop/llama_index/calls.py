"""llama-index: chat, stream, tool call, typed output, embeddings, an index that uses both; sync and async."""

from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def said(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


TOOLS = [FunctionTool.from_defaults(weather)]


def play(llm: Any, embedding: Any) -> None:
    assert llm.complete("Say hello.").text
    assert llm.chat(said("Say hello.")).message.content
    assert len([piece for piece in llm.stream_chat(said("Count to three.")) if piece.delta]) > 1
    assert llm.predict_and_call(TOOLS, "How is the weather in Lisbon?").sources[0].tool_name == "weather"
    assert isinstance(llm.as_structured_llm(City).complete("Describe a city.").raw, City)
    vectors = embedding.get_text_embedding_batch(["blue", "glass"])
    assert [len(vector) for vector in vectors] == [1_536, 1_536]

    index = VectorStoreIndex.from_documents([Document(text="Smalt is blue glass.")], embed_model=embedding)
    assert str(index.as_query_engine(llm=llm).query("What is smalt?"))


async def play_async(llm: Any, embedding: Any) -> None:
    assert (await llm.acomplete("Say hello.")).text
    pieces = [piece async for piece in await llm.astream_chat(said("Count to three.")) if piece.delta]
    assert len(pieces) > 1
    called = await llm.apredict_and_call(TOOLS, "How is the weather in Lisbon?")
    assert called.sources[0].tool_name == "weather"
    assert isinstance((await llm.as_structured_llm(City).acomplete("Describe a city.")).raw, City)
    vectors = await embedding.aget_text_embedding_batch(["blue", "glass"])
    assert [len(vector) for vector in vectors] == [1_536, 1_536]
