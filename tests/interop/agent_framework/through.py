import asyncio

from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient, OpenAIEmbeddingClient
from calls import play

from smalt import AsyncAzureOpenAI

client = AsyncAzureOpenAI()

chat = OpenAIChatCompletionClient(model="gpt-4o-prod", async_client=client)
# it always asks for encrypted reasoning, which Azure refuses for models that do not reason
responses = OpenAIChatClient(model="gpt-5-mini-prod", async_client=client)
embedding = OpenAIEmbeddingClient(model="text-embedding-3-small-prod", async_client=client)

asyncio.run(play(chat, responses, embedding))
