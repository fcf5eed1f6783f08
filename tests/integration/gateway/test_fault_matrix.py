"""Every fault the emulator knows, by every way to call and every surface, with one healthy upstream left."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.contract import world
from tests.contract.doors import SURFACES, Surface
from tests.contract.gateways import Stage, eventually, running_gateway
from tests.integration.gateway import faults
from tests.integration.gateway.faults import Cell, Fault, See
from tests.integration.gateway.raw import Answer, ask, request

from smalt.config import Settings
from smalt.emulator.faults.registry import KINDS
from smalt.emulator.refusals import catalogue
from smalt.emulator.testing import Handle, running
from smalt.errors import PAGE
from smalt.types import CallRecord

MODELS = ("gpt-4o", "text-embedding-3-small")
PATIENT = {"total_s": 20.0, "stream_first_byte_s": 20.0, "stream_idle_s": 20.0}
IMPATIENT = {"total_s": 0.3, "stream_first_byte_s": 0.3, "stream_idle_s": 0.3}
SILENT = {**PATIENT, "stream_idle_s": 0.3}  # no patience with streams that have begun
ONCE_EACH = len(world.REGIONS)  # attempts


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a call. `text`: of the answer. `error`: as its body or its last event tells it."""

    answer: Answer
    text: str
    begun: int
    ended: int
    error: Mapping[str, Any] | None


def read(answer: Answer, cell: Cell) -> Seen:
    if cell.streamed and answer.headers.get("content-type", "").startswith("text/event-stream"):
        return _read_stream(answer, cell)
    body = json.loads(answer.body) if answer.body[:1] == b"{" else {}
    error = body.get("error")
    match body:
        case {"choices": choices}:
            text = "".join(choice["message"]["content"] for choice in choices)
        case {"output": output}:
            text = "".join(part["text"] for item in output for part in item["content"])
        case {"data": rows}:
            text = str([row["embedding"] for row in rows])
        case _:
            text = ""
    whole = int(error is None)
    return Seen(answer, text, whole, whole, error)


def _read_stream(answer: Answer, cell: Cell) -> Seen:
    lines = answer.body.replace(b"\r\n", b"\n").split(b"\n")
    told = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
    frames = [json.loads(data) for data in told if data != b"[DONE]"]
    errors = [
        frame.get("error", frame) for frame in frames if "error" in frame or frame.get("type") == "error"
    ]
    if cell.operation == "responses":
        types = [frame.get("type") for frame in frames]
        text = "".join(f["delta"] for f in frames if f.get("type") == "response.output_text.delta")
        ends = types.count("response.completed") + types.count("response.incomplete")
        return Seen(answer, text, types.count("response.created"), ends, errors[-1] if errors else None)
    choices = [choice for frame in frames for choice in frame.get("choices", ())]
    deltas = [choice.get("delta") or {} for choice in choices]
    text = "".join(delta.get("content") or "" for delta in deltas)
    begun = sum("role" in delta for delta in deltas)
    ended = sum(bool(choice.get("finish_reason")) for choice in choices)
    return Seen(answer, text, begun, ended, errors[-1] if errors else None)


@dataclass(frozen=True, slots=True)
class Seat:
    """A gateway of its own for callers of one surface, with the records of its calls."""

    surface: Surface
    stage: Stage
    records: list[CallRecord] = field(default_factory=list)

    def sit(self, settings: Settings) -> None:
        self.stage.play(settings)
        self.records.clear()
        self.stage.assembly.dispatcher._sinks += (self.records.append,)

    def call(self, cell: Cell) -> Seen:
        target = cell.target(self.surface)
        return read(ask(self.stage.url, request(content=cell.content, target=target)), cell)


@dataclass(frozen=True, slots=True)
class Story:
    """A call as all sides tell it: its caller, its record, the upstreams that saw it, the bill by region."""

    fault: Fault
    seen: Seen
    record: CallRecord
    tried: list[str]
    bill: Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Bench:
    """Three gateways before the same two regions: the first is struck by the fault, the second is healthy."""

    seats: Sequence[Seat]
    azure: Handle
    pool: ThreadPoolExecutor

    def set_up(
        self,
        fault: Fault | None,
        *regions: str,
        timeouts: Mapping[str, float] = PATIENT,
        attempts: int = 5,
    ) -> None:
        self.azure.reset()
        settings = _settings(self.azure, timeouts, attempts)
        for seat in self.seats:
            seat.sit(settings)
        for region in regions:
            if fault is not None and fault.switches:
                self.azure.set(region, **fault.switches)
            elif fault is not None:
                self.azure.fault(**fault.fault, resource=region)

    def play(self, fault: Fault, cell: Cell) -> list[Story]:
        """All surfaces at once: what they share is only Azure."""
        seen = list(self.pool.map(lambda seat: seat.call(cell), self.seats))
        eventually(lambda: all(len(seat.records) == 1 for seat in self.seats))
        log: list[dict[str, Any]] = []

        def all_over() -> bool:
            log[:] = self.azure.log()
            return all(entry["outcome"] not in {"waiting", "streaming"} for entry in log)

        eventually(all_over)
        bill = self.azure.bill()["entries"]
        return [
            _story(fault, one, seat.records[0], log, bill) for one, seat in zip(seen, self.seats, strict=True)
        ]


