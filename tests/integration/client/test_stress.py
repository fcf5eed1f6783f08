"""Many threads and tasks over one fleet, while its upstreams refuse, break and lag by chance.

With the newer HTTP library only: the pool beneath the older one takes minutes to serve a thousand at once.
"""

import asyncio
import contextlib
import gc
import http.client
import json
import logging
import os
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.contract.gateways import eventually, needs_proc
from tests.integration.cli.commands import announced
from tests.integration.cli.commands import running as running_command

from smalt import Fleet, Settings
from smalt.client import transports
from smalt.client.circumstances import receipts
from smalt.client.receipts import RECEIPTS
from smalt.types import CallRecord, Fate

pytestmark = needs_proc


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """pytest would keep hundreds of warnings."""
    caplog.set_level(logging.CRITICAL, "smalt.calls")


THREADS, TASKS = 32, 1_000
OF_A_THREAD = 15  # requests, one after the other
REGIONS = ("eastus", "swedencentral", "japaneast", "westus3")
DEPLOYMENTS = ("gpt-4o-a", "gpt-4o-b", "gpt-4o-c")
LIMIT_S = 60.0
PATH = "/v1/chat/completions"

# Seeded by the emulator: which requests are struck follows from their order.
FAULTS: list[dict[str, Any]] = [
    {"kind": "error", "error": "ptu_full", "probability": 0.02},
    {"kind": "error", "error": "server_error", "probability": 0.004},
    {"kind": "reset", "at": "before_head", "probability": 0.004},
    {"kind": "reset", "at": "in_body", "chunks": 6, "probability": 0.01},
    {"kind": "close", "at": "after_head", "probability": 0.004},
    {"kind": "clean_cut", "after": 3, "probability": 0.01},
    {"kind": "truncated_json", "probability": 0.004},
    {"kind": "delay", "before_head_ms": 60, "probability": 0.05},
]


@dataclass(frozen=True, slots=True)
class Azure:
    """An emulator in a process of its own, so that what this process holds is smalt's."""

    resources: dict[str, dict[str, Any]]
    control: str

    def tell(self, what: str, body: object = None) -> Any:
        """`GET`, or with `body` `POST /_emulator/{what}`."""
        with closing(http.client.HTTPConnection(self.control, timeout=LIMIT_S)) as connection:
            data = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", f"/_emulator/{what}", data)
            answer = connection.getresponse()
            told = json.load(answer)
        assert answer.status == 200, told
        return told

    def settings(self) -> Settings:
        deployments = {name: {"model": "gpt-4o", "sku": "Standard"} for name in DEPLOYMENTS}
        resources = {
            name: {
                "endpoint": told["endpoint"],
                "api_keys": [f"{name}-key"],
                "region": name,
                "deployments": deployments,
            }
            for name, told in self.resources.items()
        }
        return Settings.model_validate(
            {"resources": resources, "retry": {"base_s": 0.05, "cap_s": 0.1, "jitter_s": 0.05}}
        )


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    folder = tmp_path_factory.mktemp("azure")
    deployments = {name: {"model": "gpt-4o", "capacity": 100_000} for name in DEPLOYMENTS}
    told = {
        "control_port": 0,
        "latency_ms": 0,
        "token_ms": 0,
        "resources": {
            name: {"port": 0, "region": name, "keys": [f"{name}-key"], "deployments": deployments}
            for name in REGIONS
        },
    }
    (folder / "fleet.yaml").write_text(json.dumps(told))  # JSON is YAML
    with running_command("emulate", "--config", "fleet.yaml", "--json", cwd=folder) as running:
        said = announced(running)
        yield Azure(said["resources"], urlsplit(said["control_url"]).netloc)


@pytest.fixture
def azure(process: Azure) -> Azure:
    """As new, and out of order."""
    process.tell("reset", {})
    process.tell("faults", FAULTS)
    return process


@dataclass(slots=True)
class Heard:
    """What came of one request. `text`: of the answer, as far as it came."""

    marker: str
    status: int
    text: str
    broken: bool
    record: CallRecord | None = None


def held() -> set[str]:
    """What this process holds that must be given back: its threads and open files, each by its own name, so
    that what other tests left behind may go in the meantime."""
    threads = {f"{thread.name} ({thread.native_id})" for thread in threading.enumerate()}
    files = set()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  names of numbers
        with contextlib.suppress(FileNotFoundError):  # the listing itself
            files.add(f"{number}: {os.readlink(f'/proc/self/fd/{number}')}")  # noqa: PTH115
    return threads | files


def body_of(marker: str, *, stream: bool) -> bytes:
    """A request whose answer is a JSON object that holds the marker, in the words of nobody else."""
    schema = {"type": "object", "properties": {"marker": {"const": marker}}, "required": ["marker"]}
    body = {
        "model": "gpt-4o",
        "stream": stream,
        "messages": [{"role": "user", "content": f"I am {marker}."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "echo", "schema": schema}},
    }
    return json.dumps(body).encode()


def heard(marker: str, status: int, body: bytes, *, stream: bool) -> Heard:
    if status != 200 or not stream:
        told = json.loads(body)
        text = told["choices"][0]["message"]["content"] if status == 200 else str(told)
        return Heard(marker, status, text, broken=False)
    events = [json.loads(line[6:]) for line in body.split(b"\n\n") if line and line != b"data: [DONE]"]
    deltas = [choice["delta"] for event in events for choice in event.get("choices", ())]
    text = "".join(delta.get("content") or "" for delta in deltas)
    return Heard(marker, status, text, broken="error" in events[-1])


def is_streamed(number: int) -> bool:
    return number % 3 == 0


