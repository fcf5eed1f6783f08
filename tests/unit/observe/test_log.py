import logging

import pytest
from msgspec.structs import replace

from smalt.errors import StreamInterrupted
from smalt.observe.log import log_notice, log_trouble, log_wait
from smalt.types import (
    AttemptRecord,
    CallRecord,
    Failure,
    FailureKind,
    Fate,
    Notice,
    NoticeKind,
    Operation,
    Usage,
)

ANSWERED = AttemptRecord("east/a", "eastus", 1, 5, Fate.BILLED, None, 0.1)
CALL = CallRecord("id-1", Operation.CHAT, "gpt-4o", "east/a", attempts=(ANSWERED,), usage=Usage(1))


def failed(kind: FailureKind, number: int = 1) -> AttemptRecord:
    return AttemptRecord("west/a", "westus", number, 5, Fate.FREE, Failure(kind, "its words", 429), 0.1)


def logged(caplog: pytest.LogCaptureFixture, record: CallRecord) -> list[str]:
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    log_trouble(record)
    return [f"{entry.levelname} {entry.name} {entry.getMessage()}" for entry in caplog.records]


def test_a_smooth_call_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Smooth calls are counted, not logged."""
    assert logged(caplog, CALL) == []


def test_no_line_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever wrote the text."""
    broken = Failure(FailureKind.CONNECT, "http://me:hush@proxy is down; Bearer abcdefghijk")
    attempt = AttemptRecord("west/a", "westus", 1, 5, Fate.NOT_SENT, broken, 0.1)
    (line,) = logged(caplog, replace(CALL, attempts=(attempt, ANSWERED)))
    assert "http://**********@proxy is down; Bearer **********" in line


def test_a_caller_who_leaves_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """That is nobody's trouble."""
    attempts = (failed(FailureKind.CALLER_LEFT),)
    assert logged(caplog, replace(CALL, upstream=None, attempts=attempts, error="abandoned")) == []


@pytest.mark.parametrize("kind", [FailureKind.REQUEST, FailureKind.CONTENT_FILTER])
def test_a_refused_request_is_no_warning(caplog: pytest.LogCaptureFixture, kind: FailureKind) -> None:
    """Who refused it and how, without the words: they may repeat what the caller wrote."""
    record = replace(CALL, attempts=(failed(kind),), usage=None, error=str(kind))
    assert logged(caplog, record) == [f"INFO smalt.calls id-1 gpt-4o: refused by west/a: 429 {kind}"]


def test_an_error_in_a_stream_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The upstream's own, after it had begun well."""
    (line,) = logged(caplog, replace(CALL, error=str(FailureKind.SERVER)))
    assert line == "WARNING smalt.calls id-1 gpt-4o: answered by east/a; server"


def test_a_failover_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What failed, and who answered in the end."""
    record = replace(CALL, attempts=(failed(FailureKind.QUOTA), replace(ANSWERED, number=2)))
    assert logged(caplog, record) == [
        "WARNING smalt.calls id-1 gpt-4o: attempt 1/5 on west/a (westus): 429 its words; answered by east/a"
    ]


def test_a_call_that_failed_names_every_attempt_and_the_error(caplog: pytest.LogCaptureFixture) -> None:
    """One line for the whole call."""
    attempts = (failed(FailureKind.QUOTA), failed(FailureKind.SERVER, 2))
    (line,) = logged(caplog, replace(CALL, upstream=None, attempts=attempts, usage=None, error="no_upstream"))
    assert line.endswith(
        "attempt 1/5 on west/a (westus): 429 its words; attempt 2/5 on west/a (westus): 429 its words; "
        "no_upstream"
    )


def test_a_call_nobody_was_free_for_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Refusing without an attempt is trouble too."""
    (line,) = logged(
        caplog, replace(CALL, upstream=None, attempts=(), usage=None, error="rate_limit_exceeded")
    )
    assert line.endswith("gpt-4o: no attempt; rate_limit_exceeded")


def test_a_stream_that_broke_off_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """It was answered, but not to the end."""
    (line,) = logged(caplog, replace(CALL, error=StreamInterrupted.code))
    assert line.endswith("gpt-4o: answered by east/a; stream_interrupted")


def test_names_from_callers_begin_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A model's name with a line break cannot forge a line of the log."""
    record = replace(CALL, model="azure/x\nid-2 gpt-4o: all fine", error=StreamInterrupted.code)
    (line,) = logged(caplog, record)
    assert "\n" not in line
    assert "azure/x\\nid-2" in line


def test_a_notice_is_one_line_with_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    """People read the text, programs the attributes of the log record."""
    data = {"tokens_per_minute": 96_400, "quota": 120_000, "usage_pct": 80.3}
    log_notice(Notice(NoticeKind.QUOTA_NEARLY_SPENT, "east/a", "96,400 of 120,000 tokens are spent", data))
    (entry,) = caplog.records
    assert (entry.levelname, entry.name) == ("WARNING", "smalt.calls")
    assert entry.getMessage() == "east/a: 96,400 of 120,000 tokens are spent"
    assert {name: vars(entry)[name] for name in ("upstream", *data)} == {"upstream": "east/a", **data}


def test_a_notice_without_numbers(caplog: pytest.LogCaptureFixture) -> None:
    """A breaker has none; what an upstream said cannot forge a line of the log."""
    log_notice(Notice(NoticeKind.BREAKER_OPENED, "east/a", "5 failures in a row: Bad\nGateway"))
    (entry,) = caplog.records
    assert entry.getMessage() == "'east/a: 5 failures in a row: Bad\\nGateway'"


def test_a_library_is_silent_until_asked() -> None:
    """Without a configuration of logging nothing reaches stderr."""
    handlers = logging.getLogger("smalt").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_a_wait_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """One line; what an upstream said cannot begin another."""
    refused = replace(failed(FailureKind.QUOTA), failure=Failure(FailureKind.QUOTA, "slow\ndown", 429))
    log_wait(refused, 2.04)
    (line,) = [f"{entry.levelname} {entry.name} {entry.getMessage()}" for entry in caplog.records]
    assert line == r"WARNING smalt.calls 'retrying in 2.0 s: attempt 1/5 on west/a (westus): 429 slow\ndown'"
