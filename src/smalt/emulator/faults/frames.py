"""Server-sent events as data and back, one at a time, in the dialect of chat or of Responses."""

from typing import Any

import msgspec

Frame = dict[str, Any]


def read_frame(data: bytes) -> Frame | None:
    """None: there is no JSON object in it."""
    _, found, text = data.partition(b"data: {")
    return msgspec.json.decode(b"{" + text) if found else None


def write_frame(frame: Frame) -> bytes:
    """Events of Responses name their type, those of chat have none."""
    name = f"event: {frame['type']}\n".encode() if "type" in frame else b""
    return name + b"data: " + msgspec.json.encode(frame) + b"\n\n"


def finish_reason(frame: Frame) -> str | None:
    reasons = (choice.get("finish_reason") for choice in frame.get("choices", ()))
    return next((reason for reason in reasons if reason), None)
