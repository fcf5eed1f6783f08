"""Watches a stream of server-sent events pass by: what it says of itself, and how it ends.

Source: WHATWG HTML, section 9.2 (lines end with LF, CRLF or CR, events with a blank line); Azure OpenAI
streaming (usage comes last in a chunk with empty `choices`; some filtered streams end after a finish reason
without `[DONE]`; an object with a top-level `error` is the end); OpenAI API reference, streaming events of
Responses (`response.failed` may leave the reason to an `error` event behind it).
"""

import itertools
import json
import re
from typing import Any

import msgspec

from smalt.types import Failure, FailureKind, Usage
from smalt.wire.classify import classify_event
from smalt.wire.usage import ReportedUsage

LONGEST_EVENT = 1 << 20  # bytes; a longer event is not held: only its kind and its end are looked at
KEPT_END = 1 << 16  # bytes of a long event's end, where a response tells its usage
LONGEST_TEXT = 1 << 20  # bytes kept of what was said
BYTES_PER_TOKEN = 4

_EVENT_END = re.compile(rb"\n\r?\n|\r\r")
_LF, _CR = b"\n\r"
_BOM = b"\xef\xbb\xbf"
_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_WITHOUT_CONTENT = {
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.failed",
}
_LONG_KIND = re.compile(rb'(?:event: ?|data: ?\{\s*"type"\s*:\s*")([\w.]+)')
_SILENT = Failure(FailureKind.SERVER, "the response failed without a reason", 200)


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: dict[str, Any] | None = None
    text: Any = None
    finish_reason: Any = None


class _Event(msgspec.Struct):
    """A chunk of chat or legacy completions, or an event of Responses, which has a type."""

    choices: list[_Choice] | None = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    type: Any = None
    delta: Any = None
    response: msgspec.Raw = msgspec.Raw(b"{}")


