from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from smalt.emulator import chat
from smalt.emulator.answers import Answer, Call, Event
from smalt.emulator.refusals import Refusal

Make = Callable[..., Call]
FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}


def body_of(answer: Answer) -> dict[str, Any]:
    assert answer.body
    return answer.body


def details(answer: Answer) -> dict[str, int]:
    told: dict[str, int] = body_of(answer)["usage"]["completion_tokens_details"]
    return told


def test_more_effort_takes_more_thoughts(chat_call: Make) -> None:
    """In multiples of 64, inside the output; none where there is no effort."""
    thoughts = []
    for effort in ("none", "low", "medium", "high", "xhigh"):
        answer = chat.answer(chat_call(model="gpt-5.2", version="v1", reasoning_effort=effort))
        thoughts.append(details(answer)["reasoning_tokens"])
        assert answer.reasoning_tokens == thoughts[-1] < answer.output_tokens
    assert thoughts == sorted(thoughts)
    assert thoughts[0] == 0 < thoughts[1]
    assert all(count % 64 == 0 for count in thoughts)


def test_an_exhausted_budget_leaves_nothing_to_say(chat_call: Make) -> None:
    """The thoughts are billed, the text is empty, the reason is length."""
    answer = chat.answer(chat_call(model="o3", max_completion_tokens=50))
    (choice,) = body_of(answer)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert answer.output_tokens == answer.reasoning_tokens == 50


def test_a_stream_brings_its_thoughts(chat_call: Make) -> None:
    """Tokens of the events add up to the bill, thoughts and rejected predictions included."""
    for asked in (
        {"model": "o3"},
        {"model": "gpt-4.1", "prediction": {"type": "content", "content": "not what comes"}},
    ):
        answer = chat.answer(chat_call(version="v1", stream=True, **asked))
        events = [event for event in answer.events if isinstance(event, Event)]
        assert sum(event.tokens for event in events) == answer.output_tokens


def test_a_prediction_is_accepted_as_far_as_it_is_right(chat_call: Make) -> None:
    """What is rejected is billed as output."""
    call = chat_call(version="v1")
    text = body_of(chat.answer(call))["choices"][0]["message"]["content"]
    right = chat.answer(replace(call, body={**call.body, "prediction": {"type": "content", "content": text}}))
    assert body_of(right)["choices"][0]["message"]["content"] == text
    assert details(right)["accepted_prediction_tokens"] == right.output_tokens
    parts = [{"type": "text", "text": "wrong from the start"}]
    wrong = chat.answer(
        replace(call, body={**call.body, "prediction": {"type": "content", "content": parts}})
    )
    assert details(wrong)["rejected_prediction_tokens"] == 4
    assert wrong.output_tokens == right.output_tokens + 4


@pytest.mark.parametrize(
    "beside", [{"n": 2}, {"logprobs": True}, {"presence_penalty": 1}, {"max_completion_tokens": 9}]
)
def test_a_prediction_stands_alone(chat_call: Make, beside: dict[str, Any]) -> None:
    """Beside some parameters it is refused, by their name."""
    prediction = {"type": "content", "content": "x"}
    with pytest.raises(Refusal) as caught:
        chat.answer(chat_call(version="v1", prediction=prediction, **beside))
    assert caught.value.canned.body["error"]["param"] == next(iter(beside))


@pytest.mark.parametrize(
    ("model", "sku", "asked", "served"),
    [
        ("gpt-4.1", "GlobalStandard", "priority", "priority"),
        ("gpt-5.2", "DataZoneStandard", "priority", "priority"),
        ("gpt-4.1", "Standard", "priority", "default"),
        ("gpt-4o", "GlobalStandard", "priority", "default"),
        ("gpt-4.1", "GlobalStandard", "auto", "default"),
    ],
)
def test_the_tier_that_is_billed_is_told(
    chat_call: Make, model: str, sku: str, asked: str, served: str
) -> None:
    """Priority is served as default where there is none."""
    call = replace(chat_call(model=model, service_tier=asked), sku=sku)
    assert body_of(chat.answer(call))["service_tier"] == served


def test_functions_are_called_as_they_always_were(chat_call: Make) -> None:
    """One function_call in place of tool_calls, also in streams; a forced one ends with stop."""
    (choice,) = body_of(chat.answer(chat_call(functions=[FUNCTION])))["choices"]
    call = choice["message"]["function_call"]
    assert (call["name"], choice["finish_reason"]) == ("look", "function_call")
    messages = [
        {"role": "user", "content": "where?"},
        choice["message"],
        {"role": "function", "name": "look", "content": "there"},
    ]
    answer = chat.answer(chat_call(messages=messages, functions=[FUNCTION]))
    assert body_of(answer)["choices"][0]["message"]["content"]
    forced = chat.answer(chat_call(functions=[FUNCTION], function_call={"name": "look"}))
    assert body_of(forced)["choices"][0]["finish_reason"] == "stop"


def test_a_custom_tool_is_handed_a_text(chat_call: Make) -> None:
    """Under its own type."""
    tools = [{"type": "custom", "custom": {"name": "write"}}]
    (choice,) = body_of(chat.answer(chat_call(model="gpt-5", version="v1", tools=tools)))["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "custom"
    assert isinstance(call["custom"]["input"], str)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2024-10-21", "Validation error at #/data_sources"),
        ("v1", "Unknown parameter: 'data_sources'"),
        ("2024-02-01", "Unknown parameter: 'data_sources'"),
    ],
)
def test_on_your_data_is_refused(chat_call: Make, version: str, words: str) -> None:
    """In its own shape where the version knows it."""
    with pytest.raises(Refusal) as caught:
        chat.answer(chat_call(version=version, data_sources=[{"type": "azure_search"}]))
    assert words in caught.value.canned.body["error"]["message"]


def test_images_cost_tokens_and_have_their_number(chat_call: Make) -> None:
    """85 in low detail, 765 otherwise; 50 at most."""

    def image(detail: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}

    def ask(*parts: dict[str, Any]) -> Answer:
        return chat.answer(chat_call(messages=[{"role": "user", "content": list(parts)}]))

    low, high = ask(image("low")), ask(image("high"))
    assert high.input_tokens - low.input_tokens == 765 - 85
    with pytest.raises(Refusal, match="Too many images"):
        ask(*[image("low")] * 51)


def test_later_models_limit_input_by_itself(chat_call: Make) -> None:
    """272,000 tokens of gpt-5, though its window would hold more."""
    messages = [{"role": "user", "content": "." * 272_001}]
    with pytest.raises(Refusal, match="Input tokens exceed the configured limit of 272000 tokens"):
        chat.answer(chat_call(model="gpt-5", messages=messages))
