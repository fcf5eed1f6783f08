"""The responses a resource keeps. No other resource knows them."""

import asyncio
import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from smalt.emulator.params import Body

RECORDS = 10_000
_NONCE_BYTES = 12
ITEM_BYTES = 256 * 1024 * 1024  # of all records together; beyond it the oldest go first


class Job:
    """A response that is generated whether or not somebody listens.

    `frames`: its events so far; the place of each is its sequence number. `streams`: it may be listened to.
    """

    def __init__(self, *, streams: bool) -> None:
        self.streams = streams
        self.frames: list[bytes] = []
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._tell()

    def end(self) -> None:
        self.ended = True
        self._tell()

    async def news(self) -> None:
        """Wait for the next frame, or the end."""
        await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


@dataclass(slots=True)
class Record:
    """`response`: as it is at the moment. `items`: all that led to it, previous responses included."""

    response: dict[str, Any]
    items: list[Body]
    job: Job | None = None
    size: int = 0

    @property
    def context(self) -> list[Body]:
        """What a response that follows this one is given."""
        return [*self.items, *self.response["output"]]


class Store:
    """`owner`: the resource's name."""

    def __init__(self, owner: str = "") -> None:
        self._owner = owner.encode()
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._size = 0

    def __contains__(self, response_id: object) -> bool:
        return response_id in self._records

    def get(self, response_id: str) -> Record | None:
        return self._records.get(response_id)

    def add(self, record: Record, new_items: list[Body]) -> None:
        """`new_items`: those among its items that no other record holds."""
        record.size = len(msgspec.json.encode(new_items))
        self._records[record.response["id"]] = record
        self._size += record.size
        while len(self._records) > RECORDS or self._size > ITEM_BYTES:
            self._drop(next(iter(self._records)))

    def delete(self, response_id: str) -> bool:
        """Whether there was one. What is still being generated stops."""
        if response_id not in self._records:
            return False
        self._drop(response_id)
        return True

    def item(self, item_id: str) -> Body | None:
        """An item of any stored response."""
        for record in reversed(self._records.values()):
            for item in record.context:
                if item.get("id") == item_id:
                    return item
        return None

    def clear(self) -> None:
        for response_id in list(self._records):
            self._drop(response_id)

    def seal(self, nonce: bytes) -> str:
        """Encrypted reasoning: unreadable to everybody, good for this resource alone."""
        return "gAAAAA" + base64.urlsafe_b64encode(nonce + self._mac(nonce)).decode()

    def sealed(self, content: str) -> bool:
        """Whether `content` is of this resource."""
        try:
            raw = base64.urlsafe_b64decode(content.removeprefix("gAAAAA"))
        except ValueError:
            return False
        return self.seal(raw[:_NONCE_BYTES]) == content

    def _mac(self, nonce: bytes) -> bytes:
        return hashlib.blake2b(nonce, key=self._owner[:64], digest_size=32).digest()

    def _drop(self, response_id: str) -> None:
        record = self._records.pop(response_id)
        self._size -= record.size
        if record.job and record.job.task:
            record.job.task.cancel()