def ask(client: Any, marker: str, number: int) -> Heard:
    stream = is_streamed(number)
    with receipts() as records:
        answer = client.post(PATH, content=body_of(marker, stream=stream))
        told = heard(marker, answer.status_code, answer.content, stream=stream)
    (told.record,) = records
    return told


async def ask_async(client: Any, marker: str, number: int) -> Heard:
    stream = is_streamed(number)
    with receipts() as records:
        answer = await client.post(PATH, content=body_of(marker, stream=stream))
        told = heard(marker, answer.status_code, answer.content, stream=stream)
    (told.record,) = records
    return told


def from_threads(fleet: Fleet, requests: int) -> list[Heard]:
    library = transports.transport_classes(transports.library_of_the_sdk()).http

    def one(thread: int) -> list[Heard]:
        return [ask(client, f"thread-{thread}-{number}", number) for number in range(requests)]

    with (
        library.Client(transport=fleet.transport(), base_url="http://any.invalid", timeout=LIMIT_S) as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        return [told for some in pool.map(one, range(THREADS)) for told in some]


async def from_tasks(fleet: Fleet, tasks: int) -> list[Heard]:
    library = transports.transport_classes(transports.library_of_the_sdk()).http
    transport = fleet.async_transport()
    async with library.AsyncClient(
        transport=transport, base_url="http://any.invalid", timeout=LIMIT_S
    ) as client:
        return await asyncio.gather(*(ask_async(client, f"task-{n}", n) for n in range(tasks)))


def both_at_once(fleet: Fleet) -> list[Heard]:
    with ThreadPoolExecutor(1) as beside:
        threads = beside.submit(from_threads, fleet, OF_A_THREAD)
        tasks = asyncio.run(from_tasks(fleet, TASKS))
        return threads.result() + tasks


def test_req_1_39_no_cross_talk_and_no_token_lost(azure: Azure) -> None:
    """32 threads and 1,000 tasks at once: every answer is the asker's own, nothing stays open, and the sums
    are those of the bill."""
    before = held()
    with Fleet(azure.settings()) as fleet:
        everything = both_at_once(fleet)
        sums = fleet.usage()
        assert all(status.in_flight == 0 for status in fleet.status())
    assert len(everything) == THREADS * OF_A_THREAD + TASKS
    check_echoes(everything)
    check_bill(azure, [one.record for one in everything if one.record], sums)
    gc.collect()
    eventually(lambda: not held() - before, otherwise=lambda: f"still held: {held() - before}")


def test_req_1_39_memory_stays_flat(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hundreds of calls leave behind in memory is less than 500 bytes each: no record, no body."""
    monkeypatch.setattr(RECEIPTS, "_most", 10)  # else it would take thousands of calls to fill
    left = []
    with Fleet(azure.settings()) as fleet:
        from_threads(fleet, 3)
        tracemalloc.start()
        try:
            for _ in range(3):
                from_threads(fleet, 6)
                gc.collect()
                left.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()

    assert left[2] - left[1] < 500 * 6 * THREADS


def check_echoes(everything: list[Heard]) -> None:
    """Broken streams say the beginning; all others say it all. Most calls are answered, whatever happens."""
    for one in everything:
        whole = json.dumps({"marker": one.marker}, separators=(",", ":"))
        assert one.status == 200, one.text
        assert whole.startswith(one.text) if one.broken else one.text == whole
    broken = sum(one.broken for one in everything)
    assert 0 < broken < len(everything) / 20
    retried = sum(len(one.record.attempts) > 1 for one in everything if one.record)
    assert retried > len(everything) / 100


def check_bill(azure: Azure, records: list[CallRecord], sums: Any) -> None:
    """Each measured call is on the bill under its id with exactly its tokens; beyond these the bill has only
    attempts that smalt says were, or may have been, billed. The sums are those of the records."""
    lines = azure.tell("bill?limit=10000")["entries"]
    billed: dict[str, list[Any]] = {}
    for line in lines:
        billed.setdefault(line["client_request_id"], []).append(line)
    for record in records:
        mine = billed.pop(record.request_id, [])
        # answers first: an attempt before them on the same upstream may, or may not, have been billed
        for attempt in sorted(record.attempts, key=lambda attempt: attempt.failure is not None):
            matching = [line for line in mine if name_of(line) == attempt.upstream]
            answered = attempt.failure is None
            if answered and not record.estimated:
                same = [line for line in matching if tokens_of(line) == usage_of(record)]
                assert same, f"{record}: billed are {mine}"
                mine.remove(same[0])
            elif matching and (answered or attempt.fate in {Fate.UNKNOWN, Fate.BILLED}):
                mine.remove(matching[0])
        assert mine == []
    assert billed == {}
    for name in {record.upstream for record in records if record.upstream}:
        of_it = [record for record in records if record.upstream == name]
        told = sums[name]
        assert (told.input_tokens, told.output_tokens) == tuple(
            sum(values) for values in zip(*map(usage_of, of_it), strict=True)
        )
        assert (told.calls, told.estimated_calls) == (len(of_it), sum(record.estimated for record in of_it))
    tried = Counter(attempt.upstream for record in records for attempt in record.attempts)
    assert {name: told.attempts for name, told in sums.items()} == tried


def name_of(line: Any) -> str:
    return f"{line['resource']}/{line['deployment']}"


def tokens_of(line: Any) -> tuple[int, int]:
    return line["input_tokens"], line["output_tokens"]


def usage_of(record: CallRecord) -> tuple[int, int]:
    assert record.usage is not None
    return record.usage.input_tokens, record.usage.output_tokens
