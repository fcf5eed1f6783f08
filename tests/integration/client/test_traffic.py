"""The library under way: threads, streams left early, sockets closed behind it."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.contract.gateways import eventually, needs_proc

from smalt import Fleet
from smalt.client import transports
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def in_flight(fleet: Fleet) -> int:
    return sum(status.in_flight for status in fleet.status())


def billed(azure: Handle) -> dict[str, tuple[int, int, int]]:
    deployments = azure.bill()["deployments"]
    return {n: (s["requests"], s["input_tokens"], s["output_tokens"]) for n, s in deployments.items()}


def counted(fleet: Fleet) -> dict[str, tuple[int, int, int]]:
    return {name: (s.calls, s.input_tokens, s.output_tokens) for name, s in fleet.usage().items()}


def test_req_1_39_threads_share_a_fleet(fleet: Fleet, azure: Handle) -> None:
    """8 threads with 20 requests each get their own answers, and the sums equal the bill to the token."""
    expected = {}
    with openai.AzureOpenAI(
        azure_endpoint=azure.url("east"), api_key=azure.key("east"), api_version="2024-10-21", max_retries=0
    ) as direct:
        for number in range(160):
            answer = direct.chat.completions.create(model="gpt-4o-prod", messages=said(f"caller {number}"))
            expected[number] = answer.choices[0].message.content
    azure.reset()

    with fleet.openai() as client, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> str | None:
            messages = said(f"caller {number}")
            if number % 2:
                answer = client.chat.completions.create(model="gpt-4o", messages=messages)
                return answer.choices[0].message.content
            with client.chat.completions.create(model="gpt-4o", messages=messages, stream=True) as stream:
                return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

        answers = dict(zip(range(160), pool.map(ask, range(160)), strict=True))
    assert answers == expected
    assert counted(fleet) == billed(azure)
    assert len(counted(fleet)) == 2
    assert in_flight(fleet) == 0


def test_a_stream_left_early(fleet: Fleet, azure: Handle) -> None:
    """Leaving the `with` block ends the upstream request at once; nothing stays in flight."""
    azure.set("east", "up", token_ms=20)
    with fleet.openai() as client:
        with client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True) as stream:
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
            left_s = azure.state()["uptime_s"]
        eventually(lambda: azure.log()[0]["outcome"] == "cancelled", within_s=1)
        assert azure.log()[0]["finished_s"] - left_s < 0.5
        assert in_flight(fleet) == 0
        assert client.chat.completions.create(model="gpt-4o", messages=said("hello"), max_tokens=1).id


async def test_an_asynchronous_stream_left_early(fleet: Fleet, azure: Handle) -> None:
    """The same for asyncio."""
    azure.set("east", "up", token_ms=20)
    async with fleet.async_openai() as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True)
        async with stream:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
        await asyncio.to_thread(eventually, lambda: azure.log()[0]["outcome"] == "cancelled", within_s=1)
        assert in_flight(fleet) == 0


async def test_a_cancelled_task(fleet: Fleet, azure: Handle) -> None:
    """Cancelling the task that waits for an answer ends the upstream request at once."""
    azure.set("east", "up", latency_ms=20_000)
    async with fleet.async_openai() as client:
        call = asyncio.create_task(client.chat.completions.create(model="gpt-4o", messages=said("hello")))
        await asyncio.to_thread(eventually, lambda: bool(azure.log()))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(eventually, lambda: azure.log()[0]["outcome"] == "cancelled", within_s=1)
    assert in_flight(fleet) == 0
    assert azure.bill()["totals"]["requests"] == 0


@needs_proc
def test_closing_leaves_no_socket(fleet: Fleet, azure: Handle) -> None:
    """A closed client holds no connection, and none is left to the garbage collector."""
    before = _sockets()
    with fleet.openai() as client:
        client.chat.completions.create(model="gpt-4o", messages=said("hello"))
        with client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True) as stream:
            next(iter(stream))
        assert _sockets() > before
    del client, stream
    gc.collect()  # a ResourceWarning would fail the test
    assert _sockets() <= before  # those of earlier tests may end meanwhile


@needs_proc
async def test_closing_leaves_no_socket_of_asyncio(fleet: Fleet, azure: Handle) -> None:
    """The same for asyncio."""
    before = _sockets()
    async with fleet.async_openai() as client:
        await client.chat.completions.create(model="gpt-4o", messages=said("hello"))
        stream = await client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True)
        async with stream:
            await anext(aiter(stream))
        assert _sockets() > before
    del client, stream
    await asyncio.sleep(0)
    gc.collect()
    assert _sockets() <= before  # those of earlier tests may end meanwhile


def _sockets() -> int:
    """Open sockets of this process that are connected as a client to the emulator."""
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    # established ones, counted from the client's side: the remote port is one that is listened on
    listening = {row[1].partition(":")[2] for row in rows if row[3] == "0A"}
    return sum(row[3] == "01" and row[2].partition(":")[2] in listening and row[9] in inodes for row in rows)


def test_the_transport_serves_other_clients(fleet: Fleet, azure: Handle) -> None:
    """Anything that rides the HTTP library can send through the fleet; the host of its URL does not count."""
    library = transports.library_of_the_sdk()
    http = transports.transport_classes(library).http
    with http.Client(transport=fleet.transport(library), base_url="https://anywhere.invalid/v1") as client:
        body = {"model": "gpt-4o", "messages": said("hello")}
        answer = client.post("/chat/completions", json=body, headers={"authorization": "Bearer mine"})
        assert answer.status_code == 200
        assert answer.json()["usage"]
        assert client.get("/models").json()["error"]["code"] == "unsupported_operation"
        assert client.post("/chat/completions", content=b"{").status_code == 400
    assert "mine" not in str(azure.log())


@pytest.mark.parametrize("count", [1, 3])
def test_records_of_failed_attempts(fleet: Fleet, azure: Handle, count: int) -> None:
    """A failed attempt is counted where it failed, the call where it was answered."""
    azure.set("east", "error", error="server_error")
    with fleet.openai() as client:
        for _ in range(count):
            client.chat.completions.create(model="gpt-4o", messages=said("hello"))
    east, sweden = (fleet.usage()[f"{name}/gpt-4o-prod"] for name in ("east", "sweden"))
    assert (east.calls, east.attempts, east.failed_attempts) == (0, 1, 1)
    assert (sweden.calls, sweden.attempts, sweden.failed_attempts) == (count, count, 0)
