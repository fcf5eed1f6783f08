import logging
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from tests.unit.observe.collector import Collector, attributes, collecting

from smalt.errors import MissingExtra
from smalt.observe.spans import CLOSES_WITHIN_S, Spans, ids
from smalt.types import (
    AttemptRecord,
    CallRecord,
    Failure,
    FailureKind,
    Fate,
    Operation,
    TraceParent,
    Usage,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_NS = int(AT.timestamp()) * 10**9
TRACE = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
REQUEST_ID = "01234567-89ab-cdef-0123-456789abcdef"
FAILED = AttemptRecord(
    "west/a",
    "westus",
    1,
    5,
    Fate.FREE,
    Failure(FailureKind.QUOTA, "words of theirs", 429),
    duration_s=0.25,
    started_s=0.5,
    upstream_ids={"apim-request-id": "apim-1"},
)
ANSWERED = AttemptRecord("east/a", "eastus", 2, 5, Fate.BILLED, None, 1.0, started_s=0.75)
CALL = CallRecord(
    REQUEST_ID,
    Operation.CHAT,
    "gpt-4o",
    "east/a",
    "eastus",
    (FAILED, ANSWERED),
    Usage(100, 20, cached_tokens=60, reasoning_tokens=5),
    cost_nusd=450_000,
    session="chat-7",
    tags=("search", "web"),
    duration_s=2.0,
    first_byte_s=1.5,
    principal="ci",
    started_at=AT,
    trace=TRACE,
    stream=True,
)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def sent(collector: Collector, *records: CallRecord) -> None:
    spans = Spans(collector.url, {"east/a": "openai"})
    for record in records:
        spans(record)
    spans.close()
    assert spans.lost == 0


def test_a_call_and_its_attempts(collector: Collector) -> None:
    """Times are those of the record; the caller's span is the parent. No word of an upstream is in it."""
    sent(collector, CALL)
    call, failed, answered = collector.spans
    assert collector.asked == ["/v1/traces"]
    assert (call.name, call.kind) == ("chat gpt-4o", 2)
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE.trace_id, TRACE.parent_id)
    assert call.span_id.hex() == "0123456789abcdef"
    assert (call.start_time_unix_nano, call.end_time_unix_nano) == (START_NS, START_NS + 2 * 10**9)
    assert call.status.code == 0
    assert attributes(call) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "chat-7",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.response.time_to_first_chunk": 1.5,
        "smalt.request_id": REQUEST_ID,
        "smalt.principal": "ci",
        "smalt.operation": "chat.completions",
        "smalt.upstream": "east/a",
        "smalt.region": "eastus",
        "smalt.attempts": 2,
        "smalt.estimated": False,
        "smalt.cost_usd": "0.00045",
        "smalt.tags": ["search", "web"],
    }
    assert (failed.name, failed.kind) == ("attempt west/a", 3)
    assert failed.parent_span_id == answered.parent_span_id == call.span_id
    assert failed.trace_id == answered.trace_id == call.trace_id
    assert len({call.span_id, failed.span_id, answered.span_id}) == 3
    assert (failed.start_time_unix_nano, failed.end_time_unix_nano) == (
        START_NS + 500_000_000,
        START_NS + 750_000_000,
    )
    assert (failed.status.code, failed.status.message, answered.status.code) == (2, "quota", 0)
    assert attributes(failed) == {
        "http.response.status_code": 429,
        "error.type": "quota",
        "smalt.upstream": "west/a",
        "smalt.region": "westus",
        "smalt.attempt": 1,
        "smalt.fate": "free",
        "smalt.apim_request_id": "apim-1",
    }


def test_a_call_that_begins_a_trace(collector: Collector) -> None:
    """Its digits are those of our id of the request, so that one is found by the other."""
    failed = replace(CALL, trace=None, principal=None, attempts=(), usage=None, error="overloaded")
    sent(collector, failed)
    (call,) = collector.spans
    assert (call.trace_id.hex(), call.parent_span_id) == (REQUEST_ID.replace("-", ""), b"")
    assert (call.kind, call.status.code, call.status.message) == (1, 2, "overloaded")
    assert attributes(call)["error.type"] == "overloaded"


def test_no_id_is_zero() -> None:
    """That would be none."""
    assert ids(replace(CALL, trace=None, request_id="0" * 32)) == (1, 1)


def test_a_trace_that_is_not_kept_is_not_added_to(collector: Collector) -> None:
    """The caller said so in its flags."""
    sent(collector, replace(CALL, trace=replace(TRACE, sampled=False)), replace(CALL, attempts=()))
    assert len(collector.spans) == 1


def test_who_sends_them(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """smalt, unless the environment has a name for it."""
    sent(collector, CALL)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "dungeon")
    sent(collector, CALL)
    assert [resource["service.name"] for resource in collector.resources] == ["smalt", "dungeon"]


def test_a_collector_that_is_away_costs_spans_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Closing does not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://me:hush@127.0.0.1:{closed.getsockname()[1]}"
    caplog.set_level(logging.DEBUG)
    spans = Spans(url, {})
    for _ in range(3):
        spans(CALL)
    started_s = time.monotonic()
    spans.close()
    assert time.monotonic() - started_s < CLOSES_WITHIN_S + 2
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]
    assert "hush" not in caplog.text


def test_a_collector_that_refuses_and_comes_back(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each; what it refused is counted."""
    collector.status = 400
    spans = Spans(f"{collector.url}/custom/path", {})
    spans(replace(CALL, attempts=()))
    collector.wait_for(1)
    collector.status = 200
    spans(replace(CALL, attempts=()))
    collector.wait_for(2)
    spans.close()
    assert spans.lost == 1
    assert collector.asked == ["/custom/path"] * 2
    told = [record.getMessage() for record in caplog.records if record.name == "smalt.traces"]
    assert told == [
        f"the collector at {spans.url} takes no spans; calls go on",
        f"the collector at {spans.url} takes spans again",
    ]


def test_new_settings_send_elsewhere(collector: Collector) -> None:
    """Whoever holds the sink need not change it."""
    with collecting() as other:
        spans = Spans(collector.url, {})
        spans(replace(CALL, attempts=()))
        collector.wait_for(1)
        spans.send_to(other.url, {"east/a": "openai"})
        spans(replace(CALL, attempts=()))
        (call,) = other.wait_for(1)
        spans.close()
    assert attributes(call)["gen_ai.provider.name"] == "openai"
    assert len(collector.spans) == 1


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingExtra, match=r"observe\.otlp needs .*: pip install 'smalt\[otel\]'$"):
        Spans("http://127.0.0.1:4318", {})
