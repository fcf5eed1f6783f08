"""Callers who leave, at every moment of a call: the upstream is let go at once, and nothing stays behind."""

import json
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import ADAPTERS, ADMIN_KEY, Adapter, Stage, eventually, needs_proc
from tests.integration.gateway.raw import Caller, ask, body, calling, head, request

from smalt.config import Settings
from smalt.emulator.testing import Handle
from smalt.types import CallRecord, FailureKind, Fate

UPSTREAMS = head(f"authorization: Bearer {ADMIN_KEY}", target="/admin/v1/upstreams", method="GET", key=None)
ONLY_EAST = {"gpt-4o": {"route": ["east"]}, "tight": {"route": ["east"]}}
PATIENT = {"total_s": 300, "stream_first_byte_s": 300, "stream_idle_s": 300}
PATIENT_RETRIES = {"base_s": 20, "cap_s": 20, "jitter_s": 0}
WITHIN_S = 1.0  # from the caller's leaving until the upstream is let go
GREEDY = body(model="tight", max_tokens=900)  # more than half of what its quota grants in a minute

Reached = Callable[[Handle, Caller, Stage], bool]


def sent(azure: Handle, _caller: Caller, _stage: Stage) -> bool:
    return bool(azure.log())


def begun(azure: Handle, _caller: Caller, _stage: Stage) -> bool:
    return any(entry["status"] == 200 for entry in azure.log())


def reading(azure: Handle, caller: Caller, _stage: Stage) -> bool:
    caller.until(b"data: ")
    return bool(azure.log()[-1]["chunks"] >= 6)


def refused(azure: Handle, _caller: Caller, stage: Stage) -> bool:
    """And waiting for the time when it may go on."""
    return azure.log()[-1:] != [] and azure.log()[-1]["finished_s"] is not None and waiting(stage) == 1


def in_line(_azure: Handle, _caller: Caller, stage: Stage) -> bool:
    return waiting(stage) == 1


def waiting(stage: Stage) -> int:
    return sum(int(row["waiting"]) for row in upstreams(stage))


def upstreams(stage: Stage) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ask(stage.url, UPSTREAMS).body)
    return rows


@dataclass(frozen=True, slots=True)
class Moment:
    """`reached`: whether it is there. `sends`: requests upstreams see in all. `cut`: the last one still is
    under way. `fate`: of the last attempt, None if there is none. `first`: a call that is answered before."""

    name: str
    reached: Reached
    content: bytes = field(default_factory=body)
    switches: Mapping[str, Any] = field(default_factory=lambda: {"mode": "up"})
    fault: Mapping[str, Any] | None = None
    first: bytes | None = None
    sends: int = 1
    cut: bool = True
    fate: Fate | None = Fate.UNKNOWN

    def __str__(self) -> str:
        return self.name


SLOW_HEAD: dict[str, Any] = {"mode": "up", "latency_ms": 60_000}
SLOW_START = {"mode": "up", "first_token_ms": 60_000}
SLOW_STREAM = {"mode": "up", "token_ms": 20}
STREAM = body(stream=True)
MOMENTS = (
    Moment("before the head", sent, switches=SLOW_HEAD),
    Moment("before the head of a stream", sent, STREAM, SLOW_HEAD),
    Moment("before the content of a stream", begun, STREAM, SLOW_START),
    Moment("in the body of an answer", begun, fault={"kind": "hang", "at": "after_head"}),
    Moment("in a stream", reading, STREAM, SLOW_STREAM, fate=Fate.BILLED),
    Moment(
        "in a stream gone silent",
        reading,
        STREAM,
        fault={"kind": "hang", "at": "in_body", "chunks": 6},
        fate=Fate.BILLED,
    ),
    Moment("in line", in_line, GREEDY, first=GREEDY, cut=False, fate=None),
    Moment(
        "in a cooldown",
        refused,
        switches={"mode": "error", "error": "rate_limit_tokens_classic", "count": 1},
        cut=False,
        fate=Fate.FREE,
    ),
    Moment(
        "before a repeat",
        refused,
        switches={"mode": "error", "error": "server_error", "count": 1},
        cut=False,
        fate=Fate.FREE,
    ),
)


def close(caller: Caller) -> None:
    caller.sock.close()


def reset(caller: Caller) -> None:
    caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.sock.close()


@pytest.fixture(params=ADAPTERS)
def stage(request: pytest.FixtureRequest, stages: dict[Adapter, Stage], azure: Handle) -> Stage:
    stage = stages[request.param]
    stage.play(world.settings(azure, models=ONLY_EAST, timeouts=PATIENT, retry=PATIENT_RETRIES))
    return stage


@pytest.fixture
def records(stage: Stage) -> list[CallRecord]:
    told: list[CallRecord] = []
    stage.assembly.dispatcher._sinks += (told.append,)
    return told


