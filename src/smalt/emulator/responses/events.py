"""A response as the events of a stream, in the order of the API, numbered from 0."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from smalt.emulator.answers import Event
from smalt.emulator.responses.store import Record

Item = dict[str, Any]
Frame = Callable[..., Event]


def frames() -> Frame:
    """Makes the events of one stream: `frame(type, tokens=0, **members)`."""
    number = 0

    def frame(kind: str, *, tokens: int = 0, **members: object) -> Event:
        nonlocal number
        told = msgspec.json.encode({"type": kind, "sequence_number": number, **members})
        number += 1
        return Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), told), tokens)

    return frame


def narrate(
    record: Record, final: dict[str, Any], pieces: Sequence[str], keep: Callable[[], None]
) -> Iterator[Event]:
    """From the state of `record` to `final`, the state it is left in.

    `pieces`: tokens of the last item, which is the answer. `keep`: called when all is said.
    """
    frame = frames()
    yield frame("response.created", response=record.response)
    if record.response["status"] == "queued":
        yield frame("response.queued", response=record.response)
        record.response = {**record.response, "status": "in_progress"}
    yield frame("response.in_progress", response=record.response)
    reasoning = final["usage"]["output_tokens_details"]["reasoning_tokens"]
    for index, item in enumerate(final["output"]):
        last = index == len(final["output"]) - 1
        thoughts = reasoning if not index else 0  # generated before anything is seen
        yield from _item(frame, index, item, pieces if last else (), thoughts)
    record.response = final
    keep()
    missed = 0 if final["output"] else reasoning
    yield frame(f"response.{final['status']}", tokens=missed, response=final)


def _item(frame: Frame, index: int, item: Item, pieces: Sequence[str], thoughts: int) -> Iterator[Event]:
    opened = {**item, **_EMPTY[item["type"]]}
    if "status" in item:
        opened["status"] = "in_progress"
    yield frame("response.output_item.added", tokens=thoughts, output_index=index, item=opened)
    place = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "message":
            yield from _text(frame, item["content"][0], pieces, {**place, "content_index": 0})
        case "function_call":
            yield from _arguments(frame, "function_call_arguments", "arguments", item, pieces, place)
        case "custom_tool_call":
            yield from _arguments(frame, "custom_tool_call_input", "input", item, pieces, place)
        case "reasoning":
            yield from _summary(frame, item["summary"], place)
    yield frame("response.output_item.done", output_index=index, item=item)


_EMPTY: dict[str, dict[str, Any]] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "reasoning": {"summary": []},
}


def _text(frame: Frame, part: Item, pieces: Sequence[str], place: Item) -> Iterator[Event]:
    empty = {**part, "text": "", "logprobs": []}
    yield frame("response.content_part.added", **place, part=empty)
    for at, piece in enumerate(pieces):
        told = part["logprobs"][at : at + 1]
        yield frame("response.output_text.delta", tokens=1, **place, delta=piece, logprobs=told)
    yield frame("response.output_text.done", **place, text=part["text"], logprobs=part["logprobs"])
    yield frame("response.content_part.done", **place, part=part)


def _arguments(
    frame: Frame, kind: str, member: str, item: Item, pieces: Sequence[str], place: Item
) -> Iterator[Event]:
    for piece in pieces:
        yield frame(f"response.{kind}.delta", tokens=1, **place, delta=piece)
    yield frame(f"response.{kind}.done", **place, **{member: item[member]})


def _summary(frame: Frame, parts: Sequence[Item], place: Item) -> Iterator[Event]:
    for at, part in enumerate(parts):
        here = {**place, "summary_index": at}
        yield frame("response.reasoning_summary_part.added", **here, part={**part, "text": ""})
        yield frame("response.reasoning_summary_text.delta", **here, delta=part["text"])
        yield frame("response.reasoning_summary_text.done", **here, text=part["text"])
        yield frame("response.reasoning_summary_part.done", **here, part=part)
