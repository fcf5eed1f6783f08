import asyncio

from calls import play, play_async
from openai import AsyncAzureOpenAI, AzureOpenAI

play(AzureOpenAI())
asyncio.run(play_async(AsyncAzureOpenAI()))
