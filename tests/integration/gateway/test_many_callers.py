"""A thousand streams and hundreds of idle connections on one worker, and readers that are slow or stop."""

import asyncio
import re
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from tests.contract import world
from tests.contract.gateways import GatewayProcess, gateway_process, needs_proc
from tests.integration.gateway.raw import ask, body, head, request

from smalt.emulator.testing import Handle

pytestmark = needs_proc

STREAMS, IDLE = 1_000, 500
MOST_FILES = 3 * STREAMS + 2 * IDLE  # of this process: callers, and the emulator's side of the upstream ones
MOST_KB = 40  # per open stream
LIVE = head(target="/health/live", method="GET")
PATIENT = {"total_s": 60, "stream_first_byte_s": 60, "stream_idle_s": 60}
_OWN = re.compile(rb'"id":"chatcmpl-[^"]*"|"created":\d+')  # what differs between any two answers


@pytest.fixture(scope="module", autouse=True)
def many_files() -> Iterator[None]:
    """Every connection is a file, here and in the gateway, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MOST_FILES:
        if hard != resource.RLIM_INFINITY and hard < MOST_FILES:
            pytest.skip(f"a thousand streams need {MOST_FILES:,} open files; ulimit -Hn allows {hard:,}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def gateway(azure: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway_process(folder, world.written(azure, timeouts=PATIENT)) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def chunk(self) -> bytes:
        """Empty at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self) -> bytes:
        """What is left of the stream."""
        chunks = []
        while data := await self.chunk():
            chunks.append(data)
        return b"".join(chunks)

    async def whole(self) -> bytes:
        """The body of the answer that comes next, which has a length."""
        length = re.search(rb"content-length: (\d+)", await self.head())
        assert length
        return await self.reader.readexactly(int(length[1]))


@asynccontextmanager
async def connected(url: str, *, buffer_bytes: int = 0) -> AsyncIterator[Reader]:
    """`buffer_bytes`: how much the system may keep of what is not read; 0: as usual."""
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)
    if buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2 * buffer_bytes or 65_536)
    try:
        yield Reader(reader, writer)
    finally:
        writer.transport.abort()


def said(number: int) -> bytes:
    """One of ten prompts, streamed."""
    messages = [{"role": "user", "content": f"caller {number % 10}"}]
    return request(content=body(stream=True, messages=messages))


def own(data: bytes) -> bytes:
    return _OWN.sub(b"", data)


def truths(url: str) -> Sequence[bytes]:
    return [own(ask(url, said(number)).body) for number in range(10)]


async def test_a_thousand_streams_beside_idle_connections(gateway: GatewayProcess, azure: Handle) -> None:
    """All at once, each complete to the byte and small in memory; who was idle meanwhile is still served."""
    expected = truths(gateway.url)
    for name in world.REGIONS:
        azure.set(name, "up", first_token_ms=1_000, token_ms=100)
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(gateway.url)) for _ in range(IDLE)]
        for one in idle[::2]:
            await one.send(LIVE)
            assert await one.whole()
        readers = [await stack.enter_async_context(connected(gateway.url)) for _ in range(STREAMS)]
        await readers[-1].send(LIVE)
        assert await readers[-1].whole()  # by now all are accepted
        before_kb = gateway.memory_kb()
        for number, one in enumerate(readers):
            await one.send(said(number))
        heads = await asyncio.gather(*(one.head() for one in readers))
        assert all(text.startswith(b"HTTP/1.1 200") for text in heads)
        begun = [asyncio.ensure_future(one.rest()) for one in readers]
        open_at_once = await asyncio.to_thread(open_streams, azure)
        each_kb = (gateway.memory_kb() - before_kb) / STREAMS
        bodies = await asyncio.gather(*begun)
        wrong = [n for n, data in enumerate(bodies) if own(data) != expected[n % 10]]
        assert (open_at_once, wrong) == (STREAMS, [])
        for one in idle:
            await one.send(LIVE)
            assert await one.whole()
    assert each_kb <= MOST_KB


def open_streams(azure: Handle) -> int:
    state = azure.state()["resources"]
    return sum(state[name]["in_flight"] for name in world.REGIONS)


MESSAGES = [{"role": "user", "content": "word " * 1_000}]
LONG = request(content=body(stream=True, n=128, messages=MESSAGES))
STOPPED, QUICK = 3, 10
SMALL_BUFFER = 4_096


async def test_a_reader_that_stops_holds_back_only_its_own_stream(
    gateway: GatewayProcess, azure: Handle
) -> None:
    """Others read at full speed, the stopped ones' upstreams wait and memory with them; nothing is lost."""
    expected = own(await asyncio.to_thread(lambda: ask(gateway.url, LONG).body))
    short = await asyncio.to_thread(truths, gateway.url)
    alone_s = await read_at_full_speed(gateway.url, short)
    before_kb = gateway.memory_kb()
    async with AsyncExitStack() as stack:
        stopped = [
            await stack.enter_async_context(connected(gateway.url, buffer_bytes=SMALL_BUFFER))
            for _ in range(STOPPED)
        ]
        for one in stopped:
            await one.send(LONG)
            await one.head()
        await asyncio.to_thread(stand_still, azure)
        each_kb = (gateway.memory_kb() - before_kb) / STOPPED
        assert each_kb <= 512  # of more than ten MB; the rest waits in the system's buffers and upstream
        assert await read_at_full_speed(gateway.url, short) < 5 * alone_s + 2
        bodies = await asyncio.gather(*(one.rest() for one in stopped))
    assert [own(data) == expected for data in bodies] == [True] * STOPPED


async def read_at_full_speed(url: str, expected: Sequence[bytes]) -> float:
    """Seconds until some callers have read their streams."""
    started_s = time.monotonic()
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(connected(url)) for _ in range(QUICK)]
        for number, one in enumerate(readers):
            await one.send(said(number))
        for number, one in enumerate(readers):
            await one.head()
            assert own(await one.rest()) == expected[number]
    return time.monotonic() - started_s


def stand_still(azure: Handle) -> None:
    """Until the upstream writes no more, though it has much to say."""
    seen = [-1]
    while seen[-1] != (
        now := sum(entry["chunks"] for entry in azure.log() if entry["outcome"] == "streaming")
    ):
        seen.append(now)
        time.sleep(0.3)
    assert seen[-1] > 0
