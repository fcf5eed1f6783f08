"""A gateway in a process of its own, watched from outside: time, hang-ups, memory, what it writes."""

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import sdk_client
from tests.contract.gateways import KEY, GatewayProcess, eventually, gateway_process, needs_proc
from tests.integration.gateway.raw import HELLO, ask, body, calling, head, request

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

MESSAGES: Any = HELLO


@pytest.fixture(scope="module")
def gateway(shared_azure: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    shared_azure.reset()
    folder = tmp_path_factory.mktemp("gateway")
    with gateway_process(folder, world.written(shared_azure)) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with sdk_client(gateway.url, "openai") as client:
        yield client


@pytest.fixture(autouse=True)
def rested(gateway: GatewayProcess, azure: Handle) -> None:
    """Cooldowns of the test before are over."""
    ready = head(target="/health/ready", method="GET")
    eventually(lambda: ask(gateway.url, ready).status == 200, within_s=20)


def slow(azure: Handle, **switches: float) -> None:
    for name in world.REGIONS:
        azure.set(name, "up", **switches)


def test_req_2_6_the_first_chunk_is_there_before_the_last(
    gateway: GatewayProcess, client: openai.OpenAI, azure: Handle
) -> None:
    """The caller reads the beginning while the upstream is still sending; usage comes at the end."""
    slow(azure, token_ms=20)
    stream = client.chat.completions.create(
        model="gpt-4o",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    )
    with stream:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        (entry,) = azure.log()
        assert entry["finished_s"] is None
        seen = entry["chunks"]
        rest = list(stream)
    (entry,) = azure.log()
    assert seen < entry["chunks"] / 2
    assert rest[-1].usage
    assert rest[-1].usage.completion_tokens == entry["output_tokens"]


def test_req_2_6_lines_of_a_stream(gateway: GatewayProcess) -> None:
    """A reader of lines sees `data:` lines, blank lines between, and [DONE] at the end."""
    answer = ask(gateway.url, request(content=body(stream=True, stream_options={"include_usage": True})))
    lines = answer.body.split(b"\n")
    assert {line[:6] for line in lines} == {b"data: ", b""}
    assert [line for line in lines if line][-1] == b"data: [DONE]"
    assert b'"usage":{' in [line for line in lines if line][-2]


def test_hanging_up_in_mid_stream(gateway: GatewayProcess, azure: Handle) -> None:
    """The upstream request ends within a second of the caller's leaving, and little more is billed."""
    slow(azure, token_ms=20)
    with calling(gateway.url) as caller:
        caller.send(request(content=body(stream=True)))
        for _ in range(6):
            caller.until(b"data: ")
        left_s = azure.state()["uptime_s"]
    eventually(lambda: azure.log()[-1]["outcome"] == "cancelled", within_s=1)
    (entry,) = azure.log()
    assert entry["finished_s"] - left_s < 0.5
    (line,) = azure.bill()["entries"]
    assert (line["complete"], line["output_tokens"]) == (False, entry["output_tokens"])


def test_hanging_up_while_waiting(gateway: GatewayProcess, azure: Handle) -> None:
    """A caller that leaves before the answer takes the upstream request along; nothing is billed."""
    slow(azure, latency_ms=20_000)
    with calling(gateway.url) as caller:
        caller.send(request())
        eventually(lambda: bool(azure.log()))
        left_s = azure.state()["uptime_s"]
    eventually(lambda: azure.log()[-1]["outcome"] == "cancelled", within_s=1)
    (entry,) = azure.log()
    assert entry["finished_s"] - left_s < 0.5
    assert azure.bill()["totals"]["requests"] == 0


def test_hanging_up_while_waiting_for_a_cooldown(gateway: GatewayProcess, azure: Handle) -> None:
    """A caller that leaves while nobody is asked is not served later."""
    for name in world.REGIONS:
        azure.set(name, "error", error="ptu_spillover_failed", count=1)
    with calling(gateway.url) as caller:
        caller.send(request())
        eventually(lambda: len(azure.log()) == 2)
    time.sleep(1.2)
    assert len(azure.log()) == 2


def test_a_region_lost_under_traffic(gateway: GatewayProcess, azure: Handle) -> None:
    """50 callers at once, one region cut in the middle: every one is answered, each is billed once."""
    slow(azure, latency_ms=250)

    async def traffic() -> list[str | None]:
        async with openai.AsyncOpenAI(
            base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=20
        ) as client:

            async def call(number: int) -> str | None:
                said: Any = [{"role": "user", "content": f"caller {number}"}]
                answer = await client.chat.completions.create(model="gpt-4o", messages=said)
                return answer.choices[0].message.content

            calls = [asyncio.create_task(call(number)) for number in range(50)]
            await asyncio.to_thread(eventually, lambda: len(azure.log("east")) >= 10)
            await asyncio.to_thread(azure.set, "east", "down")
            return await asyncio.gather(*calls)

    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(asyncio.run, traffic()).result()
    assert all(answers)
    assert azure.bill()["totals"]["requests"] == 50
    assert any(entry["outcome"] == "cut" for entry in azure.log("east"))


@needs_proc
def test_a_huge_body_takes_little_memory(gateway: GatewayProcess) -> None:
    """200 MB sent where 32 are allowed: refused, and the memory does not follow."""
    ask(gateway.url, request())
    before_kb = gateway.memory_kb()
    piece = b"x" * (1 << 20)
    with calling(gateway.url) as caller:
        caller.send(head("content-type: application/json", f"content-length: {200 << 20}"))
        highest_kb = 0
        for _ in range(200):
            caller.send(piece)
            highest_kb = max(highest_kb, gateway.memory_kb())
        assert caller.answer().status == 413
    assert highest_kb - before_kb < 48 * 1024


def test_a_slow_reader_holds_the_upstream_back(gateway: GatewayProcess, azure: Handle) -> None:
    """Nobody takes the stream: the upstream stops, instead of the gateway filling up."""
    long = [{"role": "user", "content": "word " * 1_000}]
    with calling(gateway.url) as caller:
        caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.send(request(content=body(stream=True, n=128, messages=long)))
        caller.until(b"data: ")
        eventually(lambda: _stands_still(azure))
        assert azure.log()[-1]["outcome"] == "streaming"
    eventually(lambda: azure.log()[-1]["outcome"] == "cancelled", within_s=1)


def _stands_still(azure: Handle) -> bool:
    seen = azure.log()[-1]["chunks"]
    time.sleep(0.2)
    return bool(azure.log()[-1]["chunks"] == seen > 100)


def test_no_traceback_whatever_is_sent(shared_azure: Handle, tmp_path: Any) -> None:
    """Wrong keys, broken JSON, unknown models, noise and hang-ups leave no traceback in the output."""
    shared_azure.reset()
    with gateway_process(tmp_path, world.written(shared_azure)) as process:
        for sent in (
            request(key=None),
            request(key="gw_wrong"),
            request(content=b"{"),
            request(content=b"[" * 100_000),
            request(content=body(model="gpt-unheard-of")),
            request(content=body(temperature=9)),
            request(target="/nowhere"),
            request(target="/openai/deployments/%0d%0a/chat/completions"),
            request("Connection: Upgrade", "Upgrade: websocket", method="GET", target="/v1/responses"),
        ):
            assert ask(process.url, sent).status in {400, 401, 404}
        for noise in (b"\x16\x03\x01\r\n\r\n", request()[:50], request(content=body(stream=True)), b""):
            with calling(process.url) as caller:
                caller.send(noise)
        time.sleep(0.1)
        assert ask(process.url, request()).status == 200
    assert "Traceback" not in process.said
    assert "gw_" not in process.said


def test_the_sdk_lists_models(client: openai.OpenAI) -> None:
    """GET /v1/models as the SDK reads it: the names that may be asked for."""
    assert {model.id for model in client.models.list()} >= {"gpt-4o", "gpt-4", "text-embedding-3-small"}
