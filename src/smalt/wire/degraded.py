"""A text of our own as the answer to a request, in the shape that its operation has.

Source: OpenAI API reference: the objects of chat completions, completions and responses, and their streams.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from smalt.types import Facts, Operation

_NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_NO_RESPONSE_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
_DONE = b"data: [DONE]\n\n"


def text_answer(facts: Facts, text: str, answer_id: str, made_s: int) -> bytes | None:
    """The body, of a stream all its events; None if the operation is not answered by a text. `answer_id`:
    without the prefix that ids have. `made_s`: seconds since 1970."""
    named = {"created": made_s, "model": facts.model}
    match facts.operation:
        case Operation.CHAT:
            return _chat(facts, text, {"id": f"chatcmpl-{answer_id}", **named})
        case Operation.COMPLETIONS:
            return _completion(facts, text, {"id": f"cmpl-{answer_id}", **named})
        case Operation.RESPONSES:
            return _response(facts, text, answer_id, made_s)
        case _:
            return None


def _chat(facts: Facts, text: str, named: dict[str, Any]) -> bytes:
    said = {"role": "assistant", "content": text, "refusal": None}
    end = {"index": 0, "logprobs": None, "finish_reason": "stop"}
    if not facts.stream:
        choice = {**end, "message": said}
        return _json({**named, "object": "chat.completion", "choices": [choice], "usage": _NO_TOKENS})
    begun = {"index": 0, "delta": said, "logprobs": None, "finish_reason": None}
    chunk = {**named, "object": "chat.completion.chunk"}
    return _chunks(facts, chunk, begun, {**end, "delta": {}})


def _completion(facts: Facts, text: str, named: dict[str, Any]) -> bytes:
    whole = {**named, "object": "text_completion"}
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    if not facts.stream:
        return _json({**whole, "choices": [choice], "usage": _NO_TOKENS})
    return _chunks(facts, whole, {**choice, "finish_reason": None}, {**choice, "text": ""})


def _chunks(facts: Facts, chunk: dict[str, Any], *choices: dict[str, Any]) -> bytes:
    chunks = [{**chunk, "choices": [choice]} for choice in choices]
    if facts.asks_usage:
        chunks.append({**chunk, "choices": [], "usage": _NO_TOKENS})
    return b"".join(b"data: " + _json(told) + b"\n\n" for told in chunks) + _DONE


def _response(facts: Facts, text: str, answer_id: str, made_s: int) -> bytes:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {
        "id": f"msg_{answer_id}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    response = {
        "id": f"resp_{answer_id}",
        "object": "response",
        "created_at": made_s,
        "model": facts.model,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "store": False,
        "usage": _NO_RESPONSE_TOKENS,
    }
    if not facts.stream:
        return _json(response)
    events = enumerate(_told(response, item, part))
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (kind.encode(), _json({"type": kind, "sequence_number": number, **told}))
        for number, (kind, told) in events
    )


def _told(
    response: dict[str, Any], item: dict[str, Any], part: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events by their type, in order."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    opened = {**item, "status": "in_progress", "content": []}
    yield "response.output_item.added", {"output_index": 0, "item": opened}
    yield "response.content_part.added", {**place, "part": {**part, "text": ""}}
    yield "response.output_text.delta", {**place, "delta": part["text"], "logprobs": []}
    yield "response.output_text.done", {**place, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {**place, "part": part}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": response}


_json = msgspec.json.encode
