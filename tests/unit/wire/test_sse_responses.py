"""The events of the Responses operation."""

import json
from typing import Any

import msgspec
import pytest

from smalt.types import Failure, FailureKind, Usage
from smalt.wire.sse import KEPT_END, LONGEST_EVENT, StreamWatch

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 12,
}
REPORTED = Usage(9, 3, cached_tokens=4, reasoning_tokens=2)
SILENT = Failure(FailureKind.SERVER, "the response failed without a reason", 200)


def event(kind: str, **members: Any) -> bytes:
    told = {"type": kind, "sequence_number": 0, **members}
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps(told).encode() + b"\n\n"


def state(status: str, **members: Any) -> bytes:
    """One of the events that hold the response as it is."""
    kept: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "output": [],
        "error": None,
        "usage": None,
    }
    return event(f"response.{status}", response={**kept, **members})


def delta(text: str, kind: str = "output_text") -> bytes:
    return event(f"response.{kind}.delta", item_id="msg_1", output_index=0, content_index=0, delta=text)


CREATED = event("response.created", response={"id": "resp_1", "status": "in_progress", "error": None})
ADDED = event("response.output_item.added", output_index=0, item={"type": "message", "content": []})
PART = event("response.content_part.added", part={"type": "output_text", "text": ""})
COMPLETED = state("completed", usage=USAGE)
BEGUN = CREATED + state("in_progress") + ADDED + PART
WHOLE = BEGUN + delta("Grüße ") + delta("aus 東京") + event("response.output_text.done", text="x") + COMPLETED


def passed(watch: StreamWatch, *parts: bytes) -> bytes:
    return b"".join(watch.feed(part) for part in parts) + watch.rest()


def watched(stream: bytes) -> StreamWatch:
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, stream) == stream
    return watch


def test_a_whole_response() -> None:
    """All of it passes, its usage too: nobody asks for that, it always comes."""
    watch = watched(WHOLE)
    assert (watch.ended, watch.content_seen, watch.error) == (True, True, None)
    assert watch.usage == REPORTED
    assert watch.text == "Grüße aus 東京"
    assert watch.output_tokens_estimate == 5  # 18 bytes


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_split_gives_the_same(line_end: bytes) -> None:
    """However the bytes are cut in two, with whatever line ends, the same is seen."""
    stream = WHOLE.replace(b"\n", line_end)
    for cut in range(0, len(stream) + 1, 3):
        watch = StreamWatch(hide_usage=True)
        assert passed(watch, stream[:cut], stream[cut:]) == stream
        assert (watch.usage, watch.ended, watch.text) == (REPORTED, True, "Grüße aus 東京")


@pytest.mark.parametrize(
    "preamble",
    [
        CREATED,
        event("response.queued", response={"status": "queued"}),
        state("in_progress"),
        ADDED,
        PART,
        state("failed"),
        event("error", error={"message": "x"}),
        event("keepalive"),
        event(""),
        b'data: {"type":5}\n\n',
        b"event: response.output_text.delta\n\n",
    ],
)
def test_what_is_only_preamble(preamble: bytes) -> None:
    """Before these nothing of the answer was said, so another upstream could still give it."""
    watch = watched(preamble)
    assert not watch.content_seen
    assert watch.output_tokens_estimate == 0


