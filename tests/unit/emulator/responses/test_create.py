from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator.answers import Answer, Call, Event
from smalt.emulator.refusals import Refusal
from smalt.emulator.responses import create
from smalt.emulator.responses.store import Store

Make = Callable[..., Call]
KEYS = st.sampled_from(
    [*create._RULES, "type", "role", "content", "effort", "summary", "format", "name", "schema"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 20) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def body_of(answer: Answer) -> dict[str, Any]:
    assert answer.body
    return answer.body


def frames_of(answer: Answer) -> list[dict[str, Any]]:
    events = [event for event in answer.events if isinstance(event, Event)]
    assert sum(event.tokens for event in events) == answer.output_tokens
    frames = [msgspec.json.decode(event.data.partition(b"\ndata: ")[2]) for event in events]
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    return frames


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("gpt-4o", {}),
        ("gpt-5", {"reasoning": {"effort": "low", "summary": "auto"}}),
        ("gpt-5", {"tools": [{"type": "custom", "name": "write"}]}),
        ("gpt-5", {"max_output_tokens": 16}),
        ("gpt-4o", {"tools": [{"type": "function", "name": "look"}]}),
        ("gpt-4o", {"max_output_tokens": 16, "include": ["message.output_text.logprobs"], "top_logprobs": 2}),
        ("gpt-4o", {"text": {"format": {"type": "json_object"}}, "input": "as JSON"}),
    ],
)
def test_a_stream_ends_with_the_whole_answer(responses_call: Make, model: str, asked: dict[str, Any]) -> None:
    """Every item is opened, told and closed as it stands in the end; tokens add up."""
    whole = body_of(create.answer(responses_call(model=model, **asked)))
    frames = frames_of(create.answer(responses_call(model=model, **asked, stream=True)))
    final = frames[-1]["response"]
    assert frames[-1]["type"] == f"response.{whole['status']}"
    done = [frame["item"] for frame in frames if frame["type"] == "response.output_item.done"]
    assert done == final["output"]
    told = [{**item, "id": "", "call_id": ""} for item in final["output"]]
    assert told == [{**item, "id": "", "call_id": ""} for item in whole["output"]]
    assert final["usage"] == whole["usage"]


def test_it_is_kept_when_it_is_said(responses_call: Make) -> None:
    """A stream that nobody reads to the end leaves nothing behind."""
    store = Store("east")
    events = iter(create.answer(responses_call(stream=True, store_=store)).events)
    first = next(events)
    assert isinstance(first, Event)
    name = msgspec.json.decode(first.data.partition(b"\ndata: ")[2])["response"]["id"]
    assert name not in store
    list(events)
    assert name in store


def test_a_background_response_is_kept_at_once(responses_call: Make) -> None:
    """Queued; it is what its events have told so far."""
    store = Store("east")
    answer = create.answer(responses_call(background=True, store_=store))
    queued = body_of(answer)
    record = store.get(queued["id"])
    assert record
    states = [record.response["status"] for _ in answer.events]
    assert queued["status"] == "queued"
    assert states[:3] == ["queued", "queued", "in_progress"]
    assert states[-1] == "completed"


def test_what_was_said_before_is_prompt(responses_call: Make) -> None:
    """Instructions are not inherited, items are."""
    store = Store("east")
    first = body_of(create.answer(responses_call(instructions="be brief", store_=store)))
    second = create.answer(responses_call(previous_response_id=first["id"], input="more", store_=store))
    alone = create.answer(responses_call(input="more"))
    said = first["usage"]["output_tokens"]
    assert (
        alone.input_tokens + said
        < second.input_tokens
        < alone.input_tokens + first["usage"]["total_tokens"] + 4
    )
    running = body_of(create.answer(responses_call(background=True, store_=store)))
    with pytest.raises(Refusal, match="still in progress"):
        create.answer(responses_call(previous_response_id=running["id"], store_=store))


def test_truncation_drops_the_beginning(responses_call: Make) -> None:
    """Without it the prompt is too long."""
    text = "word " * 130_000
    with pytest.raises(Refusal, match="maximum context length"):
        create.answer(responses_call(input=text))
    assert create.answer(responses_call(input=text, truncation="auto")).input_tokens == 127_999


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        ("gpt-4o", {"messages": []}, "Unknown parameter: 'messages'"),
        ("gpt-4o", {"input": None}, "Missing required parameter: 'input'"),
        ("gpt-4o", {"input": []}, "empty array"),
        ("gpt-4o", {"max_output_tokens": 15}, "Expected a value >= 16"),
        ("gpt-4o", {"background": True, "store": False}, "must be stored"),
        ("gpt-4o", {"include": ["everything"]}, "Supported values are"),
        ("gpt-4o", {"include": ["reasoning.encrypted_content"]}, "not supported with this model"),
        ("gpt-4o", {"reasoning": {"summary": "auto"}}, "'reasoning.summary' is not supported"),
        ("gpt-4o", {"text": {"verbosity": "low"}}, "'text.verbosity' is not supported"),
        ("gpt-4o", {"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'"),
        ("gpt-4o", {"text": {"format": {"type": "json_schema", "name": "x"}}}, "'text.format.schema'"),
        (
            "gpt-4o",
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "x",
                        "strict": True,
                        "schema": {"type": "object"},
                    }
                }
            },
            "Invalid schema for response_format 'x'",
        ),
        ("gpt-4o", {"previous_response_id": "resp_lost"}, "'resp_lost' not found"),
        ("gpt-5", {"temperature": 0}, "'temperature' does not support 0"),
        ("gpt-5", {"reasoning": {"effort": "max"}}, "'reasoning.effort' does not support 'max'"),
        ("gpt-5-pro", {"stream": True}, "'stream' does not support true"),
    ],
)
def test_a_faulty_body_is_refused(responses_call: Make, model: str, body: dict[str, Any], words: str) -> None:
    """In the words of the backend."""
    with pytest.raises(Refusal) as caught:
        create.answer(responses_call(model=model, **body))
    assert words in caught.value.canned.body["error"]["message"]


def test_background_is_of_the_v1_surface(responses_call: Make) -> None:
    """Dated previews do not know it."""
    with pytest.raises(Refusal, match="Unknown parameter: 'background'"):
        create.answer(responses_call(version="2025-04-01-preview", background=True))


@given(body=st.dictionaries(KEYS, JSON, max_size=4), model=st.sampled_from(["gpt-4o", "gpt-5"]))
def test_any_body_is_answered_or_refused(responses_call: Make, body: dict[str, Any], model: str) -> None:
    """Whatever JSON comes, the outcome is an answer or a refusal."""
    own = {name: value for name, value in body.items() if name not in {"model", "version", "store_"}}
    with suppress(Refusal):
        list(create.answer(responses_call(model=model, **own)).events)


@given(items=st.lists(st.dictionaries(KEYS, JSON, max_size=4), max_size=3))
def test_any_input_is_answered_or_refused(responses_call: Make, items: list[Any]) -> None:
    """Items of any shape are taken or refused, never stumbled over."""
    with suppress(Refusal):
        create.answer(responses_call(input=items))
