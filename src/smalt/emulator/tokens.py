"""The emulator's own tokenizer: plausible numbers, not those of any real model.

A run of letters is cut every eight, a run of digits every three, every other sign is one token; white space
belongs to the token after it. English prose comes out at four to five characters a token.
"""

import re
from typing import Any

import msgspec

_TOKEN = re.compile(r"\s*(?:[A-Za-z]{1,8}|[0-9]{1,3}|[^\sA-Za-z0-9])|\s+")

MESSAGE_TOKENS = 4  # around each message: its role and two separators
PRIMING_TOKENS = 3  # with which every answer is opened
IMAGE_TOKENS = {"low": 85}
IMAGE_TOKENS_DEFAULT = 765


def split(text: str) -> list[str]:
    """The tokens of `text`; joined they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return len(_TOKEN.findall(text))


def count_prompt(body: dict[str, Any]) -> int:
    """Tokens of a checked chat request."""
    return len(read_prompt(body))


def read_prompt(body: dict[str, Any]) -> list[str]:
    """The tokens of a checked chat request: its tools and answer format, then its messages."""
    tokens = ["<>"] * PRIMING_TOKENS
    for extra in ("tools", "functions", "response_format"):
        if body.get(extra):
            tokens += split(msgspec.json.encode(body[extra]).decode())
    for message in body["messages"]:
        tokens += [f"<{message['role']}>"] * MESSAGE_TOKENS
        tokens += _read_content(message.get("content"))
        tokens += split(message.get("name") or "")
        for call in message.get("tool_calls") or ():
            called = call[call.get("type") or "function"]
            tokens += split(called["name"])
            tokens += split(called.get("arguments") or called.get("input") or "")
        if called := message.get("function_call"):
            tokens += split(called["name"]) + split(called["arguments"])
    return tokens


def _read_content(content: str | list[dict[str, Any]] | None) -> list[str]:
    if not isinstance(content, list):
        return split(content or "")
    tokens: list[str] = []
    for part in content:
        if part["type"] == "text":
            tokens += split(part["text"])
        elif part["type"] == "image_url":
            image = part["image_url"]
            tokens += [image["url"]] * IMAGE_TOKENS.get(image.get("detail", ""), IMAGE_TOKENS_DEFAULT)
    return tokens
