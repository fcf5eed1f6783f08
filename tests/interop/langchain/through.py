import asyncio

import httpx2
from calls import play, play_async
from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings

from smalt import Fleet

fleet = Fleet.load()
over_fleet = {
    "http_client": httpx2.Client(transport=fleet.transport()),
    "http_async_client": httpx2.AsyncClient(transport=fleet.async_transport()),
}

chat = AzureChatOpenAI(azure_deployment="gpt-4o-prod", **over_fleet)
responses = AzureChatOpenAI(azure_deployment="gpt-4o-prod", use_responses_api=True, **over_fleet)
embeddings = AzureOpenAIEmbeddings(
    azure_deployment="text-embedding-3-small-prod",
    check_embedding_ctx_length=False,  # this check fetches tables from the internet
    **over_fleet,
)

play(chat, responses, embeddings)
asyncio.run(play_async(chat, responses, embeddings))
