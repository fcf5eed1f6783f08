import asyncio

from calls import play
from semantic_kernel.connectors.ai.open_ai import AzureChatCompletion, AzureTextEmbedding

from smalt import AsyncAzureOpenAI

client = AsyncAzureOpenAI()

chat = AzureChatCompletion(deployment_name="gpt-4o-prod", async_client=client)
embedding = AzureTextEmbedding(deployment_name="text-embedding-3-small-prod", async_client=client)

asyncio.run(play(chat, embedding))
