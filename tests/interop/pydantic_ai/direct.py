import asyncio

from calls import play, play_async
from pydantic_ai.providers.azure import AzureProvider

azure = AzureProvider()
play(azure)

azure = AzureProvider()  # for the second event loop
asyncio.run(play_async(azure))
