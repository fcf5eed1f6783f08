"""Hands an upstream's stream to the caller as it comes, and ends the call exactly once."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from smalt.dispatch.connections import Response
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import SendFailed
from smalt.errors import StreamInterrupted
from smalt.types import Usage
from smalt.wire.error_body import error_event
from smalt.wire.sse import StreamWatch


class Writer(Protocol):
    """The caller's end of an answer. `throttle` says once which source to slow down when it lags."""

    def write(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...
    def throttle(self, source: Response) -> None: ...


async def relay_events(source: Response, call: OpenCall, writer: Writer, *, idle_s: float) -> None:
    """Forward a stream of events until it has ended. One that breaks, or stops without its end, is closed
    with an error event. Cancelled when the caller leaves: the upstream is dropped at once."""
    watch = StreamWatch(hide_usage=not call.facts.asks_usage)

    def forward(data: bytes) -> None:
        events = watch.feed(data)
        if events:
            writer.write(events)

    try:
        failed = await _drain(source, forward, writer, idle_s=idle_s)
    except BaseException:
        call.abandon(_spent(watch, call))
        raise
    if failed is not None:
        writer.write(error_event(StreamInterrupted(f"the stream broke: {failed}")))
    elif watch.ended:
        writer.write(watch.rest())
    else:
        writer.write(error_event(StreamInterrupted("the stream stopped without a finish reason")))
    writer.end()
    call.finish(_spent(watch, call), estimated=watch.usage is None)


async def relay_bytes(source: Response, call: OpenCall, writer: Writer, *, idle_s: float) -> None:
    """Forward an answer too large to be taken whole; one that breaks takes the caller's connection along."""
    estimate = Usage(call.facts.prompt_tokens)
    try:
        failed = await _drain(source, writer.write, writer, idle_s=idle_s)
    except BaseException:
        call.abandon(estimate)
        raise
    if failed is not None:
        writer.abort()
    else:
        writer.end()
    call.finish(estimate, estimated=True)


async def _drain(
    source: Response, forward: Callable[[bytes], None], writer: Writer, *, idle_s: float
) -> SendFailed | None:
    ended: asyncio.Future[SendFailed | None] = asyncio.get_running_loop().create_future()

    def end(failed: SendFailed | None) -> None:
        if not ended.done():
            ended.set_result(failed)

    writer.throttle(source)
    try:
        source.relay(forward, end, idle_s=idle_s)
        return await ended
    finally:
        source.close()


def _spent(watch: StreamWatch, call: OpenCall) -> Usage:
    """As reported; else the prompt's estimate and a token per event."""
    return watch.usage or Usage(call.facts.prompt_tokens, watch.events)
