"""Looks at the texts of a stream while it passes: what may still be part of a finding is held back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from smalt.errors import PolicyDenied
from smalt.guards import Finding
from smalt.wire import sse

CONTEXT = 32  # characters that went on, and are looked at once more for what follows them
LONGEST_FINDING = 16 * 1024  # characters of a stream; a longer one is refused

# What members of these names hold was not written for anybody to read.
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
_LAST = {"response.completed", "response.incomplete", "response.failed", "error"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Find = Callable[[str], Iterable[Finding]]
Path = tuple[str | int, ...]  # names of members; for items of lists what their `index` says


class _Piece(NamedTuple):
    """A piece of the text at `path`: the member `name` of `object`."""

    path: Path
    object: dict[str, Any]
    name: str


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
        """What may go on now."""
        self._text += text
        most = len(self._text) - self._window
        return self._release(most, may_go_on=True) if most > 0 else ""

    def rest(self) -> str:
        """There is no more to come."""
        return self._release(len(self._text), may_go_on=False)

    def _release(self, most: int, *, may_go_on: bool) -> str:
        """Nothing of a finding that ends beyond `most`, or may become longer."""
        shift = len(self._before)
        looked_at = self._find(self._before + self._text)
        found = [Finding(one.start - shift, one.end - shift, one.instead) for one in looked_at]
        for start, end, _ in sorted(found, reverse=True):
            if 0 <= start < most and (end > most or (may_go_on and end == len(self._text))):
                most = start
        if len(self._text) - most > LONGEST_FINDING:
            raise PolicyDenied("the answer holds something forbidden that does not end")
        released = replaced(self._text[:most], [one for one in found if 0 <= one.start < most])
        self._before = (self._before + self._text[:most])[-CONTEXT:]
        self._text = self._text[most:]
        return released


class GuardedEvents:
    """Feed it events and forward what it returns: as many and some more, since when a text ends, what was
    held of it goes ahead in an event like those before. `whole`: edits an event whose texts are not pieces.
    Raises PolicyDenied also for what it cannot read.
    """

    def __init__(self, find: Find, whole: Callable[[bytes], bytes], window: int) -> None:
        self._find = find
        self._whole = whole
        self._window = window
        self._held: dict[Path, tuple[HeldText, dict[str, Any]]] = {}  # with the event that came last of it
        self._more = 0  # events made here

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._looked_at(event) for event in sse.split(data) if event])

    def rest(self) -> bytes:
        """What is held when no more comes."""
        return self._rest(list(self._held))

    def _looked_at(self, event: bytes) -> bytes:
        data = sse.data_of(event)
        if not data.strip():
            return event
        if data.strip() == b"[DONE]":
            return self.rest() + event
        try:
            told = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise PolicyDenied("a part of the answer cannot be looked at") from None
        pieces = list(_pieces(told))
        for path, of, name in pieces:
            known = self._held.get(path)
            held = known[0] if known else HeldText(self._find, self._window)
            self._held[path] = held, told
            of[name] = held.feed(of[name])
        ended = [path for path in self._held if _ends(told, path)]
        for path, of, name in pieces:
            if path in ended:
                of[name] += self._held.pop(path)[0].rest()
        before = self._rest([path for path in ended if path in self._held])
        return before + (self._event(told) if pieces else self._numbered(told, event))

    def _rest(self, paths: Sequence[Path]) -> bytes:
        """Events with what was held of these texts, which have ended."""
        events = []
        for path in paths:
            held, like = self._held.pop(path)
            rest = held.rest()
            if rest:
                self._more += "sequence_number" in like
                events.append(self._event(_with_text(like, path, rest)))
        return b"".join(events)

    def _numbered(self, told: dict[str, Any], event: bytes) -> bytes:
        """An event without pieces of texts."""
        data = sse.data_of(event)
        edited = self._whole(data)
        if edited is data and not self._more:
            return event
        return self._event(_decode(edited))

    def _event(self, told: dict[str, Any]) -> bytes:
        number = told.get("sequence_number")
        if self._more and isinstance(number, int):
            told = {**told, "sequence_number": number + self._more}
        kind = told.get("type")
        name = f"event: {kind}\n".encode() if isinstance(kind, str) else b""
        return name + b"data: " + msgspec.json.encode(told) + b"\n\n"


def _pieces(told: dict[str, Any]) -> Iterator[_Piece]:
    """Those in an event."""
    choices = told.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict):
                choice.pop("logprobs", None)  # they repeat the text
                said = {name: value for name, value in choice.items() if name in {"delta", "text"}}
                yield from _pieces_in(choice, said, (_index(choice, 0),))
    elif str(told.get("type")).endswith(".delta") and isinstance(told.get("delta"), str):
        told.pop("logprobs", None)
        where = str(told.get("item_id")), str(told["type"]), str(told.get("content_index"))
        yield _Piece(where, told, "delta")


def _pieces_in(of: dict[str, Any], members: dict[str, Any], path: Path) -> Iterator[_Piece]:
    for name, value in members.items():
        if isinstance(value, str) and name not in NO_TEXT:
            yield _Piece((*path, name), of, name)
        elif isinstance(value, dict):
            yield from _pieces_in(value, value, (*path, name))
        elif isinstance(value, list):
            for position, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _pieces_in(item, item, (*path, name, _index(item, position)))


def _index(item: dict[str, Any], position: int) -> int:
    told = item.get("index")
    return told if isinstance(told, int) else position


def _ends(told: dict[str, Any], path: Path) -> bool:
    """Whether nothing more comes of a text after this event."""
    choices = told.get("choices")
    if isinstance(choices, list):
        return any(
            isinstance(choice, dict) and _index(choice, 0) == path[0] and choice.get("finish_reason")
            for choice in choices
        )
    kind = str(told.get("type"))
    return (
        kind in _LAST or "error" in told or (kind.endswith(".done") and str(told.get("item_id")) == path[0])
    )


def _with_text(like: dict[str, Any], path: Path, text: str) -> dict[str, Any]:
    """An event that brings this piece of the text, and nothing else."""
    if "choices" not in like:
        return {**like, "delta": text}
    value: Any = text
    for step in reversed(path[1:]):
        value = {step: value} if isinstance(step, str) else [{"index": step, **value}]
    return {**like, "choices": [{"index": path[0], **value, "finish_reason": None}]}