class _Response(msgspec.Struct):
    id: Any = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class StreamWatch:
    """Feed it what arrives and forward what it returns: whole events, unchanged.

    `hide_usage`: leave out the usage chunk, because the caller did not ask for it. `keep_text`: for `text`.
    `usage`: as reported, None so far. `ended`: a finish reason, `[DONE]`, a final event or an error has
    passed. `content_seen`: more than preamble has come: a part of the answer, its regular end, or what cannot
    be read. `error`: the first error that came as an event; of a response that failed without a word only
    after `rest`. `response_id`: of a response, None so far.
    """

    def __init__(self, *, hide_usage: bool = False, keep_text: bool = True) -> None:
        self.usage: Usage | None = None
        self.ended = False
        self.content_seen = False
        self.error: Failure | None = None
        self.response_id: str | None = None
        self._hide_usage = hide_usage
        self._keeps_bytes = LONGEST_TEXT if keep_text else 0
        self._failed = False
        self._text = bytearray()
        self._output_bytes = 0
        self._held = bytearray()
        self._long: _LongEvent | None = None

    @property
    def text(self) -> str:
        """What the first choice, or the response, has said so far: the first MiB of it."""
        return self._text[:LONGEST_TEXT].decode(errors="ignore")

    @property
    def output_tokens_estimate(self) -> int:
        """From the length of all that was said, tool calls included."""
        return -(-self._output_bytes // BYTES_PER_TOKEN)

    def feed(self, data: bytes) -> bytes:
        if not self._held and data.endswith(b"\n\n") and self._long is None:
            return self._look(data)  # the usual case
        if self._long is not None:
            return self._feed_long(self._long, data)
        start = max(0, len(self._held) - 2)
        self._held += data
        end = _last_event_end(self._held, start)
        if end == 0 and len(self._held) > LONGEST_EVENT:
            return self._begin_long()
        whole = bytes(self._held[:end])
        del self._held[:end]
        return self._look(whole)

    def rest(self) -> bytes:
        """What is left when the upstream has ended: an event without its blank line."""
        whole = self._look(bytes(self._held))
        self._held.clear()
        if self._long is not None:
            self._end_long(self._long)
        if self._failed and self.error is None:
            self.error = _SILENT
        return whole

    def _begin_long(self) -> bytes:
        begun = bytes(self._held)
        self._held.clear()
        self._long = _LongEvent(begun)
        self.content_seen = True
        return begun

    def _feed_long(self, event: "_LongEvent", data: bytes) -> bytes:
        length = event.feed(data)
        if length is None:
            return data
        self._end_long(event)
        return data[:length] + self.feed(data[length:])

    def _end_long(self, event: "_LongEvent") -> None:
        self._long = None
        if event.kind in _ENDS:
            self.ended = True
            self._failed |= event.kind == "response.failed"
            self._note_usage(event.member("usage"), event.member("service_tier"))

    def _look(self, events: bytes) -> bytes:
        if _CR in events:
            return b"".join([event for event in split(events) if not self._leave_out(data_of(event))])
        line = events.find(b"\n") + 1 if events.startswith(b"event: ") else 0
        if events.find(b"\n", line) == len(events) - 2 and events.startswith(b"data: ", line):
            return b"" if self._leave_out(events[line + 6 : -2]) else events  # the usual case
        parts = events.split(b"\n\n")
        kept = [part for part in parts if not part or not self._leave_out(data_of(part))]
        return events if len(kept) == len(parts) else b"\n\n".join(kept)

    def _leave_out(self, data: bytes) -> bool:
        """Notes what an event says; true for a usage chunk that the caller did not ask for."""
        try:
            return self._note(_decode(data), data) and self._hide_usage
        except _UNREADABLE:
            self.ended |= data.strip() == b"[DONE]"
            self.content_seen |= data.strip() not in {b"[DONE]", b""}
            return False

    def _note(self, event: _Event, data: bytes) -> bool:
        """True if the event tells usage and nothing else."""
        if event.choices:
            self._note_choices(event.choices)
        elif event.type is not None:
            self._note_typed(str(event.type), event, data)
        if event.error:
            self._note_error(event.error)
        if event.usage is None:
            return False
        return (
            self._note_usage(event.usage, event.service_tier)
            and not event.choices
            and not event.error
            and event.type is None
        )

    def _note_choices(self, choices: list[_Choice]) -> None:
        for choice in choices:
            if choice.finish_reason:
                self.ended = self.content_seen = True
            if choice.delta:
                for name, value in choice.delta.items():
                    if value and name != "role":
                        shown = name == "content" and not choice.index and isinstance(value, str)
                        self._note_said(value, shown=shown)
            elif choice.text:
                self._note_said(choice.text, shown=not choice.index)

    def _note_typed(self, kind: str, event: _Event, data: bytes) -> None:
        if kind.endswith(".delta"):
            self._note_said(event.delta, shown=kind == "response.output_text.delta")
        elif kind == "response.created":
            made = _decode_response(event.response).id
            self.response_id = made if isinstance(made, str) else None
        elif kind in _ENDS:
            self.ended = True
            self._failed |= kind == "response.failed"
            response = _decode_response(event.response)
            self._note_usage(response.usage, response.service_tier)
            if response.error:
                self._note_error(response.error)
        elif kind == "error" and not event.error:
            self._note_error(msgspec.json.decode(data))
        if kind not in _WITHOUT_CONTENT and kind.startswith("response."):
            self.content_seen = True

    def _note_said(self, value: object, *, shown: bool) -> None:
        self.content_seen = True
        said = _said(value)
        if shown and len(self._text) < self._keeps_bytes:
            self._text += said
        self._output_bytes += len(said)

    def _note_error(self, error: object) -> None:
        self.ended = True
        if self.error is None:
            self.error = classify_event(error)

    def _note_usage(self, reported: object, service_tier: object) -> bool:
        """Whether it could be read."""
        usage = _read_usage(reported, service_tier)
        self.usage = usage or self.usage
        return usage is not None


class _LongEvent:
    """An event that is passed on in pieces. `kind`: what it is called, in its first line."""

    def __init__(self, begun: bytes) -> None:
        kind = _LONG_KIND.match(begun)
        self.kind = kind[1].decode() if kind else ""
        self._end = begun[-KEPT_END:]

    def feed(self, data: bytes) -> int | None:
        """How many bytes of `data` belong to the event; None if all do and it goes on."""
        before = self._end
        self._end = before + data
        found = _EVENT_END.search(self._end, max(0, len(before) - 2))
        if found is None:
            self._end = self._end[-KEPT_END:]
            return None
        self._end = self._end[: found.end()]
        return found.end() - len(before)

    def member(self, name: str) -> object:
        """The last value of that name which stands in its end, None if there is none."""
        text = self._end.decode(errors="replace")
        found = list(re.finditer(rf'"{name}"\s*:\s*', text))
        return _first_value(text[found[-1].end() :]) if found else None


def _read_usage(reported: object, service_tier: object) -> Usage | None:
    try:
        return msgspec.convert(reported, ReportedUsage).as_usage(service_tier)
    except msgspec.ValidationError:
        return None


def _first_value(text: str) -> object:
    """The JSON value that a text begins with, None if there is none."""
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _said(value: object) -> bytes:
    """Every text in a value, one behind the other."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return b"".join(map(_said, value.values()))
    return b"".join(map(_said, value)) if isinstance(value, list) else b""


def _last_event_end(data: bytearray, start: int) -> int:
    """Behind the last blank line; 0 if there is none from `start` on."""
    found = data.rfind(b"\n\n", start)
    end = found + 2 if found >= 0 else 0
    if data.find(b"\r", start) >= 0:
        for blank in (b"\n\r\n", b"\r\r"):
            found = data.rfind(blank, start)
            if found >= 0:
                end = max(end, found + len(blank))
    return end


def split(events: bytes) -> list[bytes]:
    """Each with the blank line that ends it."""
    ends = [0, *(match.end() for match in _EVENT_END.finditer(events)), len(events)]
    return [events[start:end] for start, end in itertools.pairwise(ends)]


def data_of(event: bytes) -> bytes:
    """Empty if there is none."""
    if event.startswith(b"data: ") and _LF not in event:
        return event[6:]  # the usual case
    lines = event.removeprefix(_BOM).splitlines()
    return b"\n".join([line[5:] for line in lines if line.startswith(b"data:")])
