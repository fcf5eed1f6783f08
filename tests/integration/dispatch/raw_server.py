"""A server that sends exactly the bytes a test wants, when it wants, and sees what comes in."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from smalt.dispatch.target import Origin

LIMIT_S = 5.0  # nothing a script waits for takes longer


class Peer:
    """One connection, as the server sees it. `number` counts from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """A whole request. Raises EOFError when the other side closes instead."""
        async with asyncio.timeout(LIMIT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            return head + await self._reader.readexactly(int(length[1]) if length else 0)

    async def send(self, *pieces: bytes, every_s: float = 0) -> None:
        """Each piece by itself; with a pause also in a packet of its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(every_s)  # draining alone does not let others run

    def stop_sending(self) -> None:
        """Close this direction only."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Close with RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def gone(self) -> None:
        """Returns when the other side has closed or reset the connection."""
        async with asyncio.timeout(LIMIT_S):
            with suppress(ConnectionError):
                while await self._reader.read(65_536):
                    pass


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """`peers`: all connections so far; `open`: how many of them are."""

    def __init__(self, script: Script) -> None:
        self.peers: list[Peer] = []
        self.open = 0
        self.origin = Origin("", 0, tls=False)
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        self.open += 1
        try:
            with suppress(EOFError, ConnectionError):
                await self._script(peer)
            await peer.gone()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
            async with self._changed:
                self.open -= 1
                self._changed.notify_all()

    async def until_open(self, count: int, *, within_s: float = LIMIT_S) -> None:
        """Returns when only `count` connections are left."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: self.open <= count)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    server = RawServer(script)
    listener = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    server.origin = Origin("127.0.0.1", listener.sockets[0].getsockname()[1], tls is not None)
    try:
        yield server
    finally:
        listener.close()
        await server.stop()
