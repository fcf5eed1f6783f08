import json
from pathlib import Path

import pytest

from smalt.types import Usage
from smalt.wire.sse import LONGEST_EVENT, StreamWatch

CATALOGUE = Path(__file__).parents[3] / "src/smalt/emulator/errors.json"
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
    assert (watch.usage, watch.ended, watch.events) == (Usage(9, 1), True, 4)


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
    assert (watch.usage, watch.ended, watch.events) == (None, False, 0)


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
    """Keep-alive comments are forwarded and count for nothing."""
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, b": ping\n\n", WHOLE) == b": ping\n\n" + HELLO + STOP + DONE
    assert watch.events == 4


def test_data_in_texts_is_not_counted() -> None:
    """Only data lines count as events, not the word in a text."""
    watch = StreamWatch()
    passed(watch, content("data:image/png;base64 and data: more"), HELLO)
    assert watch.events == 2


def test_an_endless_event_is_not_kept() -> None:
    """An event beyond all measure passes unwatched, and the next one is seen again."""
    watch = StreamWatch(hide_usage=True)
    start = b"data: " + b"x" * LONGEST_EVENT
    assert watch.feed(start) == start
    assert passed(watch, b"x\n\n", WHOLE) == b"x\n\n" + HELLO + STOP + DONE
    assert watch.usage == Usage(9, 1)


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("stream_error_after_content", True),
        ("stream_overloaded_first_event", True),
        ("stream_filtered_default", True),
        ("stream_filtered_no_done", True),
        ("stream_async_filter_ok", True),
        ("stream_async_filter_late_block", True),
        ("stream_cut", False),
    ],
)
def test_catalogued_streams(name: str, ended: bool) -> None:
    """Every chat stream of the catalogue passes unchanged, and only the cut one lacks its end."""
    entries = {entry["name"]: entry for entry in json.loads(CATALOGUE.read_text("utf-8"))}
    stream = entries[name]["stream"].encode()
    watch = StreamWatch(hide_usage=True)
    assert passed(watch, stream) == stream
    assert watch.ended is ended
