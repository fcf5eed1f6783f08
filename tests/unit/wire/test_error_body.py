import json
import re
from pathlib import Path

import pytest

from smalt.errors import (
    BY_CODE,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimited,
    SmaltError,
    StreamInterrupted,
)
from smalt.types import Failure, FailureKind, Operation
from smalt.wire.error_body import Told, error_body, error_event, error_headers, read_error
from smalt.wire.sse import StreamWatch

ROOT = Path(__file__).parents[3]


def test_the_shape_every_sdk_reads() -> None:
    """OpenAI's four fields come first, then what helps further."""
    error = RateLimited("no quota", causes=["attempt 1/1 on east/a: 429"], resolution=["wait"])
    assert json.loads(error_body(error)) == {
        "error": {
            "message": "no quota",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
            "retryable": True,
            "resolution": ["wait"],
            "grpc_status": "RESOURCE_EXHAUSTED",
            "doc_url": "docs/reference/errors.md#rate_limit_exceeded",
            "causes": ["attempt 1/1 on east/a: 429"],
        }
    }


@pytest.mark.parametrize("error", BY_CODE.values(), ids=BY_CODE)
def test_every_error_links_to_its_heading(error: type[SmaltError]) -> None:
    """The page has one for each code, spelled as links to headings are."""
    page, _, heading = json.loads(error_body(error("said")))["error"]["doc_url"].partition("#")
    headings = re.findall(r"^### (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert heading in [found.lower() for found in headings]


def test_a_body_of_ours_is_read_back() -> None:
    """Everything `explain` needs in another process."""
    error = RateLimited("no quota", causes=["attempt 1/1 on east/a: 429"], resolution=["wait"])
    assert read_error(json.loads(error_body(error))["error"]) == Told(
        "no quota",
        "rate_limit_error",
        "rate_limit_exceeded",
        retryable=True,
        resolution=("wait",),
        grpc_status="RESOURCE_EXHAUSTED",
        causes=("attempt 1/1 on east/a: 429",),
    )


@pytest.mark.parametrize(
    "error", [None, "busy", {}, {"message": "busy", "code": "429"}, {"grpc_status": "UNAVAILABLE"}]
)
def test_a_body_of_azures_is_none_of_ours(error: object) -> None:
    """Nor is anything else."""
    assert read_error(error) is None


def test_an_error_as_an_event() -> None:
    """The last event of a broken stream is one data line and a blank line."""
    error = StreamInterrupted("the stream\nbroke")
    event = error_event(error)
    assert event == b"data: " + error_body(error) + b"\n\n"
    assert event.count(b"\n") == 2


def test_what_came_of_a_broken_stream_is_in_its_event() -> None:
    """Nothing is said of it where nothing came, or where it is not kept."""
    assert b'"partial":"Once upon"' in error_event(StreamInterrupted("broken", partial="Once upon"))
    assert b"partial" not in error_event(StreamInterrupted("broken"))


def test_sdks_do_not_retry() -> None:
    """Every final error forbids the SDK to try again."""
    assert error_headers(InvalidRequest("bad")) == [
        (b"content-type", b"application/json"),
        (b"x-should-retry", b"false"),
    ]


def test_an_error_as_an_event_of_responses() -> None:
    """There an event has a name and a type, and the error stands inside, where SDKs raise it."""
    error = StreamInterrupted("the stream\nbroke")
    name, data, *rest = error_event(error, Operation.RESPONSES).split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    told = json.loads(data.removeprefix(b"data: "))
    assert told == {"type": "error", **json.loads(error_body(error))}


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES])
def test_our_own_error_events_are_understood(operation: Operation) -> None:
    """What we say at the end of a broken stream, another smalt before us takes for the end it is."""
    watch = StreamWatch()
    watch.feed(error_event(StreamInterrupted("the stream broke"), operation))
    assert watch.ended
    assert watch.error == Failure(FailureKind.SERVER, "the stream broke", 200)


@pytest.mark.parametrize(
    ("retry_after_s", "milliseconds", "seconds"),
    [(6.85, b"6850", b"7"), (0.0, b"0", b"0"), (0.0001, b"0", b"0"), (0.001, b"1", b"1"), (-1.0, b"0", b"0")],
)
def test_the_wait_is_told_exactly(retry_after_s: float, milliseconds: bytes, seconds: bytes) -> None:
    """Milliseconds are exact, seconds are rounded up, and neither is negative."""
    headers = dict(error_headers(NoUpstreamAvailable("busy", retry_after_s=retry_after_s)))
    assert (headers[b"retry-after-ms"], headers[b"retry-after"]) == (milliseconds, seconds)


def test_no_wait_is_told_when_none_is_known() -> None:
    """An error without a time has no header of it."""
    assert b"retry-after" not in dict(error_headers(NoUpstreamAvailable("busy")))
