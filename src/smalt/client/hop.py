"""One attempt to one upstream, over our own connections: for threads, and for event loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Final, TypeVar

from msgspec import Struct

from smalt.dispatch.blocking import BlockingConnections, BlockingResponse
from smalt.dispatch.connection import Received
from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.heads import Head
from smalt.dispatch.run import Answer, SendFailed
from smalt.dispatch.target import Origin, Outgoing

LARGEST_WHOLE: Final = 2**40  # bytes: what the caller's memory holds

StreamT = TypeVar("StreamT")


class Outbound(Struct, frozen=True):
    """A request as it leaves. `head`: of its target, the end of `head_bytes`. `answer_s`: how long its answer
    may take, of a stream its head. `idle_s`: how long a stream may be silent. `heard`: told what its
    answer's head says."""

    origin: Origin
    head: Head
    head_bytes: bytes
    outgoing: Outgoing
    connect_s: float
    answer_s: float
    idle_s: float
    heard: Callable[[Sequence[tuple[bytes, bytes]]], None]

    def __repr__(self) -> str:
        """Without the credential."""
        return f"Outbound(to {self.origin}, {self.outgoing.path})"


class Stream:
    """A streamed answer. Iterating gives the pieces as they come, from wherever the last one stopped. Raises
    SendFailed."""

    def __init__(self, response: BlockingResponse, idle_s: float) -> None:
        response.go_on(idle_s)
        self._response = response
        self._pieces = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._response.close()

    def _read(self) -> Iterator[bytes]:
        yield from self._response.pieces()


class AsyncStream:
    """The same for an event loop."""

    def __init__(self, response: Response, idle_s: float) -> None:
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._pieces = self._read(idle_s)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        self._response.close()

    def drop(self) -> None:
        """Close it from wherever, the garbage collector too."""
        with suppress(RuntimeError):  # the loop has ended, and everything in it
            self._loop.call_soon_threadsafe(self._response.close)

    async def _read(self, idle_s: float) -> AsyncIterator[bytes]:
        async for piece in self._response.pieces(idle_s):
            yield piece


class Hop:
    """Sends. Safe for threads. `http`: the module `httpx` or `httpx2`, whichever the SDK rides: its trust in
    certificates holds here, too."""

    def __init__(self, http: ModuleType) -> None:
        self._http = http
        self._closed = False
        self._connections = BlockingConnections(http.create_ssl_context)

    def send(self, outbound: Outbound) -> "Answer[Stream]":
        """The answer: a stream of events open, anything else whole. Raises SendFailed, and
        the HTTP library's ReadError once closed: that is no upstream's failure."""
        try:
            return self._send(outbound)
        except SendFailed:
            if self._closed:
                raise self._http.ReadError("the client was closed") from None
            raise

    def _send(self, outbound: Outbound) -> "Answer[Stream]":
        response = self._connections.send(
            outbound.origin,
            outbound.head_bytes,
            outbound.outgoing.body,
            connect_s=outbound.connect_s,
            limit_s=outbound.answer_s,
        )
        outbound.heard(response.headers)
        if response.is_event_stream:
            return _answer(response, outbound, stream=Stream(response, outbound.idle_s))
        try:
            body = response.whole()
        except BaseException:
            response.close()
            raise
        return _answer(response, outbound, body)

    def close(self) -> None:
        self._closed = True
        self._connections.close()


class AsyncHop:
    """Sends. Each event loop has connections of its own, which end with it."""

    def __init__(self, http: ModuleType) -> None:
        self._http = http
        self._closed = False
        self._of_loops: dict[asyncio.AbstractEventLoop, Connections] = {}

    async def send(self, outbound: Outbound) -> "Answer[AsyncStream]":
        """The answer: a stream of events open, anything else whole. Raises SendFailed, and
        the HTTP library's ReadError once closed: that is no upstream's failure."""
        try:
            return await self._send(outbound)
        except SendFailed:
            if self._closed:
                raise self._http.ReadError("the client was closed") from None
            raise

    async def _send(self, outbound: Outbound) -> "Answer[AsyncStream]":
        response = await self._of_this_loop().send(
            outbound.origin,
            outbound.head_bytes,
            outbound.outgoing.body,
            connect_s=outbound.connect_s,
            limit_s=outbound.answer_s,
        )
        outbound.heard(response.headers)
        if response.is_event_stream:
            return _answer(response, outbound, stream=AsyncStream(response, outbound.idle_s))
        try:
            body = await response.whole(LARGEST_WHOLE)
        except BaseException:
            response.close()
            raise
        return _answer(response, outbound, body or b"")

    async def aclose(self) -> None:
        self._closed = True
        here = self._of_loops.pop(asyncio.get_running_loop(), None)
        for loop, connections in self._of_loops.items():
            with suppress(RuntimeError):  # the loop has ended, and everything in it
                loop.call_soon_threadsafe(connections.close)
        self._of_loops.clear()
        if here is not None:
            here.close()
            await asyncio.sleep(0)  # its sockets close one turn later

    def _of_this_loop(self) -> Connections:
        loop = asyncio.get_running_loop()
        known = self._of_loops.get(loop)
        if known is None:
            self._of_loops = {old: its for old, its in self._of_loops.items() if not old.is_closed()}
            known = self._of_loops[loop] = Connections(self._http.create_ssl_context)
            if self._closed:
                known.close()
        return known


def _answer(
    response: Received, outbound: Outbound, body: bytes = b"", stream: StreamT | None = None
) -> Answer[StreamT]:
    rewrites, renamed = outbound.outgoing.rewrites, outbound.outgoing.renamed
    return Answer(
        response.status, response.headers, body, stream, rewrites, renamed=renamed, head=outbound.head
    )
