"""semantic-kernel: chat, stream, a function it calls by itself, embeddings."""

from typing import Annotated, Any

from semantic_kernel import Kernel
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import AzureChatPromptExecutionSettings
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


async def play(chat: Any, embedding: Any) -> None:
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

    assert (await embedding.generate_embeddings(["blue", "glass"])).shape == (2, 1_536)
