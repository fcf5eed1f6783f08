"""Looks at the texts of a stream while it passes: what may still be part of a finding is held back."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from smalt.errors import PolicyDenied
from smalt.gateway.guarded_texts import NO_TEXT, Find, HeldText, Texts
from smalt.wire import sse

LONGEST_EVENT: Final = 1 << 20  # bytes of an event, and characters of what a tool is called with

_LAST = {"response.completed", "response.incomplete", "response.failed", "error"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Path = tuple[str | int, ...]  # names of members; for items of lists what their `index` says


class _Piece(NamedTuple):
    """A piece of the text at `path`: the member `name` of `object`."""

    path: Path
    object: dict[str, Any]
    name: str


class _Gathered:
    """What a tool is called with is JSON: it can be looked at only as a whole."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._text = ""

    def feed(self, text: str) -> str:
        self._text += text
        if len(self._text) > LONGEST_EVENT:
            raise PolicyDenied("a tool is called with more than can be looked at")
        return ""

    def rest(self) -> str:
        return self._texts.of_text(self._text)


class GuardedEvents:
    """Feed it bytes of a stream and forward what it returns: its events and some more, since when a text
    ends, what was held of it goes ahead in an event like those before. Raises PolicyDenied, also for what it
    cannot read.
    """

    def __init__(self, find: Find, window: int) -> None:
        self._find = find
        self._window = window
        self._partial = b""  # an event that has not ended
        self._held: dict[Path, tuple[HeldText | _Gathered, dict[str, Any]]] = {}  # with its newest event
        self._more = 0  # events made here

    def feed(self, data: bytes) -> bytes:
        *whole, self._partial = sse.split(self._partial + data)
        if len(self._partial) > LONGEST_EVENT:
            raise PolicyDenied("an event of the answer is too large to be looked at")
        return b"".join([self._looked_at(event) for event in whole])

    def rest(self) -> bytes:
        """What is held when no more comes."""
        last, self._partial = self._partial, b""
        return (self._looked_at(last) if last else b"") + self._rest(list(self._held))

    def _looked_at(self, event: bytes) -> bytes:
        data = sse.data_of(event)
        if not data.strip():
            return event
        if data.strip() == b"[DONE]":
            return self._rest(list(self._held)) + event
        try:
            told = _decode(data)
            texts = [_taken(piece) for piece in _pieces(told)]
            told = Texts(self._find, self._window).of_api(told, answer=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise PolicyDenied("a part of the answer cannot be looked at") from None
        pieces = list(_pieces(told))
        for (path, of, name), text in zip(pieces, texts, strict=True):
            known = self._held.get(path)
            held = known[0] if known else self._new(path)
            self._held[path] = held, told
            of[name] = held.feed(text)
        ended = [path for path in self._held if _ends(told, path)]
        for path, of, name in pieces:
            if path in ended:
                of[name] += self._held.pop(path)[0].rest()
        return self._rest([path for path in ended if path in self._held]) + self._event(told)

    def _new(self, path: Path) -> HeldText | _Gathered:
        if any("arguments" in str(step) for step in path):
            return _Gathered(Texts(self._find, self._window))
        return HeldText(self._find, self._window)

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

    def _event(self, told: dict[str, Any]) -> bytes:
        number = told.get("sequence_number")
        if self._more and isinstance(number, int):
            told = {**told, "sequence_number": number + self._more}
        kind = told.get("type")
        name = f"event: {kind}\n".encode() if isinstance(kind, str) and kind.isprintable() else b""
        return name + b"data: " + msgspec.json.encode(told) + b"\n\n"


def _taken(piece: _Piece) -> str:
    text: str = piece.object[piece.name]
    piece.object[piece.name] = ""
    return text


def _pieces(told: dict[str, Any]) -> Iterator[_Piece]:
    """Those in an event."""
    choices = told.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict):
                said = {name: value for name, value in choice.items() if name in {"delta", "text"}}
                yield from _pieces_in(choice, said, (_index(choice, 0),))
    elif str(told.get("type")).endswith(".delta") and isinstance(told.get("delta"), str):
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
