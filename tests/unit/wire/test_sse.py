import json
import tracemalloc
from typing import Any

import pytest

from smalt.types import Failure, FailureKind, Usage
from smalt.wire.sse import LONGEST_EVENT, LONGEST_TEXT, StreamWatch

HELLO = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}\n\n'
STOP = b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}\n\n'
ANNOTATION = (
    b'data: {"choices":[{"index":0,"finish_reason":null,"content_filter_results":{}}],"usage":null}\n\n'
)
WHOLE = HELLO + STOP + USAGE + DONE


def content(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def passed(watch: StreamWatch, *parts: bytes) -> bytes:
    return b"".join(watch.feed(part) for part in parts) + watch.rest()


def test_a_stream_passes_unchanged() -> None:
    """Without anything to hide every byte is forwarded."""
    watch = StreamWatch()
    assert passed(watch, WHOLE) == WHOLE
    assert (watch.usage, watch.ended, watch.error) == (Usage(9, 1), True, None)


def test_the_usage_chunk_is_hidden() -> None:
    """A caller that did not ask for usage does not see its chunk, but we do."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, WHOLE) == HELLO + STOP + DONE
    assert watch.usage == Usage(9, 1)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_split_gives_the_same(line_end: bytes) -> None:
    """However the bytes are cut in two, with whatever line ends, the same is forwarded."""
    stream = WHOLE.replace(b"\n", line_end)
    for cut in range(len(stream) + 1):
        watch = StreamWatch(hide_usage=True)
        assert passed(watch, stream[:cut], stream[cut:]) == (HELLO + STOP + DONE).replace(b"\n", line_end)
        assert (watch.usage, watch.ended) == (Usage(9, 1), True)


def test_byte_by_byte() -> None:
    """Single bytes add up to the same stream."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, *(WHOLE[at : at + 1] for at in range(len(WHOLE)))) == HELLO + STOP + DONE


def test_mixed_line_ends() -> None:
    """Line ends may change within a stream, even within a blank line."""
    watch = StreamWatch(hide_usage=True)
    usage = USAGE.removesuffix(b"\n\n")
    assert passed(watch, HELLO + usage + b"\n\r\n" + STOP + usage + b"\r\n\n" + DONE) == HELLO + STOP + DONE


def test_whole_events_are_forwarded_at_once() -> None:
    """An event is not held back for the next one, however short."""
    watch = StreamWatch()
    assert watch.feed(b":\n\n") == b":\n\n"
    assert watch.feed(HELLO + STOP[:10]) == HELLO
    assert watch.feed(STOP[10:]) == STOP


def test_an_event_in_pieces_is_held() -> None:
    """Half an event is not forwarded."""
    watch = StreamWatch()
    assert watch.feed(HELLO[:-1]) == b""
    assert watch.feed(HELLO[-1:]) == HELLO


def test_a_last_event_without_its_blank_line() -> None:
    """What is left at the end is looked at and forwarded."""
    watch = StreamWatch()
    assert passed(watch, HELLO + b"data: [DONE]") == HELLO + b"data: [DONE]"
    assert watch.ended


def test_the_usage_chunk_names_its_service_tier() -> None:
    """What the tokens are billed by."""
    watch = StreamWatch()
    watch.feed(USAGE.replace(b'"id":"1"', b'"id":"1","service_tier":"priority"'))
    assert watch.usage == Usage(9, 1, service_tier="priority")


def test_a_last_usage_chunk_without_its_blank_line() -> None:
    """The usage chunk is hidden even when the stream ends in it."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, HELLO + USAGE.rstrip()) == HELLO
    assert watch.usage == Usage(9, 1)


def test_an_empty_stream() -> None:
    """Nothing in, nothing out."""
    watch = StreamWatch()
    assert passed(watch, b"") == b""
    assert (watch.usage, watch.ended, watch.error, watch.content_seen) == (None, False, None, False)
    assert (watch.text, watch.output_tokens_estimate) == ("", 0)


@pytest.mark.parametrize(
    "end",
    [
        STOP,
        DONE,
        ERROR,
        b"data:[DONE]\n\n",
        b"data:  [DONE] \n\n",
        STOP.replace(b'"finish_reason":', b'"finish_reason": '),
        b'data:{"error":"boom"}\n\n',
        b'data: {"id":"","choices":[], "error": {"code":500}}\n\n',
        b'event: error\ndata: {"error":{"message":"x"}}\n\n',
        b'data: {"choices":[{"finish_reason":"length"}],"usage":{"strange":1}}\n\n',
        b"\xef\xbb\xbf" + ERROR,
    ],
)
def test_what_ends_a_stream(end: bytes) -> None:
    """A finish reason, [DONE] or an error is the end, however it is written."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, end) == end
    assert watch.ended


@pytest.mark.parametrize(
    "event",
    [
        HELLO,
        ANNOTATION,
        USAGE,
        b": [DONE]\n\n",
        b"event: [DONE]\n\n",
        content("data: [DONE]"),
        content('{"finish_reason":"stop"}'),
        content('data: {"error":{"message":"x"}}'),
        b'data: {"error":null,"choices":[]}\n\n',
        b'data: {"choices":[{"content_filter_results":{"error":{"code":"content_filter_error"}}}]}\n\n',
    ],
)
def test_what_does_not_end_a_stream(event: bytes) -> None:
    """Text about ends and errors, comments, annotations and usage are not the end."""
    watch = StreamWatch()
    assert passed(watch, event) == event
    assert not watch.ended


def test_annotations_after_the_end() -> None:
    """The asynchronous filter's chunks after the stop chunk change nothing."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, STOP + ANNOTATION + USAGE + DONE) == STOP + ANNOTATION + DONE
    assert watch.ended


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n',
        b'data: {"error":{"message":"x"},"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n',
    ],
)
def test_usage_next_to_content_or_error_is_shown(event: bytes) -> None:
    """Usage is noted, but a chunk that says more than usage is never left out."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, event) == event
    assert watch.usage == Usage(9, 1)


@pytest.mark.parametrize(
    "event",
    [
        content('{"usage":{"prompt_tokens":1}}'),
        b'data: {"choices":[{"delta":{"usage":{"prompt_tokens":1}}}]}\n\n',
        b': {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":"1"}}\n\n',
        b'data: {"choices":[],"usage":{}}\n\n',
        b'data: {"choices":5,"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"usage":{"prompt_tokens":1},"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"usage":{"prompt_tokens":1},"x":"\xff\xfe\n\n',
    ],
)
def test_what_is_no_usage_passes(event: bytes) -> None:
    """Usage in texts, comments, other places or an unreadable shape is forwarded and not counted."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, event) == event
    assert watch.usage is None


@pytest.mark.parametrize(
    "event",
    [
        b'data:{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n',
        b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}\n\n',
        b'data: {"choices":[],\ndata: "usage":{"prompt_tokens":9,\ndata:"completion_tokens":1}}\n\n',
        b': note\nid: 7\nevent: chunk\ndata: {"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n',
        b'data: {"choices":null,"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n',
    ],
)
def test_usage_is_found_however_it_is_written(event: bytes) -> None:
    """Missing space, more space, several lines and other fields do not hide usage from us."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, HELLO + event + DONE) == HELLO + DONE
    assert watch.usage == Usage(9, 1)


def test_comments_pass() -> None:
    """Keep-alive comments are forwarded and say nothing."""
    watch = StreamWatch(hide_usage=True)
    assert watch.feed(b": ping\n\n") == b": ping\n\n"
    assert not watch.content_seen
    assert passed(watch, WHOLE) == HELLO + STOP + DONE


def test_an_endless_event_is_not_kept() -> None:
    """An event beyond all measure passes in pieces, and the next one is seen again."""
    watch = StreamWatch(hide_usage=True)
    start = b"data: " + b"x" * LONGEST_EVENT
    assert watch.feed(start) == start
    assert watch.content_seen
    assert watch.feed(b"y") == b"y"
    assert passed(watch, b"x\n\n", WHOLE) == b"x\n\n" + HELLO + STOP + DONE
    assert watch.usage == Usage(9, 1)


@pytest.mark.parametrize(("tier", "expected"), [("flex", "flex"), ("default", None), (None, None), (5, None)])
def test_the_tier_of_a_stream(tier: Any, expected: str | None) -> None:
    """Usage tells the tier it is billed at; a strange one hides nothing else."""
    watch = StreamWatch()
    usage = {"prompt_tokens": 9, "completion_tokens": 1}
    chunk = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage, "service_tier": tier}
    watch.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert watch.ended
    assert watch.usage == Usage(9, 1, service_tier=expected)


