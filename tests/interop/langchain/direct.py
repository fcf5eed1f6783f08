import asyncio

from calls import play, play_async
from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings

chat = AzureChatOpenAI(azure_deployment="gpt-4o-prod")
responses = AzureChatOpenAI(azure_deployment="gpt-4o-prod", use_responses_api=True)
embeddings = AzureOpenAIEmbeddings(
    azure_deployment="text-embedding-3-small-prod",
    check_embedding_ctx_length=False,  # this check fetches tables from the internet
)

play(chat, responses, embeddings)
asyncio.run(play_async(chat, responses, embeddings))
