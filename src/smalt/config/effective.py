"""The settings in effect, as plain data that may be shown, and where each value comes from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, SecretStr

from smalt.config.document import Document, KeyPath, upwards
from smalt.config.network import shown_proxy
from smalt.config.references import reference
from smalt.config.schema import Settings
from smalt.config.unbuilt import is_built
from smalt.redact import HIDDEN, without_passwords

_BLANK: tuple[object, ...] = (None, (), [], {})


@dataclass(frozen=True, slots=True)
class Origin:
    """`where`: file and line, or a variable of the environment. `written`: what refers to the value there."""

    where: str
    written: str | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.where, self.written)))


@dataclass(frozen=True, slots=True)
class Effective:
    """`data`: without secrets; references to them stand as they are. `origins`: of what is no default."""

    data: dict[str, Any]
    origins: dict[KeyPath, Origin]


def effective(settings: Settings, document: Document, *, whole: bool) -> Effective:
    """Of the settings that `document` was checked to be. `whole`: also what has no value, or does nothing
    yet."""
    view = _View(document, whole=whole)
    return Effective(view.of(settings, (), given=True), view.origins)


@dataclass(slots=True)
class _View:
    document: Document
    whole: bool
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def of(self, value: Any, path: KeyPath, *, given: bool) -> Any:
        """`given`: whether it was written, or is a default."""
        if isinstance(value, BaseModel):
            return self._of_section(value, path, given=given)
        if isinstance(value, dict) and value:
            return {key: self.of(item, (*path, key), given=given) for key, item in value.items()}
        if isinstance(value, tuple | list) and value:
            return [self.of(item, (*path, index), given=given) for index, item in enumerate(value)]
        if given:
            self.origins[path] = self._origin(path)
        return _shown(value)

    def _of_section(self, section: BaseModel, path: KeyPath, *, given: bool) -> dict[str, Any]:
        found = {}
        for name, info in type(section).model_fields.items():
            item = getattr(section, name)
            written = given and name in section.model_fields_set
            if written or self.whole or (is_built(info) and item not in _BLANK):
                found[name] = self.of(item, (*path, name), given=written)
        return found if self.whole else {name: item for name, item in found.items() if item not in ({},)}

    def _origin(self, path: KeyPath) -> Origin:
        document = self.document
        steps = upwards(self._as_written(path))
        if document.places:
            nearest = next(step for step in steps if step in document.places)
            place = document.places[nearest]
            return Origin(f"{place.file}:{place.line}", document.written.get(nearest))
        return Origin(next((document.labels[step] for step in steps if step in document.labels), ""))

    def _as_written(self, path: KeyPath) -> KeyPath:
        """Empty keys are left out of the settings; the file has them."""
        listed: Any = self.document.data
        for key in path[:-1]:
            listed = listed.get(key) if isinstance(listed, dict) else None
        if not path or not isinstance(path[-1], int) or not isinstance(listed, list):
            return path
        return (*path[:-1], _nth_filled(listed, path[-1]))


def _nth_filled(items: Sequence[Any], number: int) -> int:
    filled = [index for index, item in enumerate(items) if not isinstance(item, str) or item.strip()]
    return filled[number] if number < len(filled) else number


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        if text.startswith(("http://", "https://")):  # of a proxy, or of a secret in its Key Vault
            return shown_proxy(text)
        return text if not text or reference(text) else HIDDEN
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return without_passwords(value) if isinstance(value, str) else value
