import asyncio

from calls import play, play_async
from pydantic_ai.providers.azure import AzureProvider

from smalt import AsyncAzureOpenAI

azure = AzureProvider(openai_client=AsyncAzureOpenAI())
play(azure)

azure = AzureProvider(openai_client=AsyncAzureOpenAI())  # for the second event loop
asyncio.run(play_async(azure))