def _settings(azure: Handle, timeouts: Mapping[str, float], attempts: int) -> Settings:
    """One region after the other, with no more deployments than are asked: they are built anew each time."""
    told = world.written(azure, timeouts=timeouts, retry={"max_attempts": attempts})
    deployments = {
        name: {"model": model, "sku": "Standard"} for model, name in world.SHARED.items() if model in MODELS
    }
    for resource in told["resources"].values():
        resource["deployments"] = deployments
    routes = {model: {"route": list(world.REGIONS)} for model in MODELS}
    return Settings.model_validate({**told, "models": routes})


def _story(fault: Fault, seen: Seen, record: CallRecord, log: Sequence[Any], bill: Sequence[Any]) -> Story:
    number = seen.answer.headers["x-smalt-request-id"]
    assert record.request_id == number
    tried = [e["resource"] for e in log if ["x-ms-client-request-id", number] in e["headers"]]
    lines = [line for line in bill if line["client_request_id"] == number]
    by_region = {name: [line for line in lines if line["resource"] == name] for name in world.REGIONS}
    return Story(fault, seen, record, tried, by_region)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        azure = stack.enter_context(running(world.azure()))
        seats = [Seat(surface, stack.enter_context(running_gateway("hot"))) for surface in SURFACES]
        yield Bench(seats, azure, stack.enter_context(ThreadPoolExecutor(len(seats))))


@pytest.fixture(scope="module")
def truth(bench: Bench) -> Callable[[Cell], str]:
    """What a call says when nothing goes wrong."""
    known: dict[tuple[str, bool], str] = {}

    def tell(cell: Cell) -> str:
        key = cell.operation, cell.streamed
        if key not in known:
            bench.set_up(None)
            known[key] = bench.seats[0].call(cell).text
            assert known[key]
        return known[key]

    return tell


@pytest.mark.parametrize(("fault", "cell"), faults.CASES, ids=str)
def test_one_healthy_upstream_is_left(
    fault: Fault, cell: Cell, bench: Bench, truth: Callable[[Cell], str]
) -> None:
    """No caller sees an error where another attempt was allowed; what was said is never said twice."""
    whole, see = truth(cell), fault.seen_in(cell)
    assert see
    lasting = IMPATIENT if see is See.TIMEOUT else SILENT
    bench.set_up(fault, "east", timeouts=lasting if fault.lasts else PATIENT)
    for story in bench.play(fault, cell):
        CHECKS[see](story, whole)
        _check_fates(story, see)


def _check_answer(story: Story, whole: str) -> None:
    """By the first one, in one attempt; a filtered answer may be cut short."""
    assert story.seen.answer.status == 200
    assert story.seen.answer.headers["x-smalt-upstream"].startswith("east/")
    assert story.seen.answer.headers["x-smalt-attempts"] == "1"
    if story.fault.fault and story.fault.fault["kind"] != "filtered":
        assert (story.seen.text, story.seen.begun, story.seen.ended, story.seen.error) == (whole, 1, 1, None)
    assert story.tried == ["east"]


def _check_elsewhere(story: Story, whole: str) -> None:
    """By the second one, whole, once, and nobody is told of the first."""
    assert story.seen.answer.status == 200
    assert (story.seen.text, story.seen.begun, story.seen.ended, story.seen.error) == (whole, 1, 1, None)
    assert story.seen.answer.headers["x-smalt-upstream"].startswith("sweden/")
    assert story.seen.answer.headers["x-smalt-region"] == "swedencentral"
    assert story.seen.answer.headers["x-smalt-attempts"] == "2"
    assert story.tried == ["sweden"] if "not_sent" in story.fault.fates else ["east", "sweden"]


def _check_refusal(story: Story, whole: str) -> None:
    canned = catalogue()[story.fault.name]
    assert story.seen.answer.status == canned.status
    if canned.payload:
        assert story.seen.answer.body == canned.payload
    assert story.seen.answer.error["message"]
    assert story.seen.answer.headers["x-should-retry"] == "false"
    assert story.seen.answer.headers["x-smalt-attempts"] == "1"
    assert story.tried == ["east"]


def _check_break(story: Story, whole: str) -> None:
    assert story.seen.answer.status == 200
    assert story.seen.error
    assert story.seen.begun == 1
    assert story.seen.ended == 0
    if story.fault.fault:
        assert story.seen.text
        assert whole.startswith(story.seen.text)
        assert story.seen.text != whole
    assert story.tried == ["east"]


