import pytest
from tests.unit.dispatch.fakes import Office, make_facts

from smalt.dispatch.run import SendFailed
from smalt.dispatch.watched import LARGEST_PREAMBLE, WatchedStream
from smalt.types import FailureKind, Usage

ROLE = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
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


@pytest.mark.parametrize("held", [True, False])
def test_renamed_tools_are_called_by_the_callers_names(held: bool) -> None:
    """In what was held until the content began, in what follows, and in a last event without its end."""
    sent, asked = (
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"%b"}}]}}]}\n\n' % name
        for name in (b"a_b_12345678", b"a.b")
    )
    stream = WatchedStream(Office().answered(make_facts(stream=True)), renamed={b"a_b_12345678": b'"a.b"'})
    if held:
        assert stream.begin(sent)
        assert stream.held() == asked
    assert stream.feed(sent + STOP) == asked + STOP
    stream.feed(sent[:-2])
    assert stream.last(None) == asked[:-2]


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


def test_a_caller_who_stops_reading_at_an_error() -> None:
    """SDKs raise it and close; the record has it all the same."""
    office, stream = open_stream()
    stream.feed(TEXT)
    stream.feed(b'data: {"error":{"message":"The server had an error","type":"server_error"}}\n\n')
    stream.leave()
    (record,) = office.records
    assert record.error == "server"


def test_a_stream_begins_with_its_content() -> None:
    """What comes before is held, and handed over once."""
    _, stream = open_stream()
    assert not stream.begin(ROLE[:9])
    assert not stream.begin(ROLE[9:])
    assert stream.begin(TEXT)
    assert (stream.held(), stream.held()) == (ROLE + TEXT, b"")
    assert stream.feed(STOP) == STOP


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (b'{"message":"That model is currently overloaded.","type":"server_error"}', FailureKind.CAPACITY),
        (b'{"message":"The server had an error.","type":"server_error"}', FailureKind.SERVER),
    ],
)
def test_an_error_before_any_content_is_the_attempts(error: bytes, kind: FailureKind) -> None:
    """Nothing has reached the caller: another upstream may still answer."""
    office, stream = open_stream()
    stream.begin(ROLE)
    with pytest.raises(SendFailed) as caught:
        stream.begin(b'data: {"error":' + error + b"}\n\n")
    assert caught.value.failure.kind is kind
    assert caught.value.failure.status == 200
    assert office.records == []


def test_an_error_that_would_be_the_same_elsewhere_is_the_answer() -> None:
    """It goes to the caller as it came, and the call is told with it."""
    office, stream = open_stream()
    refusal = b'data: {"error":{"message":"filtered","code":"content_filter"}}\n\n'
    assert stream.begin(refusal)
    assert stream.held() == refusal
    assert stream.last(None) == b""
    assert office.records[0].error == "content_filter"


def test_preamble_is_not_held_without_end() -> None:
    """Comments, and events that say nothing, are passed on once there are many of them."""
    _, stream = open_stream()
    comment = b": waiting\n\n"
    times = LARGEST_PREAMBLE // len(comment)
    assert not stream.begin(comment * times)
    assert stream.begin(comment)
    assert stream.held() == comment * (times + 1)


def test_a_stream_of_preamble_alone_is_no_answer() -> None:
    """It ended before it had begun."""
    _, stream = open_stream()
    stream.begin(ROLE)
    with pytest.raises(SendFailed, match="before it had begun"):
        stream.begin_at_end()


def test_an_error_without_its_blank_line_is_seen_at_the_end() -> None:
    """Some servers leave out the last line break."""
    _, stream = open_stream()
    stream.begin(b'data: {"error":{"message":"overloaded","type":"server_error"}}')
    with pytest.raises(SendFailed, match="overloaded"):
        stream.begin_at_end()


def test_a_short_stream_ends_as_it_began() -> None:
    """All of it may come before anybody asks for more."""
    office, stream = open_stream()
    stream.begin(b"data: [DONE]")
    stream.begin_at_end()
    assert stream.held() == b"data: [DONE]"
    stream.last(None)
    assert office.records[0].error is None


@pytest.mark.parametrize("keep_text", [True, False])
def test_what_was_said_goes_with_the_error(keep_text: bool) -> None:
    """Where it is kept: programs can go on from there."""
    stream = WatchedStream(Office().answered(make_facts(stream=True)), keep_text=keep_text)
    stream.feed(TEXT + TEXT)
    assert (b'"partial":"hihi"' in stream.last(BROKE)) is keep_text
