"""Changes deep inside a JSON value that leave the bytes of all other values alone.

An `Edit` takes a value as it is written and gives back the same object, or a changed one. A value that is not
of the kind an edit is for stays as it is: the upstream says what is wrong with it. Of objects that change,
space between members goes, and of members with the same name the last one stays.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce
from typing import TypeVar

import msgspec

Edit = Callable[[msgspec.Raw], msgspec.Raw]
T = TypeVar("T")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)


def each(edit: Edit) -> Edit:
    """Of a list, every item."""

    def edit_items(value: msgspec.Raw) -> msgspec.Raw:
        items = _read(_items, value)
        if items is None:
            return value
        edited = [edit(item) for item in items]
        same = all(new is old for new, old in zip(edited, items, strict=True))
        return value if same else msgspec.Raw(msgspec.json.encode(edited))

    return edit_items


def members(edits: Mapping[str, Edit]) -> Edit:
    """Of an object, the members that `edits` names, those that are there."""
    return _of_members(lambda _found: edits.items())


def every_member(edit: Edit) -> Edit:
    """Of an object, the value of every member."""
    return _of_members(lambda found: [(name, edit) for name in found])


def without(names: Collection[str]) -> Edit:
    """Of an object, all members but these."""

    def drop(value: msgspec.Raw) -> msgspec.Raw:
        found = _read(_members, value)
        if found is None or found.keys().isdisjoint(names):
            return value
        return _object({name: member for name, member in found.items() if name not in names})

    return drop


def when(name: str, values: Collection[bytes], edit: Edit) -> Edit:
    """`edit`, for objects whose member `name` is one of `values`, as JSON."""

    def edit_some(value: msgspec.Raw) -> msgspec.Raw:
        found = _read(_members, value)
        return edit(value) if found and bytes(found.get(name, b"")) in values else value

    return edit_some


def in_turn(*edits: Edit) -> Edit:
    return lambda value: reduce(lambda edited, edit: edit(edited), edits, value)


def text(change: Callable[[str], str]) -> Edit:
    """Of a text, what it says."""

    def edit_text(value: msgspec.Raw) -> msgspec.Raw:
        said = _read(_text, value)
        if said is None or (changed := change(said)) == said:
            return value
        return msgspec.Raw(msgspec.json.encode(changed))

    return edit_text


def apply(edit: Edit, body: bytes) -> bytes:
    """`body` edited; the same object if nothing changes."""
    whole = msgspec.Raw(body)
    edited = edit(whole)
    return body if edited is whole else bytes(edited)


def _of_members(edits_of: Callable[[Mapping[str, msgspec.Raw]], Iterable[tuple[str, Edit]]]) -> Edit:
    def edit_members(value: msgspec.Raw) -> msgspec.Raw:
        found = _read(_members, value) or {}
        changed = {}
        for name, edit in edits_of(found):
            member = found.get(name)
            if member is not None and (edited := edit(member)) is not member:
                changed[name] = edited
        return _object({**found, **changed}) if changed else value

    return edit_members


def _object(of: Mapping[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(of))


def _read(decoder: msgspec.json.Decoder[T], value: msgspec.Raw) -> T | None:
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
