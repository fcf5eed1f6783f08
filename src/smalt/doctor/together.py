"""Several jobs at once, in a given time; none of them keeps the process alive."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class Unfinished(Exception):
    """These jobs took too long; they go on unheard."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    job: str
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    job: str


def together(
    jobs: Mapping[str, Callable[[], Iterable[T]]], limit_s: float, failed: Callable[[str, Exception], T]
) -> Iterator[tuple[str, T]]:
    """What the jobs yield, as it comes, with the name of the job.

    `limit_s`: after which Unfinished is raised, all else having been told. `failed`: makes the last of a job
    that raised; the others go on. The threads are daemons, so that Ctrl-C ends the process although one of
    them waits for a server.
    """
    came: queue.SimpleQueue[_Item[T] | _End] = queue.SimpleQueue()

    def run(name: str, job: Callable[[], Iterable[T]]) -> None:
        try:
            for item in job():
                came.put(_Item(name, item))
        except Exception as error:  # noqa: BLE001  # whatever it is, the other jobs have theirs to say
            came.put(_Item(name, failed(name, error)))
        finally:
            came.put(_End(name))

    for name, job in jobs.items():
        threading.Thread(target=run, args=(name, job), name=f"doctor {name}", daemon=True).start()
    waiting, until = set(jobs), time.monotonic() + limit_s
    while waiting:
        try:
            told = came.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise Unfinished(tuple(name for name in jobs if name in waiting)) from None
        match told:
            case _Item(name, value):
                yield name, value
            case _End(name):
                waiting.discard(name)
