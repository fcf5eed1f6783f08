"""Streamed answers of any length: they come as they are sent, and take no memory."""

import asyncio
import http.client
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import openai
import pytest
from tests.contract.gateways import KEY, gateway_process, needs_proc
from tests.integration.client.sse_server import DONE, Send, says, serving

from smalt import Fleet, Settings
from smalt.client import transports

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
ASKED: Any = {"model": "gpt-4o", "messages": HELLO, "stream": True}
MB = 1_000_000
BLOCK = says("as many words as come in one go") * 256
URL = "https://anywhere.invalid/v1/chat/completions"
LIMIT_S = 10.0


def streaming(megabytes: int) -> Callable[[Send], None]:
    """An answer of that length, in pieces of some 65 KB."""

    def script(send: Send) -> None:
        for _ in range(megabytes * MB // len(BLOCK) + 1):
            send(BLOCK)
        send(says("", "stop") + DONE)

    return script


class Memory:
    """How far the resident memory of a process goes up and down while a stream is read, in bytes."""

    def __init__(self, resident: Callable[[], int]) -> None:
        self._resident = resident
        self._seen: list[int] = []
        self.taken = 0

    def take(self, data: bytes) -> None:
        """Looks every MB, from the second one on: by then every buffer has its size."""
        before, self.taken = self.taken, self.taken + len(data)
        if self.taken > 2 * MB and before // MB != self.taken // MB:
            self._seen.append(self._resident())

    @property
    def range(self) -> int:
        return max(self._seen) - min(self._seen)


def own_memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def http_library() -> Any:
    return transports.transport_classes(transports.library_of_the_sdk()).http


@contextmanager
def fleet_before(script: Callable[[Send], None], header: bytes = b"") -> Iterator[Fleet]:
    with serving(script, header) as settings, Fleet(Settings.model_validate(settings)) as fleet:
        yield fleet


@needs_proc
def test_req_0_20_a_hundred_megabytes_take_constant_memory() -> None:
    """Whatever a transport has passed on is gone."""
    memory = Memory(own_memory)
    with fleet_before(streaming(100)) as fleet, http_library().Client(transport=fleet.transport()) as client:
        with client.stream("POST", URL, json=ASKED, timeout=LIMIT_S) as answer:
            for data in answer.iter_raw():
                memory.take(data)
        assert sum(sums.calls for sums in fleet.usage().values()) == 1
    assert memory.taken > 100 * MB
    assert memory.range < 5 * MB


@needs_proc
async def test_req_0_20_a_long_stream_of_asyncio_takes_constant_memory() -> None:
    """The same for an event loop."""
    memory = Memory(own_memory)
    with fleet_before(streaming(30)) as fleet:
        transport = fleet.async_transport()
        async with (
            http_library().AsyncClient(transport=transport) as client,
            client.stream("POST", URL, json=ASKED, timeout=LIMIT_S) as answer,
        ):
            async for data in answer.aiter_raw():
                memory.take(data)
    assert memory.taken > 30 * MB
    assert memory.range < 5 * MB


@needs_proc
def test_req_0_20_a_long_stream_through_the_gateway_takes_constant_memory(tmp_path: Path) -> None:
    """The same for the process that serves."""
    body = msgspec.json.encode(ASKED)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with serving(streaming(30)) as settings, gateway_process(tmp_path, settings) as gateway:
        memory = Memory(lambda: gateway.memory_kb() * 1024)
        address = urlsplit(gateway.url).netloc
        with closing(http.client.HTTPConnection(address, timeout=LIMIT_S)) as connection:
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            while data := answer.read(65_536):
                memory.take(data)
    assert memory.taken > 30 * MB
    assert memory.range < 5 * MB


@needs_proc
def test_req_0_20_a_megabyte_in_small_events() -> None:
    """As a model sends it, token by token, and read by the SDK: every word arrives, in constant memory."""
    event = says("word ")
    count = MB // len(event) + 1

    def script(send: Send) -> None:
        for _ in range(count):
            send(event)
        send(says("", "stop") + DONE)

    with fleet_before(script) as fleet, fleet.openai() as client:
        seen, words = [], 0
        for chunk in client.chat.completions.create(**ASKED):
            words += chunk.choices[0].delta.content == "word "
            if words % 100 == 50:
                seen.append(own_memory())
    assert words == count
    assert max(seen) - min(seen) < 5 * MB


class Patient:
    """A stream that goes on only when its caller has what was sent so far."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.in_time = False

    def __call__(self, send: Send) -> None:
        send(says("first"))
        self.in_time = self.arrived.wait(LIMIT_S)
        send(says("last") + says("", "stop") + DONE)


def test_req_0_20_the_first_token_does_not_wait_for_the_rest() -> None:
    """The caller holds it before the upstream has sent anything else."""
    script, said = Patient(), []
    with fleet_before(script) as fleet, fleet.openai() as client:
        for chunk in client.chat.completions.create(**ASKED):
            said.append(chunk.choices[0].delta.content)
            script.arrived.set()
    assert said == ["first", "last", None]
    assert script.in_time


async def test_req_0_20_the_first_token_of_asyncio_does_not_wait_for_the_rest() -> None:
    """The same for an event loop, which goes on with other work meanwhile."""
    script, said = Patient(), []
    with fleet_before(script) as fleet:
        async with fleet.async_openai() as client, asyncio.timeout(LIMIT_S):
            async for chunk in await client.chat.completions.create(**ASKED):
                said.append(chunk.choices[0].delta.content)
                script.arrived.set()
    assert said == ["first", "last", None]
    assert script.in_time


@pytest.mark.parametrize(("letter", "kept"), [("x", 1 << 20), ("ü", 1 << 19), ("€", (1 << 20) // 3)])
def test_a_long_stream_that_breaks_keeps_the_first_mebibyte(letter: str, kept: int) -> None:
    """Of what was said; no letter is cut in two."""
    text = letter * 1_000

    def script(send: Send) -> None:
        for _ in range(1_200):
            send(says(text))

    chunks: list[Any] = []
    with fleet_before(script) as fleet, fleet.openai() as client, pytest.raises(openai.APIError) as raised:
        chunks.extend(client.chat.completions.create(**ASKED))
    assert [chunk.choices[0].delta.content for chunk in chunks] == [text] * 1_200
    body = raised.value.body
    assert isinstance(body, dict)
    assert body["code"] == "stream_interrupted"
    assert body["partial"] == letter * kept


def test_a_compressed_stream_is_read_as_it_comes() -> None:
    """Some servers compress although they were asked not to: nothing waits for the end."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    patient, said = Patient(), []

    def script(send: Send) -> None:
        patient(lambda piece: send(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)))
        send(packer.flush())

    with fleet_before(script, b"content-encoding: gzip\r\n") as fleet, fleet.openai() as client:
        for chunk in client.chat.completions.create(**ASKED):
            said.append(chunk.choices[0].delta.content)
            patient.arrived.set()
    assert said == ["first", "last", None]
    assert patient.in_time


def test_a_stream_in_an_unknown_coding_is_no_answer() -> None:
    """The error says what is wrong with it."""
    with (
        fleet_before(streaming(1), b"content-encoding: br\r\n") as fleet,
        fleet.openai(timeout=0.5) as client,
        pytest.raises(openai.InternalServerError, match="the answer is encoded by 'br'"),
    ):
        client.chat.completions.create(**ASKED)
