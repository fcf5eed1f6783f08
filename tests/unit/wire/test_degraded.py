import json
from typing import Any

import pytest

from smalt.types import Facts, Operation, Usage
from smalt.wire.degraded import text_answer
from smalt.wire.sse import StreamWatch
from smalt.wire.usage import read_usage

TEXT = 'The assistant rests; "soon".\nTry again.'
MADE_S = 1_790_000_000
TEXTUAL = [Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES]


def answer(operation: Operation, *, stream: bool = False, asks_usage: bool = False) -> bytes:
    asked = Facts(operation, "gpt-4o", stream=stream, asks_usage=asks_usage)
    body = text_answer(asked, TEXT, "id1", MADE_S)
    assert body is not None
    return body


def events(body: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("stream", [True, False])
def test_embeddings_have_no_text(stream: bool) -> None:
    """There is nothing that could stand in for a vector."""
    assert text_answer(Facts(Operation.EMBEDDINGS, "m", stream=stream), TEXT, "id1", MADE_S) is None


@pytest.mark.parametrize(
    ("operation", "answer_id", "kind"),
    [
        (Operation.CHAT, "chatcmpl-id1", "chat.completion"),
        (Operation.COMPLETIONS, "cmpl-id1", "text_completion"),
        (Operation.RESPONSES, "resp_id1", "response"),
    ],
)
def test_a_whole_answer(operation: Operation, answer_id: str, kind: str) -> None:
    """Named like any other, and free of charge."""
    body = answer(operation)
    told = json.loads(body)
    assert (told["id"], told["object"], told["model"]) == (answer_id, kind, "gpt-4o")
    assert told.get("created", told.get("created_at")) == MADE_S
    assert read_usage(body) == Usage(0)


def test_the_text_of_a_whole_answer() -> None:
    """Where each operation has it."""
    chat, completion, response = (json.loads(answer(operation)) for operation in TEXTUAL)
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": TEXT, "refusal": None}
    assert chat["choices"][0]["finish_reason"] == completion["choices"][0]["finish_reason"] == "stop"
    assert completion["choices"][0]["text"] == TEXT
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == TEXT


@pytest.mark.parametrize("asks_usage", [True, False])
@pytest.mark.parametrize("operation", TEXTUAL)
def test_a_stream_is_one_that_ends_well(operation: Operation, asks_usage: bool) -> None:
    """For whoever watches streams: all its text, no error, and its end."""
    body = answer(operation, stream=True, asks_usage=asks_usage)
    watch = StreamWatch()
    assert watch.feed(body) + watch.rest() == body
    assert (watch.text, watch.ended, watch.error) == (TEXT, True, None)
    assert watch.usage == (Usage(0) if asks_usage or operation is Operation.RESPONSES else None)
    assert body.endswith(b"data: [DONE]\n\n") == (operation is not Operation.RESPONSES)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [(Operation.CHAT, "chat.completion.chunk"), (Operation.COMPLETIONS, "text_completion")],
)
def test_the_chunks_of_a_stream(operation: Operation, kind: str) -> None:
    """The text, the end, and usage in a chunk without choices, if it was asked for."""
    told, end, usage = events(answer(operation, stream=True, asks_usage=True))
    assert {chunk["object"] for chunk in (told, end, usage)} == {kind}
    assert told["choices"][0]["finish_reason"] is None
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert len(events(answer(operation, stream=True))) == 2


def test_the_events_of_a_response() -> None:
    """In the order of the API, numbered."""
    body = answer(Operation.RESPONSES, stream=True)
    told = events(body)
    assert [event["sequence_number"] for event in told] == list(range(9))
    kinds = [line[7:] for line in body.decode().splitlines() if line.startswith("event: ")]
    assert kinds == [event["type"] for event in told]
    assert [kind.removeprefix("response.") for kind in kinds] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert (told[0]["response"]["status"], told[0]["response"]["output"]) == ("in_progress", [])
    assert told[-1]["response"] == json.loads(answer(Operation.RESPONSES))
