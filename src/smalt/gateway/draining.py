"""How a gateway ends: it is announced, no connection is taken any more, then what is under way ends.

uvicorn's server waits only for the last of these, and ends at the first signal. Relied upon of its pinned
version: `handle_exit`, `main_loop`, `on_tick`, `shutdown`, `should_exit`, `force_exit`, `servers`,
`server_state`, `_captured_signals`.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from smalt.config.listening import Drain
from smalt.gateway.http_protocol import GatewayProtocol
from smalt.gateway.load import Load

TICK_S = 0.05
LAST_WORDS_S = 1.0  # for answers to those who were cut


class Server(uvicorn.Server):
    """Ends by SIGTERM with an announcement, by SIGINT without; a second signal ends it at once.

    `drain`: asked for when it begins, because settings change.
    """

    def __init__(self, config: uvicorn.Config, load: Load, drain: Callable[[], Drain]) -> None:
        super().__init__(config)
        self._load = load
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._captured_signals.append(sig)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's name for all that follows the signal."""
        drain = self._drain()
        self._load.closing = True
        if signal.SIGINT not in self._captured_signals:
            await self._until(lambda: False, drain.announce_s)
        await self._close_listeners(sockets or ())
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._until(self._has_ended, drain.streams_s)
        await self._cut()

    async def _close_listeners(self, listeners: Sequence[socket.socket]) -> None:
        """Whoever has come until now is served: the kernel would reset those that wait to be accepted."""
        waiting = [sock for listener in listeners for sock in _accepted(listener)]
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()
        loop, config = asyncio.get_running_loop(), self.config

        def protocol() -> asyncio.Protocol:
            made: Any = config.http_protocol_class
            served: asyncio.Protocol = made(config=config, server_state=self.server_state, app_state={})
            return served

        for sock in waiting:
            with suppress(OSError):
                await loop.connect_accepted_socket(protocol, sock, ssl=config.ssl)

    async def _until(self, holds: Callable[[], bool], limit_s: float) -> None:
        """At most so long, and only until the second signal."""
        end_s = asyncio.get_running_loop().time() + limit_s
        ticks = 0
        while not (holds() or self.force_exit) and (left_s := end_s - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left_s, TICK_S))
            ticks += 1
            await self.on_tick(ticks)  # the date of answers goes on

    def _has_ended(self) -> bool:
        return not (self.server_state.connections or self.server_state.tasks)

    async def _cut(self) -> None:
        if self._has_ended():
            return
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, GatewayProtocol):
                connection.cut()
        self.force_exit = False
        await self._until(self._has_ended, LAST_WORDS_S)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        tasks: Sequence[asyncio.Task[None]] = tuple(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with suppress(OSError):  # nobody waits
        while True:
            yield listener.accept()[0]
