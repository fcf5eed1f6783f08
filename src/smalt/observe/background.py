"""Work that nobody waits for: done in batches by a thread of its own."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

ItemT = TypeVar("ItemT")

GATHER_S: Final = 0.1  # a thread that woke for every item would take more time than the work
LARGEST_BATCH: Final = 512


class Background(Generic[ItemT]):
    """`work` is given items in order, a batch at a time, and tells how many of them are lost; all are if it
    raises. `most`: items that may wait; further ones are lost at once. `lost`: so far. Make it after a fork.
    """

    def __init__(self, work: Callable[[Sequence[ItemT]], int], name: str, *, most: int = 10_000) -> None:
        self._refused = self._failed = 0
        self._work = work
        self._most = most
        self._items: SimpleQueue[ItemT | None] = SimpleQueue()  # may be put to by finalizers
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        return self._refused + self._failed

    def put(self, item: ItemT) -> None:
        """From any thread, also from a finalizer. Never waits."""
        if self._items.qsize() >= self._most or self._closing.is_set():
            self._refused += 1
        else:
            self._items.put(item)

    def close(self, within_s: float) -> None:
        """Do what is left, for so long at most; whatever comes later is lost."""
        self._closing.set()
        self._items.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        while (first := self._items.get()) is not None:
            self._closing.wait(GATHER_S)
            self._do(self._batch(first))

    def _batch(self, first: ItemT) -> list[ItemT]:
        batch = [first]
        with suppress(Empty):
            while len(batch) < LARGEST_BATCH:
                item = self._items.get_nowait()
                if item is None:
                    self._items.put(None)  # the end, once this is done
                    break
                batch.append(item)
        return batch

    def _do(self, batch: Sequence[ItemT]) -> None:
        try:
            failed = self._work(batch)
        except Exception:  # noqa: BLE001  it could only be told by what may have failed
            failed = len(batch)
        self._failed += failed
