"""Transports that put a fleet under any SDK that rides httpx or httpx2, sync and async.

The two libraries have the same classes under two names. What is written here once is bound to the base
classes of either by `transport_classes`.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from smalt.client.door import Door, Doors, Inbound
from smalt.client.embeddings import ask_all, ask_all_async, batch_of
from smalt.client.events import AsyncEventBody, EventBody, begun, begun_async
from smalt.client.hop import AsyncHop, AsyncStream, Hop, Stream
from smalt.dispatch.dispatcher import OpenCall, new_id
from smalt.dispatch.run import Answer, run, run_async
from smalt.errors import MissingExtra, SmaltError

if TYPE_CHECKING:
    import httpx2

    from smalt.assemble import Assembly

HttpLibrary = Literal["httpx", "httpx2"]


class Transports(NamedTuple):
    """Transport classes of one HTTP library; both take what gives the `Assembly` of the moment."""

    http: Any
    sync: type[Any]
    asynchronous: type[Any]


def library_of_the_sdk() -> HttpLibrary:
    """openai 2.x rides httpx, 3.x rides httpx2; without openai it is httpx2, which smalt brings along."""
    try:
        major = int(version("openai").partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return "httpx2"
    return "httpx" if major < 3 else "httpx2"


@cache
def transport_classes(library: HttpLibrary) -> Transports:
    """Raises MissingExtra if the library is not installed."""
    try:
        http = import_module(library)
    except ImportError:
        raise MissingExtra(f"a transport for {library}", "openai") from None
    events = type("EventBody", (EventBody, http.SyncByteStream), {})
    async_events = type("AsyncEventBody", (AsyncEventBody, http.AsyncByteStream), {})
    return Transports(
        http,
        type("Transport", (_Transport, http.BaseTransport), {"http": http, "event_body": events}),
        type(
            "AsyncTransport",
            (_AsyncTransport, http.AsyncBaseTransport),
            {"http": http, "event_body": async_events},
        ),
    )


class _Transport:
    """Sends every request of an SDK through the fleet. Safe for threads."""

    http: Any
    event_body: type[EventBody]

    def __init__(self, current: Callable[[], "Assembly"]) -> None:
        self._doors = Doors(current, self.http)
        self._hop = Hop(self.http)

    def start_afresh(self) -> None:
        """In a child process: the parent's connections stay the parent's."""
        self._hop = Hop(self.http)

    def handle_request(self, request: "httpx2.Request") -> "httpx2.Response":
        door, request_id, body = self._doors.now, new_id(), request.read()
        inbound: Inbound | None = None
        try:
            inbound = door.inbound(request, body, request_id)
            kept = door.kept(inbound)
            if kept is not None:
                return kept
            batch = batch_of(door, inbound)
            if batch is not None:
                return ask_all(batch, self._ask)
            call = door.open(inbound)
            answer = self._ask(door, inbound, call)
        except SmaltError as error:
            return door.refusal(error, request_id, inbound)
        if answer.stream is None or answer.watched is None:
            return door.whole(inbound, call, answer)
        return door.stream(call, answer, self.event_body(answer.stream, answer.watched))

    def _ask(self, door: Door, inbound: Inbound, call: OpenCall) -> Answer[Stream]:
        def send(upstream: str, call: OpenCall) -> Answer[Stream]:
            return begun(self._hop.send(door.outbound(upstream, call, inbound)), call)

        return run(call, send)

    def close(self) -> None:
        self._hop.close()


class _AsyncTransport:
    """Sends every request of an SDK through the fleet. For one event loop."""

    http: Any
    event_body: type[AsyncEventBody]

    def __init__(self, current: Callable[[], "Assembly"]) -> None:
        self._doors = Doors(current, self.http)
        self._hop = AsyncHop(self.http)

    def start_afresh(self) -> None:
        """In a child process: the parent's connections stay the parent's."""
        self._hop = AsyncHop(self.http)

    async def handle_async_request(self, request: "httpx2.Request") -> "httpx2.Response":
        door, request_id, body = self._doors.now, new_id(), await request.aread()
        inbound: Inbound | None = None
        try:
            inbound = door.inbound(request, body, request_id)
            kept = door.kept(inbound)
            if kept is not None:
                return kept
            batch = batch_of(door, inbound)
            if batch is not None:
                return await ask_all_async(batch, self._ask)
            call = door.open(inbound)
            answer = await self._ask(door, inbound, call)
        except SmaltError as error:
            return door.refusal(error, request_id, inbound)
        if answer.stream is None or answer.watched is None:
            return door.whole(inbound, call, answer)
        return door.stream(call, answer, self.event_body(answer.stream, answer.watched))

    async def _ask(self, door: Door, inbound: Inbound, call: OpenCall) -> Answer[AsyncStream]:
        async def send(upstream: str, call: OpenCall) -> Answer[AsyncStream]:
            outbound = await door.outbound_async(upstream, call, inbound)
            return await begun_async(await self._hop.send(outbound), call)

        return await run_async(call, send)

    async def aclose(self) -> None:
        await self._hop.aclose()