@pytest.mark.parametrize(
    "content",
    [
        delta("Hi"),
        delta("No.", "refusal"),
        delta("{", "function_call_arguments"),
        delta("Hm.", "reasoning_summary_text"),
        event("response.reasoning_summary_part.added", part={}),
        event("response.web_search_call.in_progress"),
        event("response.output_item.done", item={}),
        event("response.something.new"),
        COMPLETED,
        state("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        b"event: response.output_text.delta\ndata: {\n\n",
    ],
)
def test_what_is_content(content: bytes) -> None:
    """Any part of an answer, its regular end, and what cannot be read."""
    assert watched(BEGUN + content).content_seen


@pytest.mark.parametrize(
    ("stream", "text", "tokens"),
    [
        (delta("abcd") + delta("e"), "abcde", 2),
        (delta("No way!", "refusal"), "", 2),
        (delta('{"a":1}', "function_call_arguments"), "", 2),
        (delta("Hm") + delta("Hi", "reasoning_summary_text"), "Hm", 1),
        (event("response.output_text.done", text="Hello"), "", 0),
        (event("response.output_text.delta", delta=None), "", 0),
        (event("response.output_text.delta", delta={"text": "abcd"}), "abcd", 1),
    ],
)
def test_how_much_was_said(stream: bytes, text: str, tokens: int) -> None:
    """Every delta counts once; only those of the text are told."""
    watch = watched(stream)
    assert (watch.text, watch.output_tokens_estimate) == (text, tokens)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_what_ends_a_response(status: str) -> None:
    """Each final state is the end, and may report usage."""
    watch = watched(BEGUN + state(status, usage=USAGE))
    assert (watch.ended, watch.usage) == (True, REPORTED)


@pytest.mark.parametrize("stream", [BEGUN, BEGUN + delta("x"), WHOLE.removesuffix(COMPLETED)])
def test_what_does_not_end_a_response(stream: bytes) -> None:
    """Without a final event a response is cut, whatever else it said."""
    assert not watched(stream).ended


@pytest.mark.parametrize("usage", [None, {}, 5, [], {"input_tokens": "9"}, {"output_tokens": 3}])
def test_strange_usage_is_none(usage: Any) -> None:
    """A usage that cannot be read is not guessed; the end is the end."""
    watch = watched(state("completed", usage=usage))
    assert (watch.ended, watch.usage) == (True, None)


def test_usage_once_told_stays() -> None:
    """A later event without usage that can be read takes nothing back."""
    assert watched(COMPLETED + state("completed", usage={"strange": 1})).usage == REPORTED
    assert watched(COMPLETED + event("error", error={"message": "x"})).usage == REPORTED


def test_only_chunks_of_chat_are_hidden() -> None:
    """An event that has a type is more than a usage chunk, whatever it tells beside."""
    stream = event("response.usage", usage=USAGE)
    watch = watched(stream)
    assert watch.usage == REPORTED


@pytest.mark.parametrize("response", [None, 5, [], {}, "x"])
def test_an_end_without_a_response(response: Any) -> None:
    """A final event ends a stream, even one that does not tell the response."""
    assert watched(event("response.completed", response=response)).ended
    assert watched(event("response.completed")).ended


QUOTA = {"type": "too_many_requests", "code": "rate_limit_exceeded", "message": "Too many."}
TOO_MANY = Failure(FailureKind.QUOTA, "Too many.", 200)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (event("error", error=QUOTA), TOO_MANY),
        (event("error", **{**QUOTA, "type": "error"}), TOO_MANY),
        (state("failed", error=QUOTA), TOO_MANY),
        (state("failed") + event("error", error=QUOTA), TOO_MANY),
        (event("error", error=QUOTA) + state("failed"), TOO_MANY),
        (event("error", error=QUOTA) + state("failed", error={"code": "server_error"}), TOO_MANY),
        (state("failed", error=QUOTA) + event("error", code="server_error", message="x"), TOO_MANY),
        (state("failed"), SILENT),
        (event("response.failed", response=None), SILENT),
        (event("response.failed"), SILENT),
        (state("incomplete", error=None), None),
    ],
)
def test_why_a_response_failed(stream: bytes, expected: Failure | None) -> None:
    """Azure tells it by one event or by two, in either order and shape; the first that says why counts."""
    watch = watched(CREATED + stream)
    assert watch.error == expected
    assert watch.ended


def test_a_silent_failure_waits_for_its_reason() -> None:
    """A failure without a reason is told when the stream has ended, for the reason may still come."""
    watch = StreamWatch()
    watch.feed(CREATED + state("failed"))
    assert watch.ended
    assert watch.error is None
    watch.rest()
    assert watch.error == SILENT


LONG = "x" * (2 * LONGEST_EVENT)


def in_pieces(stream: bytes, size: int) -> StreamWatch:
    watch = StreamWatch()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert passed(watch, *pieces) == stream
    return watch


@pytest.mark.parametrize("size", [1_000, 65_536, LONGEST_EVENT])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_long_answer_is_read_to_its_end(size: int, line_end: bytes) -> None:
    """The last event repeats the answer; of one too long to be kept the end still tells the usage."""
    end = state("completed", output=[{"type": "message", "text": LONG}], usage=USAGE, metadata={"a": "b"})
    watch = in_pieces((BEGUN + end).replace(b"\n", line_end), size)
    assert (watch.ended, watch.content_seen, watch.usage, watch.error) == (True, True, REPORTED, None)