def test_many_events_behind_one_that_was_held() -> None:
    """Whatever comes at once, every whole event in it is looked at, and only the last piece is held."""
    watch = StreamWatch(hide_usage=True)
    many = content("x" * 1_000) * (2 * LONGEST_EVENT // 1_000)
    assert watch.feed(HELLO[:10]) == b""
    assert watch.feed(HELLO[10:] + many + USAGE + DONE + HELLO[:10]) == HELLO + many + DONE
    assert (watch.ended, watch.usage) == (True, Usage(9, 1))
    assert watch.rest() == HELLO[:10]


def test_an_event_of_just_the_longest_length_is_kept() -> None:
    """Up to the limit an event is held until it is whole."""
    watch = StreamWatch()
    start = b"data: " + b"x" * (LONGEST_EVENT - 6)
    assert watch.feed(start) == b""
    assert watch.feed(b"\n\n") == start + b"\n\n"


FILTER = b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n'
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}]}\n\n'


def delta(**members: Any) -> bytes:
    return (
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": members}], "usage": None}).encode()
        + b"\n\n"
    )


def legacy(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "text": text}]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    "event",
    [
        FILTER,
        ROLE,
        ANNOTATION,
        USAGE,
        DONE,
        ERROR,
        legacy(""),
        delta(role="assistant"),
        delta(tool_calls=[], function_call=None, audio={}),
        b": ping\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b"event: ping\n\n",
        b"id: 7\nretry: 5\n\n",
        b"data: {}\n\n",
        b'data: {"choices":null}\n\n',
        b'data: {"choices":[{"delta":null}]}\n\n',
        b'data: {"choices":[{}]}\n\n',
        b"\n\n",
    ],
)
def test_what_is_only_preamble(event: bytes) -> None:
    """Before these nothing of the answer was said, so another upstream could still give it."""
    watch = StreamWatch()
    assert passed(watch, event) == event
    assert not watch.content_seen
    assert (watch.text, watch.output_tokens_estimate) == ("", 0)


