import pytest
from tests.unit.dispatch.fakes import Office, make_facts

from smalt.dispatch.run import SendFailed
from smalt.dispatch.watched import WatchedStream
from smalt.types import FailureKind, Usage

TEXT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"
BROKE = SendFailed(FailureKind.TRUNCATED, "the connection broke in the answer")


def open_stream(*, asks_usage: bool = False) -> tuple[Office, WatchedStream]:
    office = Office()
    return office, WatchedStream(office.answered(make_facts(stream=True, asks_usage=asks_usage)))


def test_a_whole_stream_passes_and_its_usage_is_recorded() -> None:
    """Events go on unchanged; the usage chunk nobody asked for stays behind."""
    office, stream = open_stream()
    assert b"".join(map(stream.feed, (TEXT, STOP, USAGE, DONE))) == TEXT + STOP + DONE
    assert stream.last(None) == b""
    (record,) = office.records
    assert (record.usage, record.estimated, record.error) == (Usage(9, 4), False, None)
    assert office.in_flight == 0


def test_usage_that_was_asked_for_is_given() -> None:
    """The caller's own option holds."""
    _, stream = open_stream(asks_usage=True)
    assert stream.feed(USAGE) == USAGE


def test_a_stream_without_usage_is_estimated() -> None:
    """The prompt's estimate and that of the text that came."""
    office, stream = open_stream()
    for event in (TEXT, TEXT, STOP, DONE):
        stream.feed(event)
    stream.last(None)
    (record,) = office.records
    assert (record.usage, record.estimated) == (Usage(84, 1), True)


@pytest.mark.parametrize(
    ("failed", "text"),
    [(BROKE, b"the stream broke: the connection broke"), (None, b"stopped without a finish reason")],
)
def test_a_stream_that_breaks_ends_in_an_error_event(failed: SendFailed | None, text: bytes) -> None:
    """No part of an event stands before it, and the call is told as broken off."""
    office, stream = open_stream()
    assert stream.feed(TEXT + b'data: {"choi') == TEXT
    last = stream.last(failed)
    assert last.startswith(b'data: {"error":')
    assert last.endswith(b"\n\n")
    assert text in last
    assert b"stream_interrupted" in last
    (record,) = office.records
    assert (record.error, record.estimated, record.upstream) == ("stream_interrupted", True, "east/a")
    assert office.in_flight == 0


def test_an_end_without_its_blank_line_is_an_end() -> None:
    """Some servers leave out the last line break."""
    office, stream = open_stream()
    stream.feed(STOP + b"data: [DONE]")
    assert stream.last(None) == b"data: [DONE]"
    assert office.records[0].error is None


def test_a_caller_who_leaves_in_mid_stream() -> None:
    """What came until then is estimated."""
    office, stream = open_stream()
    stream.feed(TEXT)
    stream.leave()
    stream.leave()
    (record,) = office.records
    assert (record.error, record.usage, record.estimated) == ("abandoned", Usage(84, 1), True)
    assert office.in_flight == 0


def test_a_caller_who_stops_reading_at_the_end_has_it_all() -> None:
    """Several SDKs read up to the end mark and close."""
    office, stream = open_stream()
    for event in (TEXT, STOP, USAGE):
        stream.feed(event)
    stream.leave()
    (record,) = office.records
    assert (record.error, record.usage, record.estimated) == (None, Usage(9, 4), False)
