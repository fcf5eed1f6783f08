import asyncio

from calls import play, play_async

play()
asyncio.run(play_async())
