"""Streamed answers: a server that sends so many chunks a second, in turn to all that wait and each by itself,
as a model does; and callers that read them. A request says how many chunks it wants by its `max_tokens`."""

import asyncio
import json
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import uvloop

TICK_S = 0.005
PER_TICK = 40  # chunks: 8,000 a second, which no proxy here needs a whole core for
PATIENCE_S = 120.0
WANTED = re.compile(rb'"max_tokens": ?(\d+)')
LENGTH = re.compile(rb"content-length: ?(\d+)", re.IGNORECASE)
END = b"0\r\n\r\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
EVENT = {
    "choices": [
        {
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
            "delta": {"content": "%s"},
            "finish_reason": None,
            "index": 0,
            "logprobs": None,
        }
    ],
    "created": 1_760_000_000,
    "id": "chatcmpl-0123456789",
    "model": "gpt-4o-2024-11-20",
    "object": "chat.completion.chunk",
    "system_fingerprint": "fp_0123456789",
}
SERVER = "from bench.streams import serve; serve()"


def framed(event: bytes) -> bytes:
    data = b"data: %b\n\n" % event
    return b"%x\r\n%b\r\n" % (len(data), data)


WORDS = (" blue", " glass")  # LiteLLM ends a stream that says the same a hundred times
CHUNKS = [framed((json.dumps(EVENT, separators=(",", ":")) % word).encode()) for word in WORDS]
LAST = framed(b"[DONE]") + END


class Answering(asyncio.Protocol):
    """A connection to the server: one request at a time, whose body is JSON."""

    def __init__(self, waiting: "deque[Answering]") -> None:
        self._waiting = waiting
        self._asked = b""
        self.transport: Any
        self.left = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        head, _, body = self._asked.partition(b"\r\n\r\n")
        length, wanted = LENGTH.search(head), WANTED.search(body)
        if length and wanted and len(body) >= int(length[1]):
            self._asked, self.left = b"", int(wanted[1])
            self.transport.write(HEAD)
            self._waiting.append(self)

    def go_on(self) -> None:
        """Send a chunk, and take a place at the end of the queue."""
        if self.transport.is_closing():
            return
        self.left -= 1
        self.transport.write(CHUNKS[self.left % len(CHUNKS)] if self.left else LAST)
        if self.left:
            self._waiting.append(self)


async def _serve() -> None:
    waiting = deque[Answering]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(waiting), "127.0.0.1", 0, backlog=2_048)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  to the process that started this one
    due_s = loop.time()
    while True:
        for _ in range(min(PER_TICK, len(waiting))):
            waiting.popleft().go_on()
        due_s = max(due_s + TICK_S, loop.time())
        await asyncio.sleep(due_s - loop.time())


def serve() -> None:
    """Tells its port in a line, and serves until it is ended."""
    uvloop.run(_serve())


@contextmanager
def serving() -> Iterator[int]:
    """A process of its own; its port."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            (line,) = islice(process.stdout or (), 1)
            yield int(line)
        finally:
            process.terminate()


class Caller(asyncio.Protocol):
    """`begun`, `ended`: set with the first bytes of the answer, and with its last ones."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.answer = bytearray()
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        self.begun.set()
        if data.endswith(END) or self.answer.endswith(END):
            self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.begun.set()
        self.ended.set()

    def count(self) -> int:
        """Of the events so far."""
        return self.answer.count(b"data: ")


async def opened(port: int, request: bytes, streams: int) -> list[Caller]:
    """So many callers, each of whose answers has begun."""
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(request), "127.0.0.1", port))[1] for _ in range(streams)
    ]
    for caller in callers:
        await caller.begun.wait()
    return callers


async def read_all(port: int, request: bytes, streams: int) -> int:
    """How many chunks came, by so many streams at once."""
    async with asyncio.timeout(PATIENCE_S):
        callers = await opened(port, request, streams)
        for caller in callers:
            await caller.ended.wait()
            caller.transport.close()
    return sum(caller.count() for caller in callers)


@contextmanager
def held(port: int, request: bytes, streams: int) -> Iterator[None]:
    """So many streams are open meanwhile, and left in the end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        callers = loop.run(asyncio.wait_for(opened(port, request, streams), PATIENCE_S))
        if broken := [caller for caller in callers if caller.ended.is_set()]:
            raise SystemExit(f"{len(broken)} streams not open: {bytes(broken[0].answer[:300])!r}")
        yield
        for caller in callers:
            caller.transport.close()
