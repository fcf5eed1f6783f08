"""The sender of the gateway: one attempt to one upstream over our own connections."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, SendFailed
from smalt.dispatch.target import Target, Timeouts, request_head
from smalt.dispatch.watched import PREAMBLE_S, WatchedStream
from smalt.types import FailureKind

LARGEST_WHOLE = 8 * 1024 * 1024  # bytes; a larger JSON answer is relayed as it comes
LARGEST_ERROR = 64 * 1024


class Upstreams:
    """Every resource by name, and the connections to them. One event loop. `connections`: shared ones."""

    def __init__(
        self, targets: Mapping[str, Target], timeouts: Timeouts, connections: Connections | None = None
    ) -> None:
        self.targets = targets
        self._timeouts = timeouts
        self._connections = Connections() if connections is None else connections

    def close(self) -> None:
        self._connections.close()

    async def send(self, upstream: str, call: OpenCall, body: bytes) -> Answer[Response]:
        """Send `body` for `call`. A stream comes back when its head is there, anything else whole. Raises
        SendFailed."""
        resource, _, deployment = upstream.partition("/")
        target = self.targets[resource]
        outgoing = target.outgoing(call.facts, deployment, body)
        limits = self._timeouts
        limit_s = limits.stream_first_byte_s if call.facts.stream else limits.total_s
        head = target.heads.at_once(time.monotonic()) or await target.heads.obtain_async(limit_s)
        response = await self._connections.send(
            target.origin,
            request_head(outgoing, call.request_id, head),
            outgoing.body,
            connect_s=limits.connect_s,
            limit_s=limit_s,
        )
        call.heard(response.headers)
        answer = await _take(response)
        answer.rewrites, answer.renamed, answer.head = outgoing.rewrites, outgoing.renamed, head
        if answer.stream is not None and call.facts.stream:
            answer.watched = await _begun(answer.stream, WatchedStream(call, head, renamed=answer.renamed))
        return answer


async def _take(response: Response) -> Answer[Response]:
    """Streams stay streams, the rest is taken whole; a body too large for that becomes a stream too."""
    failed = not 200 <= response.status < 300
    if response.is_event_stream:
        return Answer(response.status, response.headers, stream=response)
    try:
        body = await response.whole(LARGEST_ERROR if failed else LARGEST_WHOLE)
    except BaseException:
        response.close()
        raise
    if body is not None:
        return Answer(response.status, response.headers, body)
    if failed:
        response.close()
        raise SendFailed(FailureKind.TRUNCATED, f"HTTP {response.status} with an error body beyond measure")
    return Answer(response.status, response.headers, stream=response)


async def _begun(response: Response, stream: WatchedStream) -> WatchedStream:
    """The stream, held until its content begins, or for a while. Raises SendFailed if it begins with an
    error."""
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(PREAMBLE_S):
                while (data := await response.piece()) is not None:
                    if stream.begin(data):
                        return stream
                stream.begin_at_end()
    except BaseException:
        response.close()
        raise
    return stream
