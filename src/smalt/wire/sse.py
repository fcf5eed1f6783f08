"""Watches a stream of server-sent events pass by: its usage, and whether it came to its end.

Source: WHATWG HTML, section 9.2 (lines end with LF, CRLF or CR, events with a blank line); Azure OpenAI
streaming (usage comes last in a chunk with empty `choices`; some filtered streams end after a finish reason
without `[DONE]`; an object with a top-level `error` is the end).
"""

import itertools
import re
from typing import Any

import msgspec

from smalt.types import Usage
from smalt.wire.usage import ReportedUsage

LONGEST_EVENT = 1 << 20  # bytes; a longer event passes unwatched, so that memory stays bounded

_EVENT_END = re.compile(rb"\n\r?\n|\r\r")
# What is worth reading: a value for one of the first two, which most chunks have as null, or an error.
_NEWS = re.compile(rb'"finish_reason": ?"|"usage": ?\{|"error"')
_BOM = b"\xef\xbb\xbf"


class _Choice(msgspec.Struct):
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    service_tier: str | None = None
    error: Any = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_usage_decoder = msgspec.json.Decoder(ReportedUsage | None)


class StreamWatch:
    """Feed it what arrives and forward what it returns: whole events, unchanged.

    `hide_usage`: leave out the usage chunk, because the caller did not ask for it. `usage`: as reported,
    None so far. `ended`: a finish reason, `[DONE]` or an error has passed. `events`: data lines so far.
    """

    def __init__(self, *, hide_usage: bool = False) -> None:
        self.usage: Usage | None = None
        self.ended = False
        self.events = 0
        self._hide_usage = hide_usage
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        if not self._held and data.endswith(b"\n\n"):
            return self._look(data)  # the usual case
        start = max(0, len(self._held) - 2)
        data = self._held + data
        end = _last_event_end(data, start)
        if end == 0 and len(data) <= LONGEST_EVENT:
            self._held = data
            return b""
        if end == 0:
            end = len(data)
        whole, self._held = data[:end], data[end:]
        return self._look(whole)

    def rest(self) -> bytes:
        """What is left when the upstream has ended: an event without its blank line."""
        held, self._held = self._held, b""
        return self._look(held) if held else b""

    def _look(self, events: bytes) -> bytes:
        self.events += events.count(b"\ndata:") + events.startswith(b"data:")
        if _NEWS.search(events) is None and b"[DONE]" not in events:
            return events  # content, which is nearly all of a stream
        return b"".join([event for event in _split(events) if not self._leave_out(event)])

    def _leave_out(self, event: bytes) -> bool:
        """Notes what an event says; true for a usage chunk that the caller did not ask for."""
        data = _data(event)
        if data == b"[DONE]":
            self.ended = True
        try:
            chunk = _chunk_decoder.decode(data)
            if chunk.error or any(choice.finish_reason for choice in chunk.choices or ()):
                self.ended = True
            usage = _usage_decoder.decode(chunk.usage)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if usage is None:
            return False
        self.usage = usage.as_usage(chunk.service_tier)
        return self._hide_usage and not chunk.choices and not chunk.error


def _last_event_end(data: bytes, start: int) -> int:
    """Behind the last blank line; 0 if there is none from `start` on."""
    found = data.rfind(b"\n\n", start)
    end = found + 2 if found >= 0 else 0
    if b"\r" in data:
        for blank in (b"\n\r\n", b"\r\r"):
            found = data.rfind(blank, start)
            if found >= 0:
                end = max(end, found + len(blank))
    return end


def _split(events: bytes) -> list[bytes]:
    ends = [0, *(match.end() for match in _EVENT_END.finditer(events)), len(events)]
    return [events[start:end] for start, end in itertools.pairwise(ends)]


def _data(event: bytes) -> bytes:
    lines = event.removeprefix(_BOM).splitlines()
    return b"\n".join([line[5:] for line in lines if line.startswith(b"data:")]).strip()
