import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from smalt.observe.call_lines import LONGEST, line_of, log_begun, log_ended
from smalt.types import (
    AttemptRecord,
    CallBegun,
    CallRecord,
    Failure,
    FailureKind,
    Fate,
    Operation,
    TraceParent,
    Usage,
)

AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IDS = {"apim-request-id": "apim-2", "x-request-id": "req-2"}
FAILED = AttemptRecord(
    "west/a",
    "westus",
    1,
    5,
    Fate.FREE,
    Failure(FailureKind.QUOTA, "their words", 429),
    0.1,
    upstream_ids={"apim-request-id": "apim-1"},
)
ANSWERED = AttemptRecord("east/a", "eastus", 2, 5, Fate.BILLED, None, 0.1, upstream_ids=IDS)
BEGUN = CallBegun("id-1", Operation.CHAT, "gpt-4o", True, 83, AT, "ci", "chat-7", ("search", "web"))
ENDED = CallRecord(
    "id-1",
    Operation.CHAT,
    "gpt-4o",
    "east/a",
    "eastus",
    (FAILED, ANSWERED),
    Usage(100, 20, cached_tokens=60),
    cost_nusd=450_000,
    upstream_ids=IDS,
    session="chat-7",
    tags=("search", "web"),
    duration_s=1.25,
    first_byte_s=0.5,
    principal="ci",
    started_at=AT,
    trace=TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True),
)


def test_the_line_of_a_call_that_begins() -> None:
    """Who asks for what; as text without what is not known."""
    line = line_of(BEGUN)
    assert (line.at, line.logger) == (AT, "smalt.requests")
    assert line.keys == {
        "request_id": "id-1",
        "principal": "ci",
        "model": "gpt-4o",
        "operation": "chat.completions",
        "stream": True,
        "prompt_tokens": 83,
        "session": "chat-7",
        "tags": ["search", "web"],
    }
    bare = replace(BEGUN, principal=None, session=None, tags=(), stream=False)
    assert str(line_of(bare).keys) == (
        "request_id=id-1 model=gpt-4o operation=chat.completions stream=False prompt_tokens=83"
    )


def test_the_line_of_a_call_that_has_ended() -> None:
    """What became of it; money as text, since a float would change it. The upstreams' words are not in it."""
    line = line_of(ENDED)
    assert (line.at, line.logger) == (AT.replace(second=1, microsecond=250_000), "smalt.responses")
    assert line.keys == {
        "request_id": "id-1",
        "principal": "ci",
        "model": "gpt-4o",
        "operation": "chat.completions",
        "outcome": "ok",
        "error": None,
        "degraded": False,
        "upstream": "east/a",
        "deployment": "a",
        "region": "eastus",
        "input_tokens": 100,
        "cached_tokens": 60,
        "output_tokens": 20,
        "estimated": False,
        "cost_usd": "0.00045",
        "latency_ms": 1250.0,
        "first_token_ms": 500.0,
        "attempts": 2,
        "failed_attempts": [
            {"upstream": "west/a", "failure": "quota", "status": 429, "apim_request_id": "apim-1"}
        ],
        "apim_request_id": "apim-2",
        "x_request_id": "req-2",
        "session": "chat-7",
        "tags": ["search", "web"],
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    assert "failed_attempts=west/a:quota:429:apim-1 apim_request_id=apim-2" in str(line.keys)


def test_a_call_that_nobody_answered() -> None:
    """No deployment, no cost, no tokens; the code of the error."""
    record = replace(ENDED, upstream=None, usage=None, cost_nusd=None, error="rate_limit_exceeded")
    keys = line_of(record).keys
    assert (keys["outcome"], keys["error"]) == ("error", "rate_limit_exceeded")
    assert (keys["upstream"], keys["deployment"], keys["cost_usd"], keys["input_tokens"]) == (
        None,
        None,
        None,
        0,
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gpt\nid-2 forged", "'gpt\\nid-2 forged'"),
        ("x" * 1_000, "x" * LONGEST),
        ("Bearer sk-abcdefghijkl", "Bearer **********"),
    ],
)
def test_names_of_others_begin_no_lines_and_tell_no_secrets(name: str, shown: str) -> None:
    """Nor do they fill the disk."""
    assert line_of(replace(BEGUN, model=name)).keys["model"] == shown
    assert line_of(replace(ENDED, session=name)).keys["session"] == shown
    assert line_of(replace(ENDED, tags=(name,))).keys["tags"] == [shown]
    assert line_of(replace(ENDED, upstream_ids={"x-request-id": name})).keys["x_request_id"] == shown


def test_text_with_blanks_is_quoted() -> None:
    """So that programs find where it ends."""
    assert "session=\"my 'own' chat\"" in str(line_of(replace(BEGUN, session='my "own" chat')).keys)


def test_the_library_logs_them_when_its_loggers_are_asked(caplog: pytest.LogCaptureFixture) -> None:
    """INFO; the keys are attributes of the record. Otherwise nothing is even put together."""
    log_begun(BEGUN)
    log_ended(ENDED)
    assert caplog.records == []
    caplog.set_level(logging.INFO)
    log_begun(BEGUN)
    log_ended(ENDED)
    begun, ended = caplog.records
    assert begun.getMessage().startswith("call began: request_id=id-1 principal=ci model=gpt-4o ")
    assert (begun.name, begun.levelname, vars(begun)["prompt_tokens"]) == ("smalt.requests", "INFO", 83)
    assert (ended.name, vars(ended)["cost_usd"]) == ("smalt.responses", "0.00045")
    assert ended.created == AT.timestamp() + 1.25


def test_the_keys_are_no_attributes_of_every_log_record() -> None:
    """logging would refuse them, or be confused."""
    own: dict[str, Any] = vars(logging.makeLogRecord({}))
    assert not set(own) & {*line_of(BEGUN).keys, *line_of(ENDED).keys}


def test_every_key_is_documented() -> None:
    """In order, and no other."""
    page = Path("docs/reference/logs.md").read_text("utf-8")
    _, of_begun, of_ended = page.split("\n## ")
    for section, told in ((of_begun, BEGUN), (of_ended, ENDED)):
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(line_of(told).keys)
