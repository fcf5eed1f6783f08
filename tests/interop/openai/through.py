import asyncio

from calls import play, play_async

from smalt import AsyncAzureOpenAI, AzureOpenAI

play(AzureOpenAI())
asyncio.run(play_async(AsyncAzureOpenAI()))
