"""The one place where an answer meets its caller: steps become bytes, waits and broken connections."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from smalt.emulator.answers import Until
from smalt.emulator.log import Entry
from smalt.emulator.refusals import Billed
from smalt.emulator.server import Reply
from smalt.emulator.steps import Close, Data, End, Hang, Head, Reset, Step, Steps, Wait
from smalt.emulator.world import World

Bill = Callable[[int, Billed], None]


class Sender:
    """Walks the steps of one answer, once.

    `bill(tokens, how)` is called once if the head went out: before the last byte, or when the answer breaks
    off. `tokens`: of output, generated until then.
    """

    def __init__(self, world: World, reply: Reply, entry: Entry, bill: Bill) -> None:
        self._world = world
        self._reply = reply
        self._entry = entry
        self._bill = bill
        self._tokens = 0

    async def send(self, steps: Steps) -> None:
        try:
            for step in steps:
                if not await self._take(step):
                    return
        finally:
            self._settle("partial")

    async def _take(self, step: Step) -> bool:
        """Whether there is more to come."""
        match step:
            case Head():
                self._head(step)
            case Data():
                self._write(step)
                await self._reply.drained()
            case Wait(ms):
                await self._pause(ms)
            case Until(ready):
                await ready()
            case Hang():
                await asyncio.get_running_loop().create_future()
            case End(data, billed):
                self._entry.chunks += bool(data) and self._entry.outcome == "streaming"
                self._settle(billed)
                self._reply.end(data)
                return False
            case Close():
                self._reply.cut()
                return False
            case Reset():
                self._settle("partial")
                await self._reply.reset()
                return False
            case other:
                assert_never(other)
        return True

    def _head(self, head: Head) -> None:
        entry = self._entry
        entry.status, entry.head_s = head.status, self._world.now()
        entry.outcome = "streaming" if head.of_events else entry.outcome
        self._tokens += head.tokens
        self._reply.start(head.status, head.headers, version=head.version, part=head.part)

    def _write(self, piece: Data) -> None:
        self._reply.write(piece.data)
        self._entry.chunks += bool(piece.data)
        self._tokens += piece.tokens

    def _settle(self, billed: Billed) -> None:
        if self._entry.head_s is None:
            return
        bill, self._bill = self._bill, _nothing
        if billed != "none":
            bill(self._tokens, billed)

    async def _pause(self, delay_ms: float) -> None:
        delay_s = self._world.clock.outside_s(delay_ms / 1_000)
        await asyncio.sleep(delay_s)  # 0 too: it is here that a caller's hang-up takes effect


def _nothing(_tokens: int, _billed: Billed) -> None:
    pass
