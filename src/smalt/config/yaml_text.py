"""Settings as YAML that people read: short things on one line, comments above and beside."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from smalt.config.document import KeyPath

# Safe without quotes, also within brackets, and text to every reader.
_PLAIN = re.compile(r"[A-Za-z/][\w./*+@-]*(:[\w./*+@-]+)*")
_WORDS = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|\.nan|\.inf"
)  # which YAML takes for something else
_NONE: Mapping[KeyPath, str] = {}


def yaml_text(data: Any, above: Mapping[KeyPath, str] = _NONE, beside: Mapping[KeyPath, str] = _NONE) -> str:
    """`data`: mappings, lists, text, numbers, booleans; None leaves a blank. `above`, `beside`: comments by
    path; those above may have several lines."""
    return "".join(f"{line}\n" for line in _Writer(above, beside).entries(data, (), ""))


class _Writer:
    def __init__(self, above: Mapping[KeyPath, str], beside: Mapping[KeyPath, str]) -> None:
        self._above = above
        self._beside = beside

    def entries(self, value: Any, path: KeyPath, indent: str) -> Iterator[str]:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            here = (*path, key)
            for comment in self._above.get(here, "").splitlines():
                yield f"{indent}# {comment}".rstrip()
            lead = indent + ("-" if isinstance(key, int) else f"{_scalar(key)}:")
            if self._fits_a_line(item, here):
                note = self._beside.get(here) or self._shared_note(item, here)
                shown = f" {flow(item)}" if item is not None else ""
                yield lead + shown + (f"  # {note}" if note else "")
            else:
                yield lead
                yield from self.entries(item, here, indent + "  ")

    def _fits_a_line(self, item: Any, path: KeyPath) -> bool:
        if not isinstance(item, dict | list) or not item:
            return True
        if any(isinstance(x, dict | list) for x in (item.values() if isinstance(item, dict) else item)):
            return isinstance(item, list) and not self._noted(path) and len(flow(item)) < 80
        return not self._noted(path) or self._shared_note(item, path) is not None

    def _noted(self, path: KeyPath) -> bool:
        """Whether anything within has a comment of its own."""
        within = len(path)
        return any(
            p[:within] == path and len(p) > within for notes in (self._above, self._beside) for p in notes
        )

    def _shared_note(self, item: Any, path: KeyPath) -> str | None:
        """The comment that every item has."""
        if not isinstance(item, dict | list):
            return None
        notes = {
            self._beside.get((*path, key)) for key in (item if isinstance(item, dict) else range(len(item)))
        }
        return notes.pop() if len(notes) == 1 else None


def flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