def test_long_events_pass_at_once() -> None:
    """What is too long to be kept is not kept waiting either."""
    watch = StreamWatch()
    end = state("completed", output=LONG, usage=USAGE)
    assert watch.feed(end[:10]) == b""
    assert watch.feed(end[10 : LONGEST_EVENT + 1]) == end[: LONGEST_EVENT + 1]
    assert watch.feed(end[LONGEST_EVENT + 1 : -1]) == end[LONGEST_EVENT + 1 : -1]
    assert not watch.ended
    assert watch.feed(end[-1:] + CREATED) == end[-1:] + CREATED
    assert (watch.ended, watch.usage) == (True, REPORTED)


def test_one_long_event_behind_the_other() -> None:
    """The end of a long event is found, and what follows is looked at again."""
    item = event("response.output_item.done", item={"type": "message", "text": LONG, "usage": USAGE})
    for size in (1_000, 100_000):
        watch = in_pieces(item + item, size)
        assert (watch.ended, watch.usage) == (False, None)
        watch = in_pieces(item + state("completed", output=LONG, usage=USAGE) + delta("more"), size)
        assert (watch.ended, watch.usage, watch.text) == (True, REPORTED, "more")


def test_a_long_event_without_a_name() -> None:
    """The type inside says what the line above may leave out."""
    nameless = state("completed", output=LONG, usage=USAGE).partition(b"\n")[2]
    assert in_pieces(nameless, 1_000).usage == REPORTED


def test_a_long_event_that_is_cut() -> None:
    """A long event that never ended has told what it could."""
    cut = state("completed", output=LONG, usage=USAGE).removesuffix(b"\n\n")
    assert in_pieces(cut, 1_000).usage == REPORTED
    assert in_pieces(cut[:-10], 1_000).usage is None
    assert in_pieces(cut[: LONGEST_EVENT + 10], 1_000).usage is None


def test_usage_of_a_long_event_may_have_details_of_details() -> None:
    """Whatever stands inside, the usage is read to its end."""
    details = {
        "cached_tokens": 4,
        "cache_write_tokens": 2,
        "cache_write_tokens_details": {"of": {"an": "hour"}},
    }
    watch = in_pieces(
        state("completed", output=LONG, usage={**USAGE, "input_tokens_details": details}), 1_000
    )
    assert watch.usage == Usage(9, 3, cached_tokens=4, reasoning_tokens=2, cache_write_tokens=2)


def test_a_long_event_tells_its_tier() -> None:
    """The tier decides the price, and stands beside the usage."""
    told = state("completed", output=LONG, service_tier="flex", usage=USAGE)
    watch = in_pieces(told, 1_000)
    assert watch.usage == msgspec.structs.replace(REPORTED, service_tier="flex")
    assert watched(told).usage == watch.usage


def test_a_long_failure() -> None:
    """A failed response may be long too."""
    watch = in_pieces(state("failed", output=LONG), 1_000)
    assert (watch.ended, watch.error) == (True, SILENT)


@pytest.mark.parametrize(
    "end",
    [
        {"usage": {"a": "b"}},
        {"usage": {"input_tokens": "9"}},
        {"usage": None},
        {"text": json.dumps({"usage": USAGE})},
        {"usage": USAGE, "tools": [{"usage": "a number"}]},
        {"usage": USAGE, "metadata": "x" * (2 * KEPT_END)},
    ],
)
def test_usage_of_a_long_event_is_not_guessed(end: dict[str, Any]) -> None:
    """What stands in a text, cannot be read or is too far from the end counts for nothing."""
    watch = in_pieces(event("response.completed", response={"output": LONG, **end}), 1_000)
    assert (watch.ended, watch.usage) == (True, None)


@pytest.mark.parametrize(("made", "told"), [({"id": "resp_1"}, "resp_1"), ({"id": 7}, None), ({}, None)])
def test_a_stream_tells_what_its_response_is_called(made: dict[str, object], told: str | None) -> None:
    """As soon as it is made."""
    watch = StreamWatch()
    watch.feed(event("response.created", response=made))
    assert watch.response_id == told
