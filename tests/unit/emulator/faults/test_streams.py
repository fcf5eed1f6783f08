"""Streams that break or are written oddly, event by event."""

from typing import Any

import pytest

from smalt.emulator.answers import Answer, Event
from smalt.emulator.faults.frames import write_frame
from smalt.emulator.faults.streams import CleanCut, Comments, Crlf, NoDone, StreamError
from smalt.emulator.steps import Data, End

Play = Any  # the one of conftest.py, which cannot be imported

DONE = b"data: [DONE]\n\n"


def of_responses() -> Answer:
    frames: list[tuple[dict[str, Any], int]] = [
        ({"type": "response.created", "response": {"id": "resp_1"}}, 0),
        ({"type": "response.output_text.delta", "delta": "Yes"}, 1),
        ({"type": "response.output_text.delta", "delta": "."}, 1),
        ({"type": "response.completed", "response": {"id": "resp_1"}}, 0),
    ]
    events = (
        Event(write_frame({**frame, "sequence_number": number}), tokens)
        for number, (frame, tokens) in enumerate(frames)
    )
    return Answer(3, 2, events=events)


@pytest.mark.parametrize("after", [1, 3])
def test_a_clean_cut_leaves_no_trace_of_an_end(play: Play, after: int) -> None:
    """So many tokens, then nothing: no finish reason, no usage, no end mark; billed in part."""
    played = play(CleanCut(after=after), stream=True, stream_options={"include_usage": True})
    reasons = {choice["finish_reason"] for frame in played.frames for choice in frame["choices"]}
    assert (played.tokens, reasons, played.end) == (after, {None}, End(b"", "partial"))
    assert not any(frame.get("usage") for frame in played.frames)
    assert play(stream=True).body.startswith(played.body)


def test_a_cut_before_all_events_bills_nothing(play: Play) -> None:
    """Nothing was said."""
    played = play(CleanCut(after=0), stream=True)
    assert (played.body, played.end) == (b"", End(b"", "none"))


def test_a_stream_that_is_too_short_breaks_where_it_would_end(play: Play) -> None:
    """After its last token: the fault strikes all the same."""
    played = play(CleanCut(after=1_000), stream=True, max_tokens=4)
    assert (played.tokens, played.end.billed) == (4, "partial")
    assert not any(choice["finish_reason"] for frame in played.frames for choice in frame["choices"])


@pytest.mark.parametrize(("after", "billed"), [(0, "none"), (2, "partial")])
def test_an_error_takes_the_place_of_the_rest(play: Play, after: int, billed: str) -> None:
    """As first event, or after so many tokens; no end mark follows."""
    played = play(StreamError(after=after, message="overloaded"), stream=True)
    error = {"message": "overloaded", "type": "server_error", "param": None, "code": None}
    assert played.frames[-1] == {"error": error}
    assert (played.tokens, played.end.billed, len(played.frames) == 1) == (after, billed, after == 0)


@pytest.mark.parametrize("after", [0, 1])
def test_responses_have_error_events_of_two_shapes(play: Play, after: int) -> None:
    """Both carry type and number of the event they stand for."""
    nested = play(StreamError(after=after), answer=of_responses()).frames[-1]
    flat = play(StreamError(after=after, shape="flat"), answer=of_responses()).frames[-1]
    assert nested["error"]["type"] == "server_error"
    assert flat["code"] == "server_error"
    for frame in (nested, flat):
        assert (frame["type"], frame["sequence_number"]) == ("error", 2 * after)
    assert play(StreamError(after=0), answer=of_responses()).body.startswith(b"event: error\ndata: {")


def test_only_the_end_mark_is_missing(play: Play) -> None:
    """Everything before it is there, and the bill is full."""
    played = play(NoDone(), stream=True)
    assert played.body + DONE == play(stream=True).body
    assert played.end == End(b"", "full")


def test_comments_come_before_every_event(play: Play) -> None:
    """Without them the stream is the same."""
    played = play(Comments(), stream=True)
    plain = play(stream=True).body
    assert played.body.count(b": keep-alive\n\n") == plain.count(b"data: ")
    assert played.body.replace(b": keep-alive\n\n", b"") == plain


def test_lines_may_end_with_two_signs(play: Play) -> None:
    """Each of them; no line break within the data is touched."""
    played = play(Crlf(), Comments(), stream=True)
    assert played.body.count(b"\n") == played.body.count(b"\r\n") > 10
    assert all(step.data.endswith(b"\r\n\r\n") for step in played.steps if isinstance(step, Data))
