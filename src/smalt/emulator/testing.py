"""An emulator in the background of a test, handled from ordinary, synchronous code.

With pytest, `from smalt.emulator.testing import azure` in a test file or conftest.py is all that is needed:
each test that takes `azure` gets the `Handle` of an emulator of its own.
"""

import asyncio
import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from smalt.emulator.fleet import Fleet, default_fleet
from smalt.emulator.running import Emulator
from smalt.emulator.server import event_loop
from smalt.errors import SmaltError

if TYPE_CHECKING:
    from smalt.emulator.fixtures import azure

__all__ = ["Handle", "azure", "running"]


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
        """The first key of a resource, as it is now."""
        return self._emulator.key(resource)

    def state(self) -> dict[str, Any]:
        return self._ask("GET", "state")

    def bill(self, client_request_id: str | None = None, *, limit: int = 10_000) -> dict[str, Any]:
        query = {"limit": limit} | ({"client_request_id": client_request_id} if client_request_id else {})
        return self._ask("GET", f"bill?{urlencode(query)}")

    def log(self, resource: str | None = None, *, limit: int = 10_000) -> list[dict[str, Any]]:
        query = {"limit": limit} | ({"resource": resource} if resource else {})
        entries: list[dict[str, Any]] = self._ask("GET", f"log?{urlencode(query)}")["entries"]
        return entries

    def set(self, resource: str, mode: str | None = None, **switches: object) -> dict[str, Any]:
        """Change the switches `POST /_emulator/resources/{name}` knows; raises `ValueError` if refused."""
        change = switches if mode is None else {"mode": mode, **switches}
        return self._ask("POST", f"resources/{quote(resource, safe='')}", change)

    @property
    def ca_file(self) -> Path | None:
        """What clients must trust; None without TLS."""
        return self._emulator.ca_file

    def tell(self, what: str, **body: object) -> dict[str, Any]:
        """`POST /_emulator/{what}`: everything the control plane knows; raises `ValueError` if refused."""
        return self._ask("POST", what, body)

    def fault(self, kind: str, **fields: object) -> int:
        """Set up one fault of `POST /_emulator/faults`, and give its id; raises `ValueError` if refused."""
        (armed,) = self._ask("POST", "faults", {"kind": kind, **fields})["faults"]
        number: int = armed["id"]
        return number

    def faults(self) -> list[dict[str, Any]]:
        """Those that are set up, with how many requests each has struck."""
        told: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return told

    def drop_faults(self, number: int | None = None) -> None:
        """The one with this id, or all; raises `ValueError` if there is none."""
        self._ask("DELETE", "faults" if number is None else f"faults/{number}")

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
def running(
    fleet: Fleet | None = None, *, seed: int = 0, speed: float | None = None, tls: bool = False
) -> Iterator[Handle]:
    """Without `fleet`: the default one on free ports, as fast as it can.

    `seed`: another one makes other answers. `speed`: how many times shorter limits and waits are;
    None: as the fleet says. `tls`: serve https; see `Handle.ca_file`.
    """
    fleet = fleet or default_fleet(0, latency_ms=0, token_ms=0)
    emulator = Emulator(fleet.adapted(speed=speed, tls=tls), seed=seed)
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


def __getattr__(name: str) -> Any:
    if name == "azure":  # only who asks for the fixture needs pytest
        return import_module("smalt.emulator.fixtures").azure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
