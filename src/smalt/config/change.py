"""One value of a smalt.yaml changed in its text; all the rest of the text stays as it is.

What is new is written on one line. Nothing is guessed: the new text is read again, and must say what the old
one did but for that value.
"""

import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from smalt.config.document import KeyPath, dotted
from smalt.config.read import parse
from smalt.config.yaml_text import flow
from smalt.errors import ConfigurationError

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_FIRST_LINE: Final = re.compile(r"[\r\n]( *)[^\s#]")  # below an anchor or a tag


def changed(text: str, path: KeyPath, value: Any) -> str:
    """`text`: valid YAML with a mapping at the top. `value`: plain data. What holds the key is made where it
    is missing. Raises ConfigurationError if there is no place for the key."""
    node: Node = YAML(pure=True).compose(text)
    key_end: int | None = None
    depth = 0
    while depth < len(path) and (child := _child(node, path[depth])):
        key_end, node = child
        depth += 1
    missing = path[depth:]
    if not missing or _is_blank(node):
        edited = _replaced(text, node, key_end, _wrapped(missing, value))
    elif isinstance(node, MappingNode) and isinstance(missing[0], str):
        entry = f"{flow(missing[0])}: {flow(_wrapped(missing[1:], value))}"
        edited = _inserted(text, node, entry)
    elif isinstance(node, SequenceNode) and missing[0] == len(node.value):
        entry = flow(_wrapped(missing[1:], value))
        edited = _inserted(text, node, entry if node.flow_style else f"- {entry}")
    else:
        raise ConfigurationError(_no_place(path, depth, node))
    if _read(edited) != _with(_read(text), path, value):
        raise ConfigurationError(
            f"{dotted(path)} stands behind an alias, or in unusual YAML: change it by hand"
        )
    return edited


def _read(text: str) -> Any:
    """None if it is no YAML."""
    try:
        return parse(text, "").data
    except ConfigurationError:
        return None


def _child(node: Node, key: str | int) -> tuple[int | None, Node] | None:
    """Where the key ends, and its value; None if it is not there."""
    if isinstance(node, SequenceNode) and isinstance(key, int) and key < len(node.value):
        return None, node.value[key]
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == key:
                return key_node.end_mark.index, value_node
    return None


def _is_blank(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value in ("", "~", "null") and node.style is None


def _replaced(text: str, node: Node, key_end: int | None, value: Any) -> str:
    start, end = node.start_mark.index, _end(text, node, key_end)
    if key_end is not None:  # a block would begin on the next line
        start = _colon(text, key_end)
    lead = " " if text[start - 1] in ":-" else ""
    tail = _newline(text, end) if text[start:end].endswith("\n") else ""
    return f"{text[:start]}{lead}{flow(value)}{tail}{text[end:]}"


def _inserted(text: str, node: CollectionNode, entry: str) -> str:
    """Behind the last item."""
    if not node.value:
        at = node.start_mark.index + 1
        return text[:at] + entry + text[at:]
    end = _end_of_last(text, node)
    if node.flow_style:
        return f"{text[:end]}, {entry}{text[end:]}"
    lead = _indent(text, node)
    if text[:end].endswith("\n"):  # behind a text of several lines
        return f"{text[:end]}{lead}{entry}{_newline(text, end)}{text[end:]}"
    line_end = _LINE_END.search(text, end)
    at, newline = (line_end.start(), line_end[0]) if line_end else (len(text), _newline(text, end))
    return f"{text[:at]}{newline}{lead}{entry}{text[at:]}"


def _newline(text: str, at: int) -> str:
    """How the last line before ends."""
    ends: list[str] = _LINE_END.findall(text, 0, at)
    return ends[-1] if ends else "\n"


def _indent(text: str, node: CollectionNode) -> str:
    """Of the items of a block. It begins at its anchor or tag, if it has one."""
    begin = node.start_mark
    first = node.value[0][0] if isinstance(node, MappingNode) else node.value[0]
    below = _FIRST_LINE.search(text, begin.index) if text[begin.index] in "&!" else None
    return below[1] if below and first.start_mark.line > begin.line else " " * begin.column


def _end(text: str, node: Node, key_end: int | None) -> int:
    """Where a value ends. The parser counts to a block what follows it, and puts a blank anywhere behind."""
    if isinstance(node, CollectionNode) and not node.flow_style:
        return _end_of_last(text, node)
    if key_end is not None and _is_blank(node) and not node.value:
        return _colon(text, key_end)
    end: int = node.end_mark.index
    return end


def _end_of_last(text: str, node: CollectionNode) -> int:
    last = node.value[-1]
    return _end(text, last[1], last[0].end_mark.index) if isinstance(last, tuple) else _end(text, last, None)


def _colon(text: str, key_end: int) -> int:
    """Behind the colon of a key."""
    return text.index(":", key_end) + 1


def _wrapped(path: KeyPath, value: Any) -> Any:
    """The value in what has to be made around it."""
    for key in reversed(path):
        value = {key: value} if isinstance(key, str) else [value]
    return value


def _with(data: Any, path: KeyPath, value: Any) -> Any:
    """What reading should give: with the value at the path, all single values as text."""
    if not path:
        return _as_read(value)
    key, rest = path[0], path[1:]
    if isinstance(key, str):
        held = data or {}
        return held | {key: _with(held.get(key), rest, value)}
    items = data or []
    return [*items[:key], _with(items[key] if key < len(items) else None, rest, value), *items[key + 1 :]]


def _as_read(value: Any) -> Any:
    return parse(f"value: {flow(value)}", "").data["value"]


def _no_place(path: KeyPath, depth: int, node: Node) -> str:
    if isinstance(node, SequenceNode):
        count = len(node.value)
        return f"{dotted(path)} has no place: the list has {count} items, so the next is [{count}]"
    return f"{dotted(path)} has no place: {dotted(path[:depth])} is a single value; set that as a whole"