@pytest.mark.parametrize("leave", [close, reset], ids=["closes", "resets"])
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_caller_who_leaves(
    moment: Moment, leave: Callable[[Caller], None], stage: Stage, records: list[CallRecord], azure: Handle
) -> None:
    """The upstream request ends within a second, nothing is in flight or in line, and the record says so."""
    if moment.first is not None:
        assert ask(stage.url, request(content=moment.first)).status == 200
        records.clear()
    azure.set("east", **moment.switches)
    if moment.fault is not None:
        azure.fault(**moment.fault, resource="east")
    with calling(stage.url) as caller:
        caller.send(request(content=moment.content))
        eventually(lambda: moment.reached(azure, caller, stage))
        left_s = azure.state()["uptime_s"]
        leave(caller)
    eventually(lambda: len(records) == 1, within_s=WITHIN_S)
    if moment.cut:
        eventually(lambda: azure.log()[-1]["outcome"] == "cancelled", within_s=WITHIN_S)
        assert azure.log()[-1]["finished_s"] - left_s < WITHIN_S
    assert len(azure.log()) == moment.sends
    assert [(row["in_flight"], row["waiting"]) for row in upstreams(stage)] == [(0, 0)] * len(
        upstreams(stage)
    )
    (record,) = records
    assert record.error == "abandoned"
    last = record.attempts[-1] if record.attempts else None
    assert (last.fate if last else None) == moment.fate
    if moment.fate is Fate.UNKNOWN:
        assert last
        assert last.failure
        assert last.failure.kind is FailureKind.CALLER_LEFT
    assert (record.usage is not None) == (moment.fate is Fate.BILLED)  # estimated from what came


def test_a_caller_who_leaves_in_the_request(stage: Stage, records: list[CallRecord], azure: Handle) -> None:
    """Nothing was asked yet, so nobody is."""
    whole = request()
    with calling(stage.url) as caller:
        caller.send(whole[:-10])
    with calling(stage.url) as caller:  # the gateway has seen the other one leave by then
        caller.send(whole)
        assert caller.answer().status == 200
    assert len(azure.log()) == len(records) == 1


@pytest.mark.parametrize("stage", ["hot"], indirect=True)
def test_a_caller_who_leaves_with_requests_behind(
    stage: Stage, records: list[CallRecord], azure: Handle
) -> None:
    """Those that still waited for their turn on the connection are never sent."""
    azure.set("east", **SLOW_HEAD)
    with calling(stage.url) as caller:
        caller.send(request(), request(), request())
        eventually(lambda: bool(azure.log()))
    eventually(lambda: azure.log()[-1]["outcome"] == "cancelled", within_s=WITHIN_S)
    azure.set("east", "up", latency_ms=0)
    assert ask(stage.url, request()).status == 200
    assert len(azure.log()) == len(records) == 2


@needs_proc  # elsewhere systems refuse what a full line does not take
def test_a_caller_who_leaves_before_the_upstream_is_connected(
    stage: Stage, records: list[CallRecord], azure: Handle
) -> None:
    """The attempt is dropped, though the system still waits for the other side to answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as stack:
        for _ in range(3):  # what the system takes in nobody's name
            full = stack.enter_context(closing(socket.socket()))
            full.setblocking(False)
            full.connect_ex(deaf.getsockname())
        told = world.written(azure, models=ONLY_EAST, timeouts=PATIENT | {"connect_s": 60})
        told["resources"]["east"]["endpoint"] = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        stage.play(Settings.model_validate(told))
        stage.assembly.dispatcher._sinks += (records.append,)
        with calling(stage.url) as caller:
            caller.send(request())
            eventually(lambda: any(row["in_flight"] for row in upstreams(stage)))
        eventually(lambda: len(records) == 1, within_s=WITHIN_S)
        assert records[0].error == "abandoned"
        assert not any(row["in_flight"] for row in upstreams(stage))


def test_a_caller_who_leaves_in_an_answer_too_large_to_hold(
    stage: Stage, records: list[CallRecord], azure: Handle
) -> None:
    """What is relayed as it comes is dropped as it is."""
    content = {"model": "text-embedding-3-small", "input": ["word"] * 600, "encoding_format": "float"}
    with calling(stage.url) as caller:
        caller.send(request(content=json.dumps(content).encode(), target="/v1/embeddings"))
        length = caller.until(b"\r\n\r\n").lower()
        assert b"transfer-encoding: chunked" in length  # more than can be held, so its length is not told
        assert [row["in_flight"] for row in upstreams(stage)].count(1) == 1
    eventually(lambda: len(records) == 1, within_s=WITHIN_S)
    assert (records[0].error, records[0].estimated) == ("abandoned", True)
    assert not any(row["in_flight"] for row in upstreams(stage))
