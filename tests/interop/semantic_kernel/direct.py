import asyncio

from calls import play
from semantic_kernel.connectors.ai.open_ai import AzureChatCompletion, AzureTextEmbedding

chat = AzureChatCompletion(deployment_name="gpt-4o-prod", api_version="2024-10-21")
embedding = AzureTextEmbedding(deployment_name="text-embedding-3-small-prod", api_version="2024-10-21")

asyncio.run(play(chat, embedding))