@pytest.mark.parametrize(
    "event",
    [
        HELLO,
        STOP,
        legacy("Hi"),
        delta(role="assistant", content="Hi"),
        delta(refusal="No."),
        delta(tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}]),
        delta(function_call={"name": "f"}),
        delta(audio={"id": "audio_1"}),
        delta(reasoning_content="Hm."),
        delta(context={"citations": [{"content": "x"}]}),
        delta(something_new=1),
        b'data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}\n\n',
        b'data: {"choices":[{"text":"","finish_reason":"length"}]}\n\n',
        b"data: {\n\n",
        b"data: Hello\n\n",
        b'data: {"choices":5}\n\n',
        b'data: {"choices":[{"delta":"Hi"}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b'data: {"choices":[{"delta":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}]}\n\n",
        b'data: {"choices":[{"delta":{"x":' + b"[" * 900 + b"1" + b"]" * 900 + b"}}]}\n\n",
    ],
)
def test_what_is_content(event: bytes) -> None:
    """A part of the answer of whatever kind, its end, and what cannot be read: it might be an answer."""
    watch = StreamWatch()
    assert passed(watch, FILTER, ROLE, event) == FILTER + ROLE + event
    assert watch.content_seen


def test_content_stays_seen() -> None:
    """What comes behind content does not take it back."""
    watch = StreamWatch()
    passed(watch, FILTER, HELLO, ANNOTATION, ERROR)
    assert watch.content_seen


def test_what_was_said() -> None:
    """The text so far is kept for an error that tells how far a stream came."""
    watch = StreamWatch()
    passed(watch, FILTER, ROLE, content("Grüße "), content("aus "), ANNOTATION, content("東京"))
    assert watch.text == "Grüße aus 東京"


def test_what_was_said_in_a_legacy_completion() -> None:
    """There a choice has a text and no delta."""
    watch = StreamWatch()
    passed(watch, FILTER, legacy("Once"), legacy(" more"))
    assert watch.text == "Once more"


