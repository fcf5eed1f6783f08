from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator import chat, chat_rules
from smalt.emulator.answers import Answer, Call, Event
from smalt.emulator.refusals import Refusal
from smalt.emulator.tokens import count

Make = Callable[..., Call]
CALL = {"model", "version", "seed"}  # keywords of `chat_call` itself
WORDS = st.sampled_from(
    [
        *(
            "content",
            "role",
            "name",
            "type",
            "text",
            "image_url",
            "url",
            "detail",
            "tool_calls",
            "id",
            "function",
        ),
        *("arguments", "parameters", "properties", "items", "anyOf", "enum", "$ref", "required", "minItems"),
        *("maxLength", "json_schema", "schema", "include_usage"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}


def body_of(answer: Answer) -> dict[str, Any]:
    assert answer.body
    return answer.body


def events_of(answer: Answer) -> list[Event]:
    return [event for event in answer.events if isinstance(event, Event)]


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.data.removeprefix(b"data: ")) for event in events_of(answer)]


def text_of(answer: Answer, index: int = 0) -> str:
    return str(body_of(answer)["choices"][index]["message"]["content"])


def joined(chunks: list[dict[str, Any]], index: int = 0) -> str:
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"] and c["choices"][0]["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_an_answer_has_azures_shape(chat_call: Make) -> None:
    """Every member of the documented answer is there, the model with its version."""
    body = body_of(chat.answer(chat_call()))
    assert list(body) == [
        "id",
        "object",
        "created",
        "model",
        "system_fingerprint",
        "service_tier",
        "choices",
        "prompt_filter_results",
        "usage",
    ]
    assert body["model"] == "gpt-4o-2024-11-20"
    assert set(body["choices"][0]["content_filter_results"]) >= {"hate", "self_harm", "sexual", "violence"}


def test_usage_counts_what_was_said(chat_call: Make) -> None:
    """The usage of an answer is the count of its text."""
    answer = chat.answer(chat_call(n=3))
    usage = body_of(answer)["usage"]
    assert (
        usage["completion_tokens"] == sum(count(text_of(answer, i)) for i in range(3)) == answer.output_tokens
    )
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_answer_follows_from_seed_and_body(chat_call: Make) -> None:
    """The same question gets the same words; another seed or question gets others."""
    said = text_of(chat.answer(chat_call()))
    assert said == text_of(chat.answer(chat_call()))
    assert said != text_of(chat.answer(chat_call(seed=1)))
    assert said != text_of(chat.answer(chat_call(temperature=1)))


def test_choices_differ(chat_call: Make) -> None:
    """With n each choice is its own."""
    answer = chat.answer(chat_call(n=2))
    assert text_of(answer, 0) != text_of(answer, 1)


@pytest.mark.parametrize("param", ["max_tokens", "max_completion_tokens"])
def test_the_maximum_cuts_an_answer(chat_call: Make, param: str) -> None:
    """An answer longer than allowed ends with reason length."""
    answer = chat.answer(chat_call(**{param: 5}))
    assert answer.output_tokens == 5
    assert body_of(answer)["choices"][0]["finish_reason"] == "length"


def test_a_stop_sequence_ends_an_answer(chat_call: Make) -> None:
    """The text ends before the first stop sequence found, and only what is said is billed."""
    whole = text_of(chat.answer(chat_call()))
    answer = chat.answer(chat_call(stop=["nowhere", "."]))
    assert body_of(answer)["choices"][0]["finish_reason"] == "stop"
    assert "." not in text_of(answer)
    assert answer.output_tokens == count(text_of(answer)) < count(whole)


def test_a_stream_has_azures_order(chat_call: Make) -> None:
    """Filter chunk with nothing in it, role, content, finish, usage."""
    answer = chat.answer(chat_call(stream=True, stream_options={"include_usage": True}))
    first, role, *content, finish, usage = chunks_of(answer)
    assert {k: first[k] for k in ("id", "object", "created", "model", "choices")} == {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [],
    }
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert all(chunk["choices"][0]["delta"]["content"] for chunk in content)
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(content)
    assert answer.end == b"data: [DONE]\n\n"


