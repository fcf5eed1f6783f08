import asyncio

import httpx
from calls import play, play_async
from llama_index.embeddings.azure_openai import AzureOpenAIEmbedding
from llama_index.llms.azure_openai import AzureOpenAI

from smalt import Fleet

fleet = Fleet.load()
over_fleet = {
    "max_retries": 0,  # it would repeat what the fleet gives up
    "http_client": httpx.Client(transport=fleet.transport()),
    "async_http_client": httpx.AsyncClient(transport=fleet.async_transport()),
}

llm = AzureOpenAI(model="gpt-4o", engine="gpt-4o-prod", **over_fleet)
embedding = AzureOpenAIEmbedding(
    model="text-embedding-3-small", azure_deployment="text-embedding-3-small-prod", **over_fleet
)

play(llm, embedding)
asyncio.run(play_async(llm, embedding))
