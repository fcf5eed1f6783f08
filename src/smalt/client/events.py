"""A streamed answer: waited for until its content begins, then read by the SDK's HTTP library.

Iterating the body drives the stream; closing it early leaves the call. Who iterates a second time goes on
where the first stopped: SDKs do so to drain what is left. `transport_classes` binds the bodies to the
library's own classes of byte streams.
"""

from collections.abc import AsyncIterator, Iterator

from smalt.client.hop import AsyncStream, Stream
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, SendFailed
from smalt.dispatch.watched import WatchedStream


def begun(answer: Answer[Stream], call: OpenCall) -> Answer[Stream]:
    """The answer, its stream held until there is content. Raises SendFailed if it begins with an error."""
    if answer.stream is None:
        return answer
    answer.watched = watched = WatchedStream(call, answer.head, keep_text=True, renamed=answer.renamed)
    try:
        if not any(watched.begin(data) for data in answer.stream):
            watched.begin_at_end()
    except BaseException:
        answer.stream.close()
        raise
    return answer


async def begun_async(answer: Answer[AsyncStream], call: OpenCall) -> Answer[AsyncStream]:
    """The same for an event loop."""
    if answer.stream is None:
        return answer
    answer.watched = watched = WatchedStream(call, answer.head, keep_text=True, renamed=answer.renamed)
    try:
        async for data in answer.stream:
            if watched.begin(data):
                return answer
        watched.begin_at_end()
    except BaseException:
        await answer.stream.aclose()
        raise
    return answer


class EventBody:
    """For threads."""

    def __init__(self, stream: Stream, watched: WatchedStream) -> None:
        self._stream = stream
        self._watched = watched
        self._left = False

    def __iter__(self) -> Iterator[bytes]:
        failed: SendFailed | None = None
        yield self._watched.held()
        try:
            for data in self._stream:
                yield self._watched.feed(data)
        except SendFailed as error:
            failed = error
        yield self._watched.last(failed)

    def close(self) -> None:
        if not self._left:
            self._left = True
            self._stream.close()
            self._watched.leave()

    def __del__(self) -> None:
        """Who drops a stream without reading it has left it, too."""
        self.close()


class AsyncEventBody:
    """For an event loop."""

    def __init__(self, stream: AsyncStream, watched: WatchedStream) -> None:
        self._stream = stream
        self._watched = watched
        self._left = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        failed: SendFailed | None = None
        yield self._watched.held()
        try:
            async for data in self._stream:
                yield self._watched.feed(data)
        except SendFailed as error:
            failed = error
        yield self._watched.last(failed)

    async def aclose(self) -> None:
        if not self._left:
            self._left = True
            await self._stream.aclose()
            self._watched.leave()

    def __del__(self) -> None:
        """As of `EventBody`."""
        if not self._left:
            self._left = True
            self._stream.drop()
            self._watched.leave()
