"""langchain-openai: chat, stream, tool call, structured output, embeddings."""

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings
from pydantic import BaseModel

VERSION = "2024-10-21"


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class City(BaseModel):
    name: str
    people: int


chat: Any = AzureChatOpenAI(azure_deployment="gpt-4o-prod", api_version=VERSION)
answer = chat.invoke("Say hello.")
assert answer.content
assert answer.usage_metadata["output_tokens"] > 0

pieces = [piece for piece in chat.stream("Count to three.") if piece.content]
assert len(pieces) > 1

asked = HumanMessage("How is the weather in Lisbon?")
called = chat.bind_tools([weather]).invoke([asked])
(call,) = called.tool_calls
result = weather.invoke(call)
assert isinstance(result, ToolMessage)
assert chat.bind_tools([weather]).invoke([asked, called, result]).content

assert isinstance(chat.with_structured_output(City).invoke("Describe a city."), City)

# the check of lengths fetches tables from the internet
embeddings = AzureOpenAIEmbeddings(
    azure_deployment="text-embedding-3-small-prod", api_version=VERSION, check_embedding_ctx_length=False
)
assert [len(vector) for vector in embeddings.embed_documents(["blue", "glass"])] == [1_536, 1_536]