def _check_timeout(story: Story, whole: str) -> None:
    _check_own_error(story.seen.answer, 504, "timeout", retryable=False)
    assert story.tried == ["east"]


def _check_lost(story: Story, whole: str) -> None:
    _check_own_error(story.seen.answer, 503, "no_upstream_available", retryable=True)
    assert story.tried == ["east"]


def _check_own_error(answer: Answer, status: int, code: str, *, retryable: bool) -> None:
    """OpenAI's four fields, what to do, and where it is written."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-smalt-request-id"]
    error = answer.error
    assert (error["code"], error["retryable"], error["param"]) == (code, retryable, None)
    assert error["type"]
    assert error["message"]
    assert error["resolution"]
    assert error["doc_url"] == f"{PAGE}#{code.lower()}"


CHECKS = {
    See.ANSWER: _check_answer,
    See.ELSEWHERE: _check_elsewhere,
    See.REFUSAL: _check_refusal,
    See.BREAK: _check_break,
    See.TIMEOUT: _check_timeout,
    See.LOST: _check_lost,
}


def _check_fates(story: Story, see: See) -> None:
    """Each attempt in the record, with what it may have cost; the bill says the same."""
    record = story.record
    first, *others = record.attempts
    regions = [attempt.upstream.partition("/")[0] for attempt in record.attempts]
    assert regions == (["east", "sweden"] if see is See.ELSEWHERE else ["east"])
    if see in {See.ANSWER, See.BREAK}:
        assert (first.fate, first.failure) == ("billed", None)
    else:
        assert first.fate in ({"unknown"} if see is See.TIMEOUT else story.fault.fates)
        assert first.failure
    if first.fate in {"free", "not_sent"}:
        assert story.bill["east"] == []
    for attempt in others:
        (line,) = story.bill["sweden"]
        assert (attempt.fate, attempt.failure, line["complete"], record.estimated) == (
            "billed",
            None,
            True,
            False,
        )
        assert record.usage
        assert record.usage.input_tokens == line["input_tokens"]
        assert record.usage.output_tokens == line["output_tokens"]
    assert (record.error is None) == (see in {See.ANSWER, See.ELSEWHERE})


@pytest.mark.parametrize("cell", [Cell("chat"), Cell("chat", streamed=True), Cell("embeddings")], ids=str)
@pytest.mark.parametrize(("name", "final"), faults.FINALS, ids=[name for name, _ in faults.FINALS])
def test_nobody_is_left(name: str, final: faults.Final, cell: Cell, bench: Bench) -> None:
    """One error says what every region said, what to do, and when; nothing is billed."""
    fault = Fault(name, None, None, switches={"mode": "error", "error": name})
    bench.set_up(fault, "east", "sweden", attempts=ONCE_EACH)
    for story in bench.play(fault, cell):
        answer = story.seen.answer
        _check_own_error(answer, final.status, final.code, retryable=final.retryable)
        assert len(answer.error["causes"]) == len(story.record.attempts)
        assert {"east", "sweden"} == set(story.tried)
        assert ("retry-after-ms" in answer.headers) == final.waits
        if final.waits:
            assert int(answer.headers["retry-after"]) == -(-int(answer.headers["retry-after-ms"]) // 1_000)
        assert not any(story.bill.values())
        assert (story.record.error, story.record.usage) == (final.code, None)


@pytest.mark.parametrize("cell", faults.CELLS, ids=str)
def test_kept_connections_closed_meanwhile(cell: Cell, bench: Bench, truth: Callable[[Cell], str]) -> None:
    """The request goes out again on a new one, unless it may have been done; the first is never struck."""
    fault = Fault("close_idle", See.ANSWER, See.ANSWER, fault={"kind": "close_idle"})
    whole = truth(cell)
    bench.set_up(fault, "east", "sweden")
    for seat in bench.seats:
        assert seat.call(cell).text == whole
        seat.records.clear()
    for story in bench.play(fault, cell):
        if cell.stored:
            _check_own_error(story.seen.answer, 503, "no_upstream_available", retryable=True)
        else:
            assert (story.seen.text, story.seen.begun, story.seen.error) == (whole, 1, None)
            assert story.seen.answer.headers["x-smalt-attempts"] == "2"
            assert len(story.tried) == 1


def test_every_fault_is_in_the_matrix() -> None:
    """What is left out is left out by name."""
    assert {entry["name"] for entry in faults.ENTRIES} - faults.LEFT_OUT.keys() == set(catalogue())
    kinds = {fault.fault["kind"] for fault in faults.NETWORK if fault.fault}
    assert kinds | faults.APART.keys() == set(KINDS)
    assert all(any(fault.seen_in(cell) for cell in faults.CELLS) for fault in faults.FAULTS)
