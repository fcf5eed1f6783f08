"""An emulator in the background of a test, handled from ordinary, synchronous code."""

import asyncio
import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from smalt.emulator.fleet import Fleet, default_fleet
from smalt.emulator.running import Emulator
from smalt.emulator.server import event_loop
from smalt.errors import SmaltError


class Handle:
    """A running emulator. Any thread may use it."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._address = urlsplit(emulator.control_url).netloc

    @property
    def control_url(self) -> str:
        return self._emulator.control_url

    @property
    def config_text(self) -> str:
        """A `smalt.yaml` for all of it."""
        return self._emulator.smalt_config()

    def url(self, resource: str) -> str:
        return self._emulator.url(resource)

    def key(self, resource: str) -> str:
        """The first key of a resource."""
        return self._emulator.fleet.resources[resource].keys[0]

    def state(self) -> dict[str, Any]:
        return self._ask("GET", "state")

    def bill(self, *, limit: int = 10_000) -> dict[str, Any]:
        return self._ask("GET", f"bill?limit={limit}")

    def log(self, resource: str | None = None, *, limit: int = 10_000) -> list[dict[str, Any]]:
        query = {"limit": limit} | ({"resource": resource} if resource else {})
        entries: list[dict[str, Any]] = self._ask("GET", f"log?{urlencode(query)}")["entries"]
        return entries

    def set(self, resource: str, mode: str | None = None, **switches: object) -> dict[str, Any]:
        """Change the switches `POST /_emulator/resources/{name}` knows; raises `ValueError` if refused."""
        change = switches if mode is None else {"mode": mode, **switches}
        return self._ask("POST", f"resources/{quote(resource, safe='')}", change)

    def reset(self) -> None:
        self._ask("POST", "reset")

    def _ask(self, method: str, what: str, body: object = None) -> dict[str, Any]:
        with closing(http.client.HTTPConnection(self._address, timeout=10)) as connection:
            connection.request(method, f"/_emulator/{what}", msgspec.json.encode(body))
            answer = connection.getresponse()
            told: dict[str, Any] = msgspec.json.decode(answer.read())
        if answer.status != 200:
            raise ValueError(told["error"])
        return told


@contextmanager
def running(fleet: Fleet | None = None, *, seed: int = 0) -> Iterator[Handle]:
    """Without `fleet`: the default one on free ports, as fast as it can."""
    emulator = Emulator(fleet or default_fleet(0, latency_ms=0, token_ms=0), seed=seed)
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        over = asyncio.Event()
        try:
            await emulator.start()
        except SmaltError as error:
            ready.set_exception(error)
            return
        ready.set_result((asyncio.get_running_loop(), over))
        await over.wait()
        await emulator.stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(live())

    thread = threading.Thread(target=run, name="smalt-emulator", daemon=True)
    thread.start()
    loop, over = ready.result()
    try:
        yield Handle(emulator)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
