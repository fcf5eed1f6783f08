import asyncio

from calls import play, play_async
from pydantic_ai.providers.azure import AzureProvider

play(AzureProvider())
asyncio.run(play_async(AzureProvider()))
