from collections.abc import Callable
from typing import Any

import msgspec

from smalt.emulator import chat
from smalt.emulator.answers import Call, Event
from smalt.emulator.logprobs import legacy, logprobs

Make = Callable[..., Call]


def test_alternatives_fall_from_the_token_said() -> None:
    """It is the likeliest, tells its bytes, and is the same each time."""
    told = logprobs(" ä", 3, 20)
    values = [one["logprob"] for one in told["top_logprobs"]]
    assert told["top_logprobs"][0]["token"] == " ä"
    assert values == sorted(values, reverse=True)
    assert len({one["token"] for one in told["top_logprobs"]}) == len(values) == 20
    assert told["logprob"] == values[0] < 0
    assert bytes(told["bytes"]).decode() == " ä"
    assert told == logprobs(" ä", 3, 20)
    assert logprobs("x", 0, 0)["top_logprobs"] == []


def test_the_legacy_form_is_in_columns() -> None:
    """One entry per token in each."""
    told = legacy(["one", " two"], 2, offset=10)
    assert told["text_offset"] == [10, 13]
    assert [len(column) for column in told.values()] == [2, 2, 2, 2]
    assert legacy(["one"], 0)["top_logprobs"] is None


def test_an_answer_and_its_stream_tell_the_same(chat_call: Make) -> None:
    """One entry for each token of the text."""
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2}
    whole = chat.answer(chat_call(**asked))
    assert whole.body
    choice = whole.body["choices"][0]
    assert "".join(one["token"] for one in choice["logprobs"]["content"]) == choice["message"]["content"]
    streamed = []
    for event in chat.answer(chat_call(**asked, stream=True)).events:
        assert isinstance(event, Event)
        for piece in msgspec.json.decode(event.data.removeprefix(b"data: "))["choices"]:
            streamed += (piece.get("logprobs") or {"content": []})["content"]
    assert streamed == choice["logprobs"]["content"]
