"""Keys as people type them, `models.gpt-4.1.route[0]`, made into paths. The schema tells where names end."""

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from smalt.config.document import KeyPath
from smalt.config.schema import Settings
from smalt.config.section import Section
from smalt.config.words import suggest
from smalt.errors import ConfigurationError

_FIELD = re.compile(r"\.(\w+)")
_INDEX = re.compile(r"\[(\d+)\]")
_MOST_HOMES = 2
_END = re.compile(r"(?=[.\[])|$")


def key_path(text: str) -> KeyPath:
    """Raises ConfigurationError, with what may have been meant, if no setting can have this key."""
    search = _Search()
    found = next(search.paths(Settings, f".{text}"), None)
    if found is None:
        raise ConfigurationError(f"'{text}' is no key of smalt.yaml{search.hint}")
    return found


def kind_at(path: KeyPath) -> Any:
    """The type of a setting, without what may be none."""
    at: Any = Settings
    for key in path:
        at = _bare(at.model_fields[key].annotation if _is_section(at) else _item(at))
    return at


def fields_at(path: KeyPath) -> list[str]:
    """The keys known at a path of the file."""
    return list(kind_at(path).model_fields)


def homes(word: str) -> str:
    """Where a key of this name belongs, if that is at one place or two; empty if not."""
    found = [place for place, section in _sections(Settings, "") if word in section.model_fields]
    return " or ".join(found) if len(found) <= _MOST_HOMES else ""


def _sections(kind: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every section beneath one, by its place."""
    for name, info in kind.model_fields.items():
        inner, at = _bare(info.annotation), f"{place}.{name}".removeprefix(".")
        if get_origin(inner) is dict:
            inner, at = _bare(_item(inner)), f"{at}.<name>"
        elif get_origin(inner) is tuple:
            inner, at = _bare(_item(inner)), f"{at}[0]"
        if _is_section(inner):
            yield at, inner
            yield from _sections(inner, at)


class _Search:
    """Names may hold dots, so each place where one could end is tried, the shortest name first."""

    def __init__(self) -> None:
        self.hint = ""
        self._least_left: int | None = None

    def paths(self, kind: Any, text: str) -> Iterator[KeyPath]:
        kind = _bare(kind)
        if not text:
            yield ()
        elif _is_section(kind):
            match = _FIELD.match(text)
            if match and match[1] in kind.model_fields:
                inner = kind.model_fields[match[1]].annotation
                yield from ((match[1], *rest) for rest in self.paths(inner, text[match.end() :]))
            else:
                self._note(match[1] if match else text, kind, text)
        elif get_origin(kind) is dict and text.startswith("."):
            yield from self._under_names(_bare(_item(kind)), text)
        elif get_origin(kind) in (tuple, list) and (match := _INDEX.match(text)):
            yield from ((int(match[1]), *rest) for rest in self.paths(_item(kind), text[match.end() :]))

    def _under_names(self, item: Any, text: str) -> Iterator[KeyPath]:
        for name in (text[1 : match.start()] for match in _END.finditer(text, 2)):
            left = text[len(name) + 1 :]
            last = name.rpartition(".")[2]
            if not left and last != name and last.isidentifier() and _is_section(item):
                self._note(last, item, f".{last}")  # rather a field than the end of the name
            elif "[" not in name:
                yield from ((name, *rest) for rest in self.paths(item, left))

    def _note(self, word: str, section: Any, left: str) -> None:
        """The unknown word that comes last says most."""
        if self._least_left is None or len(left) < self._least_left:
            self._least_left = len(left)
            meant = suggest(word, list(section.model_fields))
            self.hint = f"; did you mean '{meant}'?" if meant else ""


def _bare(kind: Any) -> Any:
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = get_args(kind)[0]
    return kind


def _item(kind: Any) -> Any:
    """X of dict[str, X] and tuple[X, ...]."""
    return get_args(kind)[-1] if get_origin(kind) is dict else get_args(kind)[0]


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
