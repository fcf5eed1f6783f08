"""Transports that put a fleet under any SDK that rides httpx or httpx2, sync and async.

The two libraries have the same classes under two names. What is written here once is bound to the base
classes of either by `transport_classes`.
"""

import uuid
from collections.abc import AsyncIterator, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from smalt.client.door import Door
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, SendFailed, run, run_async
from smalt.dispatch.watched import WatchedStream
from smalt.errors import MissingExtra, SmaltError

if TYPE_CHECKING:
    import httpx2

    from smalt.assemble import Assembly

HttpLibrary = Literal["httpx", "httpx2"]


class Transports(NamedTuple):
    """Transport classes of one HTTP library; both take an `Assembly`."""

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
    events = type("EventBody", (_EventBody, http.SyncByteStream), {})
    async_events = type("AsyncEventBody", (_AsyncEventBody, http.AsyncByteStream), {})
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
    event_body: type["_EventBody"]

    def __init__(self, assembly: "Assembly") -> None:
        self._door = Door(assembly, self.http)
        self._inner: httpx2.HTTPTransport = self.http.HTTPTransport(limits=_limits(self.http))

    def handle_request(self, request: "httpx2.Request") -> "httpx2.Response":
        door, request_id, body = self._door, str(uuid.uuid4()), request.read()

        def send(upstream: str, call: OpenCall) -> "Answer[httpx2.Response]":
            outgoing, rewrites = door.outgoing(upstream, call, request, body)
            try:
                response = self._inner.handle_request(outgoing)
                content = None if _is_event_stream(response) else response.read()
            except self.http.RequestError as error:
                raise door.failed(error) from None
            return _answer(response, content, rewrites)

        try:
            call = door.open(request, body, request_id)
            return door.reply(call, run(call, send), self.event_body)
        except SmaltError as error:
            return door.refusal(error, request_id)

    def close(self) -> None:
        self._inner.close()


class _AsyncTransport:
    """Sends every request of an SDK through the fleet. For one event loop."""

    http: Any
    event_body: type["_AsyncEventBody"]

    def __init__(self, assembly: "Assembly") -> None:
        self._door = Door(assembly, self.http)
        self._inner: httpx2.AsyncHTTPTransport = self.http.AsyncHTTPTransport(limits=_limits(self.http))

    async def handle_async_request(self, request: "httpx2.Request") -> "httpx2.Response":
        door, request_id, body = self._door, str(uuid.uuid4()), await request.aread()

        async def send(upstream: str, call: OpenCall) -> "Answer[httpx2.Response]":
            outgoing, rewrites = door.outgoing(upstream, call, request, body)
            try:
                response = await self._inner.handle_async_request(outgoing)
                content = None if _is_event_stream(response) else await response.aread()
            except self.http.RequestError as error:
                raise door.failed(error) from None
            return _answer(response, content, rewrites)

        try:
            call = door.open(request, body, request_id)
            return door.reply(call, await run_async(call, send), self.event_body)
        except SmaltError as error:
            return door.refusal(error, request_id)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _EventBody:
    """Iterating it drives the stream; closing it early leaves the call."""

    def __init__(self, door: Door, stream: WatchedStream, response: "httpx2.Response") -> None:
        self._door = door
        self._stream = stream
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        failed: SendFailed | None = None
        try:
            for data in self._response.iter_bytes():
                yield self._stream.feed(data)
        except Exception as error:  # noqa: BLE001  whatever the HTTP library raises ends the stream
            failed = self._door.failed(error)
        yield self._stream.last(failed)

    def close(self) -> None:
        self._response.close()
        self._stream.leave()


class _AsyncEventBody(_EventBody):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        failed: SendFailed | None = None
        try:
            async for data in self._response.aiter_bytes():
                yield self._stream.feed(data)
        except Exception as error:  # noqa: BLE001  whatever the HTTP library raises ends the stream
            failed = self._door.failed(error)
        yield self._stream.last(failed)

    async def aclose(self) -> None:
        await self._response.aclose()
        self._stream.leave()


def _limits(http: Any) -> Any:
    return http.Limits(max_connections=1_000, max_keepalive_connections=100)


def _is_event_stream(response: "httpx2.Response") -> bool:
    kind: str = response.headers.get("content-type", "")
    return response.status_code < 300 and kind.startswith("text/event-stream")


def _answer(
    response: "httpx2.Response", content: bytes | None, rewrites: tuple[str, ...]
) -> "Answer[httpx2.Response]":
    headers = [(name.lower(), value) for name, value in response.headers.raw]
    stream = response if content is None else None
    return Answer(response.status_code, headers, content or b"", stream, rewrites)
