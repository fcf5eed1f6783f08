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
    """Tokens of a checked chat request: its messages, tools and answer format."""
    total = PRIMING_TOKENS
    for message in body["messages"]:
        total += MESSAGE_TOKENS + _count_content(message.get("content"))
        total += count(message.get("name") or "")
        for call in message.get("tool_calls") or ():
            total += count(call["function"]["name"]) + count(call["function"]["arguments"])
    for extra in ("tools", "response_format"):
        if body.get(extra):
            total += count(msgspec.json.encode(body[extra]).decode())
    return total


def _count_content(content: str | list[dict[str, Any]] | None) -> int:
    if not isinstance(content, list):
        return count(content or "")
    total = 0
    for part in content:
        if part["type"] == "text":
            total += count(part["text"])
        elif part["type"] == "image_url":
            total += IMAGE_TOKENS.get(part["image_url"].get("detail", ""), IMAGE_TOKENS_DEFAULT)
    return total
