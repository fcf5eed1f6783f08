"""What content filters do to answers."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from smalt.emulator import completions
from smalt.emulator.answers import Answer, Call, Event
from smalt.emulator.faults.filters import ANNOTATE_CHARS, AsyncFilter, FilterDown, Filtered
from smalt.emulator.faults.frames import write_frame
from smalt.emulator.faults.layers import Scene
from smalt.emulator.faults.streams import NoDone

Play = Any  # the one of conftest.py, which cannot be imported

USAGE = {"stream_options": {"include_usage": True}}
COMPLETIONS = Scene("east", "completions", "/openai/v1/completions")
RESPONSES = Scene("east", "responses", "/openai/v1/responses")


def choices(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice for frame in frames for choice in frame["choices"]]


@pytest.mark.parametrize("after", [0, 3])
def test_a_blocked_stream_keeps_its_beginning(play: Play, after: int) -> None:
    """So many tokens, then finish reason and verdict; usage and bill count what was said."""
    played, plain = play(Filtered(after=after), stream=True, **USAGE), play(stream=True)
    assert plain.text.startswith(played.text)
    assert played.tokens == after
    last = choices(played.frames)[-1]
    assert (last["finish_reason"], last["delta"]) == ("content_filter", {})
    assert last["content_filter_results"]["violence"] == {"filtered": True, "severity": "medium"}
    usage = played.frames[-1]["usage"]
    assert usage["completion_tokens"] == after == usage["total_tokens"] - usage["prompt_tokens"]
    assert played.body.endswith(b"data: [DONE]\n\n")
    assert played.end.billed == "full"


def test_every_choice_is_told_of_the_block(play: Play) -> None:
    """One last chunk each; so it ends, here without the end mark."""
    played = play(Filtered(), NoDone(), stream=True, n=3)
    last = choices(played.frames)[-3:]
    assert [(choice["index"], choice["finish_reason"]) for choice in last] == [
        (index, "content_filter") for index in range(3)
    ]
    assert b"[DONE]" not in played.body


def test_a_short_answer_is_blocked_where_it_would_end(play: Play) -> None:
    """Its own reason is not told."""
    played = play(Filtered(after=99), stream=True, max_tokens=5)
    assert [choice["finish_reason"] for choice in choices(played.frames)][-1] == "content_filter"
    assert played.tokens == 5


def test_a_whole_answer_is_blocked_the_same_way(play: Play) -> None:
    """Same words, same usage, same bill, right length."""
    played, streamed = play(Filtered(after=4)), play(Filtered(after=4), stream=True)
    (choice,) = played.json["choices"]
    assert choice["message"]["content"] == streamed.text
    assert choice["finish_reason"] == "content_filter"
    assert choice["content_filter_results"]["violence"]["filtered"]
    assert played.json["usage"]["completion_tokens"] == played.tokens == streamed.tokens == 4
    assert int(played.head.headers["content-length"]) == len(played.body)


def response(text: str, **more: Any) -> dict[str, Any]:
    message = {"type": "message", "status": "completed", "content": [{"type": "output_text", "text": text}]}
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": [{"type": "reasoning"}, message, {"type": "function_call"}],
        "usage": {
            "input_tokens": 5,
            "output_tokens": 13,
            "output_tokens_details": {"reasoning_tokens": 10},
            "total_tokens": 18,
        },
        **more,
    }


def of_responses() -> Answer:
    running = response("", status="in_progress", output=[], usage=None, error=None)
    frames: list[tuple[dict[str, Any], int]] = [
        ({"type": "response.created", "response": running}, 0),
        ({"type": "response.in_progress", "response": running}, 0),
        *(({"type": "response.output_text.delta", "delta": word}, 1) for word in ("Yes", ",", " sir")),
        ({"type": "response.output_text.done", "text": "Yes, sir"}, 0),
        ({"type": "response.completed", "response": response("Yes, sir")}, 0),
    ]
    events = (
        Event(write_frame({**frame, "sequence_number": number}), tokens)
        for number, (frame, tokens) in enumerate(frames)
    )
    return Answer(5, 13, events=events)


def test_a_blocked_response_ends_in_three_frames(play: Play) -> None:
    """Created, failed without reason, then the reason; the numbers go on, the prompt is billed."""
    played = play(Filtered(after=0), answer=of_responses(), scene=RESPONSES)
    created, failed, error = played.frames
    assert [frame["sequence_number"] for frame in played.frames] == [0, 1, 2]
    assert created["type"] == "response.created"
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert (failed["response"]["id"], failed["response"]["error"]) == ("resp_1", None)
    assert (error["type"], error["error"]["code"]) == ("error", "content_policy_violation")
    assert (played.tokens, played.end.billed) == (0, "full")


def test_a_response_blocked_part_way_is_incomplete(play: Play) -> None:
    """It tells what was said; calls are withheld, reasoning is paid."""
    played = play(Filtered(after=2), answer=of_responses(), scene=RESPONSES)
    last = played.frames[-1]
    assert (last["type"], last["sequence_number"]) == ("response.incomplete", 4)
    told = last["response"]
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
    reasoning, message = told["output"]
    assert reasoning["type"] == "reasoning"
    assert (message["status"], message["content"][0]["text"]) == ("incomplete", "Yes,")
    assert (told["usage"]["output_tokens"], told["usage"]["total_tokens"]) == (12, 17)
    whole = play(Filtered(after=2), answer=Answer(5, 13, body=response("Yes, sir")), scene=RESPONSES)
    assert whole.json == {**told}
    assert whole.tokens == 12


def test_a_refusal_of_another_shape_is_left_alone(play: Play) -> None:
    """What is no chat completion has no choices to block."""
    plain = Answer(0, 0, body={"object": "list", "data": []})
    assert play(Filtered(), FilterDown(), answer=plain).json == plain.body


@pytest.mark.parametrize("stream", [False, True])
def test_a_filter_that_is_down_says_so(play: Play, stream: bool) -> None:
    """In place of its verdicts on content, in whole answers and in streams; nothing else differs."""
    played, plain = play(FilterDown(), stream=stream), play(stream=stream)
    found, before = (choices(p.frames if stream else [p.json]) for p in (played, plain))
    errors = [choice["content_filter_results"] for choice in found if choice["content_filter_results"]]
    assert errors
    assert {error["error"]["code"] for error in errors} == {"content_filter_error"}
    assert (played.tokens, len(found)) == (plain.tokens, len(before))


def test_legacy_completions_have_text_for_delta(play: Play, completions_call: Callable[..., Call]) -> None:
    """Blocked and checked late as chat is, in their own frames."""
    answer = completions.answer(completions_call(stream=True, prompt="hello"))
    played = play(AsyncFilter(), Filtered(after=2), answer=answer, scene=COMPLETIONS)
    *said, last = choices(played.frames)
    assert sum(bool(choice["text"]) for choice in said) == played.tokens == 2
    assert ("text" in last, last["finish_reason"]) == (False, "content_filter")
    body = play(Filtered(after=2), answer=completions.answer(completions_call(prompt="hello"))).json
    assert body["choices"][0]["text"] == "".join(choice["text"] for choice in said)
    assert body["usage"]["completion_tokens"] == 2


LONG = [{"role": "user", "content": "word " * 400}]


def test_the_asynchronous_filter_speaks_late(play: Play) -> None:
    """Text flows unannotated; verdicts without delta cover all of it, the last one after the stop chunk."""
    played = play(AsyncFilter(), stream=True, messages=LONG, **USAGE)
    plain = play(stream=True, messages=LONG)
    said = [choice for choice in choices(played.frames) if "delta" in choice]
    assert all(choice["content_filter_results"] == {} for choice in said)
    assert (played.text, played.tokens) == (plain.text, plain.tokens)
    verdicts = [choice for choice in choices(played.frames) if "delta" not in choice]
    assert len(verdicts) > len(plain.text) // (2 * ANNOTATE_CHARS) >= 2
    spans = [choice["content_filter_offsets"] for choice in verdicts]
    assert spans[0]["start_offset"] == 100  # the scene's prompt
    assert spans[-1]["end_offset"] == 100 + len(plain.text)
    for earlier, later in itertools.pairwise(spans):
        assert earlier["end_offset"] == later["start_offset"] == later["check_offset"]
    *_, stop, verdict, usage = played.frames
    assert stop["choices"][0]["finish_reason"] == "stop"
    assert verdict["choices"][0]["content_filter_results"]["hate"]["filtered"] is False
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], plain.tokens)


def test_the_asynchronous_filter_blocks_what_was_shown(play: Play) -> None:
    """The finish reason comes in a choice without delta, with the place of what is to be retracted."""
    played = play(AsyncFilter(), Filtered(after=30), stream=True, messages=LONG)
    last = choices(played.frames)[-1]
    assert ("delta" in last, last["finish_reason"]) == (False, "content_filter")
    assert last["content_filter_results"]["violence"]["filtered"]
    assert last["content_filter_offsets"]["end_offset"] == 100 + len(played.text)
    assert played.tokens == 30
