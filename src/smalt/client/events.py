"""The body of a streamed answer, as the SDK's HTTP library reads it.

Iterating it drives the stream; closing it early leaves the call. Who iterates a second time goes on where the
first stopped: SDKs do so to drain what is left. `transport_classes` binds the classes to the library's own.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from smalt.dispatch.run import SendFailed
from smalt.dispatch.watched import WatchedStream

if TYPE_CHECKING:
    import httpcore2

    from smalt.client.hop import AsyncHop, Hop


class EventBody:
    """For threads."""

    def __init__(self, hop: "Hop", stream: WatchedStream, response: "httpcore2.Response") -> None:
        self._stream = stream
        self._response = response
        self._pieces = hop.events(response)

    def __iter__(self) -> Iterator[bytes]:
        failed: SendFailed | None = None
        try:
            for data in self._pieces:
                yield self._stream.feed(data)
        except SendFailed as error:
            failed = error
        yield self._stream.last(failed)

    def close(self) -> None:
        self._response.close()
        self._stream.leave()


class AsyncEventBody:
    """For an event loop."""

    def __init__(self, hop: "AsyncHop", stream: WatchedStream, response: "httpcore2.Response") -> None:
        self._stream = stream
        self._response = response
        self._pieces = hop.events(response)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        failed: SendFailed | None = None
        try:
            async for data in self._pieces:
                yield self._stream.feed(data)
        except SendFailed as error:
            failed = error
        yield self._stream.last(failed)

    async def aclose(self) -> None:
        await self._response.aclose()
        self._stream.leave()
