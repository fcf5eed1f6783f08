import asyncio

import httpx
import litellm
from calls import play, play_async

from smalt import Fleet

fleet = Fleet.load()
litellm.client_session = httpx.Client(transport=fleet.transport())
litellm.aclient_session = httpx.AsyncClient(transport=fleet.async_transport())

play()
asyncio.run(play_async())
