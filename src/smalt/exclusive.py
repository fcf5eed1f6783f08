"""A lock for code that the garbage collector may interrupt."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final


class Exclusive:
    """Held by one thread at a time, and never entered twice.

    A stream that nobody closed is closed by the garbage collector, which runs in any thread at any moment:
    also in one that holds this lock. What it has to do then must neither wait for the lock, for it would wait
    for ever, nor go on under it, where things are half changed: where `held`, it is postponed until the lock
    is free.
    """

    __slots__ = ("_later", "_lock")

    def __init__(self) -> None:
        self._lock: Final = threading.RLock()
        self._later: Final[deque[Callable[[], None]]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        while self._later:
            self._later.popleft()()

    @property
    def held(self) -> bool:
        """Whether this thread holds the lock already."""
        held: bool = self._lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001  as threading.Condition asks
        return held

    def postpone(self, action: Callable[[], None]) -> None:
        """Call `action` as soon as this thread does not hold the lock."""
        self._later.append(action)
