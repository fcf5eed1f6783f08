"""Workers that answer for each other: each serves its own pages on a private unix socket as well, so that
whichever is asked can ask the rest and tell of all."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvicorn

from smalt.gateway.asgi import AsgiApp
from smalt.gateway.listening import listening

ANSWER_S = 1.0  # for a sibling, before it counts as silent
LARGEST_PAGE = 16 * 1024 * 1024
SILENT = "no answer"
_WORST_FIRST = (SILENT, "unavailable", "degraded", "ok")


@dataclass(frozen=True, slots=True)
class Siblings:
    """`folder`: of the private sockets, open to this user alone. `number`: of this worker, 1 to `count`."""

    folder: Path
    number: int
    count: int

    def socket_of(self, number: int) -> Path:
        return self.folder / f"{number}.sock"

    async def ask(self, target: str, authorization: str = "") -> Mapping[int, bytes | None]:
        """The page at `target` of every other worker, by its number; None: it did not answer in time."""
        others = [number for number in range(1, self.count + 1) if number != self.number]
        pages = await asyncio.gather(
            *(_page(self.socket_of(number), target, authorization) for number in others)
        )
        return dict(zip(others, pages, strict=True))

    async def ask_json(self, target: str, own: Any, authorization: str = "") -> Mapping[int, Any]:
        """The same decoded, with this worker's `own`, in the order of the workers."""
        told = await self.ask(target, authorization)
        found = {number: None if page is None else json.loads(page) for number, page in told.items()}
        return dict(sorted({**found, self.number: own}.items()))


@asynccontextmanager
async def answering_siblings(siblings: Siblings, pages: AsgiApp) -> AsyncIterator[None]:
    """`pages` are those of this worker alone. They are served until the worker ends, drained or not."""
    config = uvicorn.Config(
        pages, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with listening(siblings.socket_of(siblings.number)) as listener:
        serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001  `serve` takes the signals
        try:
            yield
        finally:
            server.should_exit = server.force_exit = True
            await serving


def worst_health(told: Mapping[int, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The page of the worker that is worst off, and the `status` of each as `workers`. A silent worker makes
    the whole `degraded`."""
    status = {number: SILENT if page is None else str(page["status"]) for number, page in told.items()}
    pages = {number: page for number, page in told.items() if page is not None}
    worst = min(pages, key=lambda number: _WORST_FIRST.index(status[number]))
    page = {**pages[worst], "workers": {str(number): status[number] for number in told}}
    if page["status"] == "ok" and SILENT in status.values():
        page["status"] = "degraded"
    return page


def summed(told: Mapping[int, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The usage of all workers together; `silent_workers` are not in it, if there are any."""
    pages = [page for page in told.values() if page is not None]
    silent = [number for number, page in told.items() if page is None]
    total: dict[str, Any] = _sum("", pages)
    return total | ({"silent_workers": silent} if silent else {})


def by_worker(told: Mapping[int, Sequence[Mapping[str, Any]] | None]) -> list[dict[str, Any]]:
    """The rows of all workers, each with its `worker`; of a silent one a row that says so."""
    rows: list[dict[str, Any]] = []
    for number, page in told.items():
        silent = [{"worker": number, "state": SILENT}]
        rows += silent if page is None else [{"worker": number, **row} for row in page]
    return rows


def _sum(name: str, values: Sequence[Any]) -> Any:
    """Of numbers, of amounts written as text, and of mappings by key."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], dict):
        keys = dict.fromkeys(key for value in known for key in value)
        return {key: _sum(key, [value.get(key) for value in known]) for key in keys}
    if isinstance(known[0], str):
        return f"{sum(map(Decimal, known)):f}"
    return max(known) if name == "ptu_hours" else sum(known)  # every worker counts the same hours


async def _page(path: Path, target: str, authorization: str) -> bytes | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                auth = f"authorization: {authorization}\r\n" if authorization else ""
                writer.write(f"GET {target} HTTP/1.0\r\nhost: sibling\r\n{auth}\r\n".encode("latin-1"))
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.read(LARGEST_PAGE)
                while more := await reader.read(LARGEST_PAGE):
                    body += more
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    refused = head.split(b" ", 2)[1] in {b"401", b"404"}
    return None if refused else body
