import asyncio

from calls import play, play_async
from llama_index.embeddings.azure_openai import AzureOpenAIEmbedding
from llama_index.llms.azure_openai import AzureOpenAI

llm = AzureOpenAI(model="gpt-4o", engine="gpt-4o-prod")
embedding = AzureOpenAIEmbedding(
    model="text-embedding-3-small", azure_deployment="text-embedding-3-small-prod"
)

play(llm, embedding)
asyncio.run(play_async(llm, embedding))