def test_a_stream_tells_its_usage_only_when_asked(chat_call: Make) -> None:
    """Without include_usage the last chunk is the finish."""
    assert chunks_of(chat.answer(chat_call(stream=True)))[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_says_the_same_as_an_answer(chat_call: Make) -> None:
    """Streaming changes the form only; the tokens of the events add up to the bill."""
    whole = chat.answer(chat_call(n=2))
    events = events_of(chat.answer(chat_call(n=2, stream=True)))
    chunks = [msgspec.json.decode(event.data.removeprefix(b"data: ")) for event in events]
    assert [joined(chunks, i) for i in range(2)] == [text_of(whole, i) for i in range(2)]
    assert sum(event.tokens for event in events) == whole.output_tokens


def test_a_tool_call_is_streamed_in_pieces(chat_call: Make) -> None:
    """Name and id come first, the arguments piece by piece; together they are the whole call."""
    whole = body_of(chat.answer(chat_call(tools=[TOOL])))["choices"][0]
    chunks = chunks_of(chat.answer(chat_call(tools=[TOOL], stream=True)))
    pieces = [c["choices"][0]["delta"]["tool_calls"][0] for c in chunks[1:-1]]
    call = whole["message"]["tool_calls"][0]
    assert (pieces[0]["id"], pieces[0]["function"]["name"]) == (call["id"], "look")
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call["function"]["arguments"]
    assert whole["finish_reason"] == chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None


def test_a_named_tool_finishes_with_stop(chat_call: Make) -> None:
    """A call the caller forced does not count as the model's decision."""
    named = {"type": "function", "function": {"name": "look"}}
    choice = body_of(chat.answer(chat_call(tools=[TOOL], tool_choice=named)))["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["tool_calls"]


def test_a_structured_answer_fits_its_schema(chat_call: Make) -> None:
    """The text of a json_schema answer is JSON with the schema's properties."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    told = msgspec.json.decode(text_of(chat.answer(chat_call(response_format=form))))
    assert isinstance(told["n"], int)


def test_a_json_object_must_be_asked_for_in_words(chat_call: Make) -> None:
    """Azure wants the word json in the messages, then answers an object."""
    form = {"type": "json_object"}
    with pytest.raises(Refusal, match="must contain the word 'json'"):
        chat.answer(chat_call(response_format=form))
    messages = [{"role": "user", "content": "as JSON please"}]
    told = msgspec.json.decode(text_of(chat.answer(chat_call(messages=messages, response_format=form))))
    assert isinstance(told, dict)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 16_385}, "max_tokens", "invalid_value"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", None),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
        ({"stop": [1]}, "stop[0]", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "invalid_type",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        ({"reasoning_effort": "low"}, "reasoning_effort", "unknown_parameter"),
    ],
)
def test_a_faulty_body_is_refused(chat_call: Make, body: dict[str, Any], param: str, code: str) -> None:
    """Each fault is answered with its parameter and code."""
    with pytest.raises(Refusal) as caught:
        chat.answer(chat_call(**body))
    error = caught.value.canned.body["error"]
    assert (caught.value.canned.status, error["param"], error["code"]) == (400, param, code)


def test_old_versions_do_not_know_new_parameters(chat_call: Make) -> None:
    """stream_options starts with the versions of September 2024, json_schema with those of August."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chat.answer(chat_call(version="2024-09-01-preview", **options))
    with pytest.raises(Refusal, match="Unknown parameter: 'stream_options'"):
        chat.answer(chat_call(version="2024-08-01-preview", **options))
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    with pytest.raises(Refusal, match="json_schema is enabled only for"):
        chat.answer(chat_call(version="2024-06-01", response_format=form))


def test_a_prompt_longer_than_the_window_is_refused(chat_call: Make) -> None:
    """The message tells the window and the size; the answer's maximum counts too."""
    long = [{"role": "user", "content": " word" * 9_000}]
    with pytest.raises(Refusal, match=r"8192 tokens\. However, your messages resulted in 9007 tokens"):
        chat.answer(chat_call(model="gpt-4", messages=long))
    with pytest.raises(
        Refusal, match=r"you requested 8204 tokens \(12 in the messages, 8192 in the completion\)"
    ):
        chat.answer(chat_call(model="gpt-4", max_tokens=8_192))


@given(body=st.dictionaries(st.sampled_from(list(chat_rules._RULES)), JSON, max_size=4))
def test_any_body_is_answered_or_refused(chat_call: Make, body: dict[str, Any]) -> None:
    """Whatever JSON comes, the outcome is an answer or a refusal."""
    with suppress(Refusal):
        list(chat.answer(chat_call(**{k: v for k, v in body.items() if k not in CALL})).events)


@given(message=st.dictionaries(WORDS, JSON, max_size=4), role=st.sampled_from(["user", "assistant", "tool"]))
def test_any_message_is_answered_or_refused(chat_call: Make, message: dict[str, Any], role: str) -> None:
    """Messages of any shape are taken or refused, never stumbled over."""
    with suppress(Refusal):
        chat.answer(chat_call(messages=[{**message, "role": role}]))


@given(schema=st.dictionaries(WORDS, JSON, max_size=4))
def test_any_schema_is_filled_or_refused(chat_call: Make, schema: dict[str, Any]) -> None:
    """The same holds for the parameters of a tool."""
    function = {"name": "f", "parameters": {**schema, "type": "object"}}
    with suppress(Refusal):
        chat.answer(chat_call(tools=[{"type": "function", "function": function}]))
