"""What is found in a text that comes in pieces is what is found in the whole, wherever it is cut."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.errors import PolicyDenied
from smalt.gateway.guarded_events import LONGEST_EVENT, GuardedEvents
from smalt.gateway.guarded_texts import replaced
from smalt.guards import Finding

SECRET = re.compile(r"(?<!\w)s\d{3,}")  # begins to be one with its third digit


def find(text: str) -> Iterator[Finding]:
    return (Finding(found.start(), found.end(), "[hidden]") for found in SECRET.finditer(text))


def pieces(told: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(told) + 1) for cut in cuts), len(told)]
    return [told[start:end] for start, end in itertools.pairwise(at)]


def events(window: int = 4) -> GuardedEvents:
    return GuardedEvents(find, window)


def sse(*told: object) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told)


def heard(out: bytes) -> list[Any]:
    data = [line[6:] for line in out.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def chunk(text: str | None = None, index: int = 0, finish: str | None = None, **delta: object) -> Any:
    told = delta if text is None else {"content": text, **delta}
    return {"id": "c", "choices": [{"index": index, "delta": told, "finish_reason": finish}]}


def said(out: bytes, index: int = 0) -> str:
    choices = [choice for event in heard(out) for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


TEXTS = st.text("s123 ax", max_size=60)


@given(TEXTS, st.lists(st.integers(0, 4_000), max_size=8))
def test_events_may_be_cut_anywhere(text: str, cuts: list[int]) -> None:
    """A connection knows nothing of events."""
    stream, told = events(), sse(chunk(text[:20]), chunk(text[20:]), chunk(finish="stop"))
    out = b"".join(stream.feed(piece) for piece in pieces(told, cuts))
    assert stream.rest() == b""
    assert said(out) == replaced(text, find(text))


@given(st.lists(st.tuples(TEXTS, st.integers(0, 2)), max_size=6))
def test_texts_of_several_choices_do_not_mix(told: list[tuple[str, int]]) -> None:
    """Each comes to its end with its finish reason."""
    stream = events()
    out = stream.feed(sse(*(chunk(text, index) for text, index in told)))
    out += stream.feed(sse(*(chunk(index=index, finish="stop") for index in range(3))))
    assert stream.rest() == b""
    for index in range(3):
        whole = "".join(text for text, of in told if of == index)
        assert said(out, index) == replaced(whole, find(whole))


def test_what_was_held_comes_before_the_end() -> None:
    """In an event of its own, or in the last one if that brings text itself."""
    stream = events()
    out = stream.feed(sse(chunk("one s12"))) + stream.feed(sse(chunk("3 two"), chunk(finish="stop")))
    assert [event["choices"][0]["delta"].get("content") for event in heard(out)] == [
        "one", " [hidden]", " two", None,
    ]  # fmt: skip
    stream = events()
    assert said(stream.feed(sse(chunk("s123", finish="stop")))) == "[hidden]"


def test_done_and_errors_end_every_text() -> None:
    """What was held is told before them."""
    for last in (b"data: [DONE]\n\n", b'data: {"error":{"message":"no"}}\n\n'):
        stream = events()
        stream.feed(sse(chunk("abc")))
        out = stream.feed(last)
        assert out.endswith(last)
        assert said(out.removesuffix(last)) == "abc"


def test_a_stream_that_just_stops() -> None:
    """The rest is told at the end."""
    stream = events()
    assert said(stream.feed(sse(chunk("ab s1234")))) + said(stream.rest()) == "ab [hidden]"


def test_what_tools_are_called_with_is_text() -> None:
    """Of each call by itself; names and ids are left."""

    def call(arguments: str, **more: object) -> Any:
        function = {"arguments": arguments, **more}
        return chunk(tool_calls=[{"index": 1, "id": "s123", "function": function}])

    stream = events()
    out = stream.feed(sse(call('{"a": "s1', name="s123"), call('23"}'), chunk(finish="tool_calls")))
    calls = [call for event in heard(out) for call in event["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a":"[hidden]"}'
    assert {call["index"] for call in calls} == {1}
    assert calls[0]["function"]["name"] == calls[0]["id"] == "s123"


def test_legacy_completions() -> None:
    """Their text stands in the choice."""
    told = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("a s1", "234")]
    stream = events()
    out = stream.feed(sse(*told, {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}))
    assert "".join(event["choices"][0]["text"] for event in heard(out)) == "a [hidden]"


def test_events_of_responses() -> None:
    """Pieces are held, whole texts edited, and numbers go on without a gap."""

    def delta(text: str, number: int) -> Any:
        return {
            "type": "response.output_text.delta",
            "item_id": "i",
            "delta": text,
            "sequence_number": number,
        }

    done = {"type": "response.output_text.done", "item_id": "i", "text": "a s123", "sequence_number": 3}
    stream = events()
    out = stream.feed(sse(delta("a s1", 1), delta("23", 2), done, {"type": "x", "sequence_number": 4}))
    told = heard(out)
    assert "".join(event["delta"] for event in told if "delta" in event) == "a [hidden]"
    assert told[-2]["text"] == "a [hidden]"
    assert [event["sequence_number"] for event in told] == [1, 2, 3, 4, 5]
    assert out.count(b"event: response.output_text.delta\n") == 3


def test_probabilities_of_tokens_go() -> None:
    """They repeat the text."""
    told = chunk("abcdefgh")
    told["choices"][0]["logprobs"] = {"content": [{"token": "s123"}]}
    assert b"s123" not in events().feed(sse(told))


@pytest.mark.parametrize(
    "event",
    [
        b"data: {not json\n\n",
        b'data: "text"\n\n',
        b"data: %b\n\n" % (b"[" * 9_999),
        b'data: {"a": %b1%b}\n\n' % (b"[" * 900, b"]" * 900),
        b'data: {"a": "\xff"}\n\n',
    ],
)
def test_what_cannot_be_read_is_refused(event: bytes) -> None:
    """A guard that cannot look lets nothing pass."""
    with pytest.raises(PolicyDenied, match="cannot be looked at"):
        events().feed(event)


def test_an_event_without_end_is_refused() -> None:
    """It would have to be held in memory; and so would what a tool is called with."""
    with pytest.raises(PolicyDenied, match="too large"):
        events().feed(b"data: " + b"x" * LONGEST_EVENT)
    told = chunk(tool_calls=[{"index": 0, "function": {"arguments": "x" * (LONGEST_EVENT // 2 + 1)}}])
    stream = events()
    assert b"xx" not in stream.feed(sse(told))
    with pytest.raises(PolicyDenied, match="more than can be looked at"):
        stream.feed(sse(told))


def test_all_that_is_no_piece_is_looked_at_too() -> None:
    """Whatever stands beside the pieces of an event."""
    told = chunk("abcdefgh", notes=["s123"])
    told["choices"][0]["message"] = {"content": "s1234"}
    out = events().feed(b": s123\nid: s123\n" + sse(told))
    assert b"s123" not in out
    assert out.count(b"[hidden]") == 2


@pytest.mark.parametrize("event", [b": ping\n\n", b"data: {}\n\n", b'data: {"choices":[],"usage":{}}\n\n'])
def test_events_without_text_pass_as_they_are(event: bytes) -> None:
    assert events().feed(event) == event


@pytest.mark.parametrize(
    "told",
    [
        {
            "choices": [
                None,
                1,
                {"index": [], "delta": {"content": 1}},
                {"delta": None},
                {"delta": {"a": [1]}},
            ]
        },
        {"choices": 1},
        {"type": ["x"], "delta": 1},
        {"type": "response.output_text.delta", "item_id": {}, "delta": "abcdefgh", "sequence_number": "x"},
    ],
)
def test_odd_events_do_no_harm(told: object) -> None:
    """Whatever an upstream says."""
    stream = events()
    assert heard(stream.feed(sse(told)) + stream.rest())
