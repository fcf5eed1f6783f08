import asyncio
import os

from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient, OpenAIEmbeddingClient
from calls import play

azure = {
    "azure_endpoint": os.environ["AZURE_OPENAI_ENDPOINT"],
    "api_key": os.environ["AZURE_OPENAI_API_KEY"],
}

chat = OpenAIChatCompletionClient(model="gpt-4o-prod", api_version="2024-10-21", **azure)
# it always asks for encrypted reasoning, which Azure refuses for models that do not reason
responses = OpenAIChatClient(model="gpt-5-mini-prod", **azure)
embedding = OpenAIEmbeddingClient(model="text-embedding-3-small-prod", api_version="2024-10-21", **azure)

asyncio.run(play(chat, responses, embedding))
