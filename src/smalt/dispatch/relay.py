"""Hands an upstream's stream to the caller as it comes, and ends the call exactly once."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from smalt.dispatch.connections import Response
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import SendFailed
from smalt.dispatch.watched import WatchedStream
from smalt.errors import StreamInterrupted
from smalt.types import Usage


class Writer(Protocol):
    """The caller's end of an answer. `throttle` says once which source to slow down when it lags."""

    def write(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...
    def throttle(self, source: Response) -> None: ...


async def relay_events(source: Response, stream: WatchedStream, writer: Writer, *, idle_s: float) -> None:
    """Forward a stream of events until it has ended. Cancelled when the caller leaves: the upstream is
    dropped at once."""

    def forward(data: bytes) -> None:
        events = stream.feed(data)
        if events:
            writer.write(events)

    try:
        writer.write(stream.held())
        failed = await _drain(source, forward, writer, idle_s=idle_s)
    except BaseException:
        source.close()
        stream.leave()
        raise
    writer.write(stream.last(failed))
    writer.end()


async def relay_bytes(source: Response, call: OpenCall, writer: Writer, *, idle_s: float) -> None:
    """Forward an answer too large to be taken whole; one that breaks takes the caller's connection along."""
    estimate = Usage(call.prompt_tokens)
    try:
        failed = await _drain(source, writer.write, writer, idle_s=idle_s)
    except BaseException:
        call.abandon(estimate)
        raise
    call.finish(estimate, estimated=True, error=StreamInterrupted.code if failed else None)
    if failed is not None:
        writer.abort()
    else:
        writer.end()


async def _drain(
    source: Response, forward: Callable[[bytes], None], writer: Writer, *, idle_s: float
) -> SendFailed | None:
    ended: asyncio.Future[SendFailed | None] = asyncio.get_running_loop().create_future()

    def take(data: bytes) -> None:
        """A caller's end that breaks must not look like an upstream's fault."""
        if ended.done():
            return
        try:
            forward(data)
        except Exception as error:  # noqa: BLE001  raised again by whoever waits
            ended.set_exception(error)

    def end(failed: SendFailed | None) -> None:
        if not ended.done():
            ended.set_result(failed)

    writer.throttle(source)
    try:
        source.relay(take, end, idle_s=idle_s)
        return await ended
    finally:
        source.close()
