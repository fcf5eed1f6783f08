from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator import completions
from smalt.emulator.answers import Answer, Call, Event
from smalt.emulator.refusals import Refusal
from smalt.emulator.tokens import count

Make = Callable[..., Call]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.text(max_size=4)
    | st.lists(st.integers(-1, 3) | st.text(max_size=3))
)


def body_of(answer: Answer) -> dict[str, Any]:
    assert answer.body
    return answer.body


def events_of(answer: Answer) -> list[tuple[dict[str, Any], int]]:
    events = [event for event in answer.events if isinstance(event, Event)]
    return [(msgspec.json.decode(event.data.removeprefix(b"data: ")), event.tokens) for event in events]


def test_an_answer_has_the_legacy_shape(completions_call: Make) -> None:
    """Texts instead of messages, 16 tokens if nothing is said of their number."""
    told = body_of(completions.answer(completions_call(prompt="Once upon")))
    assert told["object"] == "text_completion"
    assert told["model"] == "gpt-35-turbo-instruct-0914"
    (choice,) = told["choices"]
    assert choice["finish_reason"] == "length"
    assert count(choice["text"]) == told["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize(
    ("prompt", "choices", "tokens"),
    [("a b", 1, 2), (["a b", "c"], 2, 3), ([5, 6, 7], 1, 3), ([[5], [6, 7]], 2, 3), (None, 1, 1)],
)
def test_prompts_come_alone_or_together(
    completions_call: Make, prompt: object, choices: int, tokens: int
) -> None:
    """As texts or tokens; without any the model begins a document."""
    told = body_of(completions.answer(completions_call(prompt=prompt)))
    assert [choice["index"] for choice in told["choices"]] == list(range(choices))
    assert len(told["prompt_filter_results"]) == choices
    assert told["usage"]["prompt_tokens"] == tokens


def test_every_candidate_is_billed(completions_call: Make) -> None:
    """Of best_of candidates n are shown."""
    answer = completions.answer(completions_call(prompt="x", n=2, best_of=5, max_tokens=10))
    assert len(body_of(answer)["choices"]) == 2
    assert answer.output_tokens == 50


def test_a_stream_says_the_same(completions_call: Make) -> None:
    """Texts add up, tokens too, and the usage comes last."""
    asked: dict[str, Any] = {"prompt": ["one", "two"], "n": 2, "echo": True, "logprobs": 1}
    whole = body_of(completions.answer(completions_call(**asked)))
    options = {"include_usage": True}
    events = events_of(completions.answer(completions_call(**asked, stream=True, stream_options=options)))
    for index in range(4):
        pieces = [f["choices"][0] for f, _ in events if f["choices"] and f["choices"][0]["index"] == index]
        choice = whole["choices"][index]
        assert "".join(piece["text"] for piece in pieces) == choice["text"]
        assert pieces[-1]["finish_reason"] == choice["finish_reason"]
        offsets = [
            offset for piece in pieces if piece["logprobs"] for offset in piece["logprobs"]["text_offset"]
        ]
        assert offsets == choice["logprobs"]["text_offset"]
    assert events[-1][0]["usage"] == whole["usage"]
    assert sum(tokens for _, tokens in events) == whole["usage"]["completion_tokens"]


def test_an_echo_alone_has_its_probabilities(completions_call: Make) -> None:
    """Zero tokens can be asked for, to score a text."""
    (choice,) = body_of(
        completions.answer(completions_call(prompt="one two", echo=True, logprobs=2, max_tokens=0))
    )["choices"]
    assert choice["text"] == "one two"
    assert choice["logprobs"]["tokens"] == ["one", " two"]
    assert choice["logprobs"]["text_offset"] == [0, 3]
    assert [len(alternatives) for alternatives in choice["logprobs"]["top_logprobs"]] == [2, 2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": []}, "Unrecognized request argument supplied: messages"),
        ({"prompt": [True]}, "Invalid 'prompt'"),
        ({"prompt": [[-1]]}, "Invalid 'prompt'"),
        ({"prompt": 7}, "Invalid type for 'prompt'"),
        ({"n": 3, "best_of": 2}, "best_of must be greater"),
        ({"stream": True, "best_of": 2}, "Cannot stream results with best_of"),
        ({"suffix": "x", "echo": True}, "cannot be used together"),
        ({"logprobs": 6}, "Expected a value <= 5"),
        ({"prompt": "a " * 5_000}, "maximum context length is 4097 tokens"),
    ],
)
def test_a_faulty_body_is_refused(completions_call: Make, body: dict[str, Any], words: str) -> None:
    """In the words of the backend."""
    with pytest.raises(Refusal) as caught:
        completions.answer(completions_call(**body))
    assert words in caught.value.canned.body["error"]["message"]


@given(body=st.dictionaries(st.sampled_from(list(completions._RULES)), VALUES, max_size=4))
def test_any_body_is_answered_or_refused(completions_call: Make, body: dict[str, Any]) -> None:
    """Whatever JSON comes, the outcome is an answer or a refusal."""
    with suppress(Refusal):
        list(completions.answer(completions_call(**body)).events)
