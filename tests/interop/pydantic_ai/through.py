import asyncio

from calls import play, play_async
from pydantic_ai.providers.azure import AzureProvider

from smalt import AsyncAzureOpenAI

play(AzureProvider(openai_client=AsyncAzureOpenAI()))
asyncio.run(play_async(AzureProvider(openai_client=AsyncAzureOpenAI())))
