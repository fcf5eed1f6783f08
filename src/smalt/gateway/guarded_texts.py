"""Texts with what guards found replaced: those of a whole body, and one that comes in pieces."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from smalt.errors import PolicyDenied
from smalt.guards import Finding

BLOCK = 8 * 1024  # characters that are looked at in one go, some milliseconds: nothing else runs meanwhile
CONTEXT = 32  # characters that went on, and are looked at once more for what follows them
LONGEST_FINDING = 4 * 1024  # characters of a text that comes in pieces; a longer one is refused
MOST_TEXT = 4_000_000  # characters of a body

# Strings under these names, in what the API itself defines, were not written for anybody to read.
NO_TEXT: Final = {
    "call_id",
    "content_filter_results",
    "data",
    "encrypted_content",
    "file_data",
    "file_id",
    "finish_reason",
    "id",
    "image_url",
    "item_id",
    "model",
    "name",
    "object",
    "role",
    "service_tier",
    "status",
    "system_fingerprint",
    "tool_call_id",
    "type",
    "url",
}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Find = Callable[[str], Iterable[Finding]]


def replaced(text: str, findings: Iterable[Finding]) -> str:
    """`text` with what was found replaced. Of findings that overlap the first one's words stand for all."""
    parts, done = [], 0
    for start, end, instead in sorted(findings):
        if start >= done:
            parts += [text[done:start], instead]
        done = max(done, end)
    return "".join([*parts, text[done:]])


class HeldText:
    """One text that comes in pieces. `window`: characters that are held back until more has come."""

    def __init__(self, find: Find, window: int) -> None:
        self._find = find
        self._window = window
        self._before = ""
        self._text = ""

    def feed(self, text: str) -> str:
        """What may go on now. Raises PolicyDenied."""
        self._text += text
        most = len(self._text) - self._window
        return self._release(most, may_go_on=True) if most > 0 else ""

    def rest(self) -> str:
        """There is no more to come. Raises PolicyDenied."""
        return self._release(len(self._text), may_go_on=False)

    def _release(self, most: int, *, may_go_on: bool) -> str:
        """Nothing of a finding that ends beyond `most`, or may become longer."""
        shift = len(self._before)
        looked_at = self._find(self._before + self._text)
        found = [Finding(one.start - shift, one.end - shift, one.instead) for one in looked_at]
        for start, end, _ in sorted(found, reverse=True):
            if 0 <= start < most and (end > most or (may_go_on and end == len(self._text))):
                most = start
        if len(self._text) - most > self._window + LONGEST_FINDING:
            raise PolicyDenied("the text holds something forbidden that does not end")
        released = replaced(self._text[:most], [one for one in found if 0 <= one.start < most])
        self._before = (self._before + self._text[:most])[-CONTEXT:]
        self._text = self._text[most:]
        return released


class Texts:
    """Looks at the texts of one body, or of one event, with `find`. What is written anew says each member
    once: others might read the one that was not looked at."""

    def __init__(self, find: Find, window: int) -> None:
        self._find = find
        self._window = window
        self._left = MOST_TEXT

    def edited(self, body: bytes, *, answer: bool) -> bytes:
        """Raises PolicyDenied, also for what cannot be read."""
        try:
            return msgspec.json.encode(self.of_api(msgspec.json.decode(body), answer=answer))
        except _UNREADABLE:
            raise PolicyDenied("what is no valid JSON cannot be looked at") from None

    def of_api(self, value: Any, *, answer: bool, name: str = "") -> Any:
        """Of what the API defines. `logprobs` of an answer go, since they repeat its text."""
        if isinstance(value, str):
            return value if name in NO_TEXT else self.of_text(value)
        if isinstance(value, dict):
            looked_at = {key: self.of_api(item, answer=answer, name=key) for key, item in value.items()}
            if answer and looked_at.get("logprobs"):
                looked_at["logprobs"] = None
            return looked_at
        if isinstance(value, list):
            return [self.of_api(item, answer=answer, name=name) for item in value]
        return value

    def of_text(self, text: str) -> str:
        """A text that is itself JSON, such as what a tool is called with, stays it."""
        self._left -= len(text)
        if self._left < 0:
            raise PolicyDenied(f"more than {MOST_TEXT:,} characters of text cannot be looked at")
        if text.lstrip()[:1] in {"{", "["}:
            try:
                value = msgspec.json.decode(text)
            except _UNREADABLE:
                return self._plain(text)
            looked_at = self._inside(value)
            return text if looked_at == value else msgspec.json.encode(looked_at).decode()
        return self._plain(text)

    def _inside(self, value: Any) -> Any:
        """Of JSON in a text, whose names somebody has made up."""
        if isinstance(value, str):
            return self._plain(value)
        if isinstance(value, dict):
            return {self._plain(key): self._inside(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._inside(item) for item in value]
        return value

    def _plain(self, text: str) -> str:
        if len(text) <= BLOCK:
            return replaced(text, self._find(text))
        held = HeldText(self._find, self._window)
        parts = [held.feed(text[start : start + BLOCK]) for start in range(0, len(text), BLOCK)]
        return "".join([*parts, held.rest()])
