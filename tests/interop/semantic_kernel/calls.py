"""semantic-kernel: chat, stream, a function it calls by itself, embeddings."""

import asyncio
from typing import Annotated

from semantic_kernel import Kernel
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import (
    AzureChatCompletion,
    AzureChatPromptExecutionSettings,
    AzureTextEmbedding,
)
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function

asked: list[str] = []


class Weather:
    @kernel_function(description="The weather in a city.")
    def weather(self, city: Annotated[str, "its name"]) -> str:
        asked.append(city)
        return f"sunny in {city}"


def history(text: str) -> ChatHistory:
    said = ChatHistory()
    said.add_user_message(text)
    return said


async def main() -> None:
    chat = AzureChatCompletion(deployment_name="gpt-4o-prod", api_version="2024-10-21")
    plain = AzureChatPromptExecutionSettings()
    answer = await chat.get_chat_message_content(history("Say hello."), plain)
    assert str(answer)

    pieces = [
        str(piece)
        async for piece in chat.get_streaming_chat_message_content(history("Count to three."), plain)
        if str(piece)
    ]
    assert len(pieces) > 1

    kernel = Kernel()
    kernel.add_plugin(Weather(), "weather")
    acting = AzureChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    answer = await chat.get_chat_message_content(history("Weather in Lisbon?"), acting, kernel=kernel)
    assert asked
    assert str(answer)

    embedding = AzureTextEmbedding(deployment_name="text-embedding-3-small-prod", api_version="2024-10-21")
    assert (await embedding.generate_embeddings(["blue", "glass"])).shape == (2, 1_536)


asyncio.run(main())