@pytest.mark.parametrize("first", [{"index": 0}, {}, {"index": None}])
def test_only_the_first_choice_is_told(first: dict[str, Any]) -> None:
    """Of several choices the text of the first is kept; all of them count."""
    watch = StreamWatch()
    for said in ("ab", "cd"):
        for index, text in (({"index": 1}, "other"), (first, said)):
            choice = {**index, "delta": {"content": text}}
            watch.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    assert watch.text == "abcd"
    assert watch.output_tokens_estimate == 4  # 14 bytes


@pytest.mark.parametrize(
    "members",
    [
        {"refusal": "No."},
        {"tool_calls": [{"function": {"arguments": "{}"}}]},
        {"reasoning_content": "Hm."},
        {"content": [{"type": "text", "text": "parts"}]},
    ],
)
def test_only_content_is_told(members: dict[str, Any]) -> None:
    """Refusals, tool calls and thoughts are no text of the answer."""
    watch = StreamWatch()
    passed(watch, content("Hi"), delta(**members), content("!"))
    assert watch.text == "Hi!"


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([content("")], 0),
        ([content("a")], 1),
        ([content("abcd")], 1),
        ([content("abcd"), content("e")], 2),
        ([content("東京")], 2),
        ([delta(refusal="No way!")], 2),
        ([legacy("abcde")], 2),
        ([delta(role="assistant", content="abcd")], 1),
        ([delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":1}'}}])], 2),
        ([delta(tool_calls=[{"id": "call", "type": "func", "function": {"name": "n", "arguments": ""}}])], 3),
        ([FILTER, ROLE, STOP, USAGE, DONE], 0),
    ],
)
def test_how_much_was_said(events: list[bytes], tokens: int) -> None:
    """Without reported usage four bytes of what was said count as a token, however it was cut."""
    watch = StreamWatch()
    passed(watch, *events)
    assert watch.output_tokens_estimate == tokens


def test_a_text_without_measure_is_not_kept() -> None:
    """Only the first MiB of a text is kept, cut between letters; all of it counts."""
    watch = StreamWatch()
    watch.feed(content("a"))
    for _ in range(3):
        watch.feed(content("ü" * (LONGEST_TEXT // 4)))
    assert watch.text == "a" + "ü" * (LONGEST_TEXT // 2 - 1)
    assert watch.output_tokens_estimate == (3 * LONGEST_TEXT // 2 + 1 + 3) // 4


def test_a_stream_of_100_mb_needs_no_more_memory() -> None:
    """What a watch keeps does not grow with the stream."""
    watch = StreamWatch(hide_usage=True)
    part = content("x" * 50_000) + ANNOTATION
    tracemalloc.start()
    try:
        for _ in range(2_000):
            watch.feed(part[:30_000])
            watch.feed(part[30_000:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert watch.output_tokens_estimate == 25_000_000
    assert peak < 4 * LONGEST_TEXT


def error_of(stream: bytes) -> Failure | None:
    watch = StreamWatch()
    assert passed(watch, stream) == stream
    return watch.error


def test_an_error_as_an_event() -> None:
    """An error under status 200 is classified, so that another upstream can be tried."""
    assert error_of(FILTER + ERROR) == Failure(FailureKind.CAPACITY, "overloaded", 200)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (b'data: {"error":"boom"}\n\n', Failure(FailureKind.SERVER, "boom", 200)),
        (
            b'data: {"error":{"code":"429","message":"Try again in 2 seconds."}}\n\n',
            Failure(FailureKind.QUOTA, "Try again in 2 seconds.", 200, 2),
        ),
        (
            b'data: {"error":{"code":500,"message":"x"},"choices":[]}\n\n',
            Failure(FailureKind.SERVER, "x", 200),
        ),
        (b'event: error\r\ndata: {"error":{"message":"x"}}\r\n\r\n', Failure(FailureKind.SERVER, "x", 200)),
        (b'data: {"error":{"message":"x"}}', Failure(FailureKind.SERVER, "x", 200)),
        (b'data: {"error":{},"choices":[]}\n\n', None),
        (b'data: {"error":null}\n\n', None),
        (content('{"error":{"message":"x"}}'), None),
    ],
)
def test_what_an_error_says(event: bytes, expected: Failure | None) -> None:
    """By the rules for answers; a text about an error is none."""
    assert error_of(event) == expected


def test_the_first_error_counts() -> None:
    """What follows an error is only its echo."""
    echo = b'data: {"error":{"code":"400","message":"later"}}\n\n'
    assert error_of(ERROR + echo) == error_of(ERROR)
