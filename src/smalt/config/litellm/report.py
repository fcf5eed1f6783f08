"""What became of each key of another tool's file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from smalt.config.document import Document, KeyPath, dotted, upwards

_WHY: Final = {
    "base_model": "prices and limits go by the name callers ask for; for a name of your own, set prices",
    "cache": "answers are kept by the library if cache.size is set; the gateway keeps none yet",
    "cache_params": "answers are kept by the library if cache.size is set; the gateway keeps none yet",
    "callbacks": "smalt keeps its own records",
    "content_policy_fallbacks": "a prompt that the content filter refuses is refused by every upstream",
    "default_fallbacks": "name the fallbacks of each model",
    "environment_variables": "set them where smalt runs, or in a file .env beside smalt.yaml",
    "failure_callback": "smalt keeps its own records",
    "max_retries": "there is one number of attempts for all: retry.max_attempts",
    "model_group_alias": "callers ask for the model itself",
    "success_callback": "smalt keeps its own records",
}
NOTHING_LIKE_IT: Final = "smalt has nothing of this kind"


@dataclass(frozen=True, slots=True)
class Remark:
    """`line` counts from 1. `taken`: whether it is in the settings. `text`: where, or why not."""

    line: int
    key: str
    taken: bool
    text: str


class Report:
    """Remarks on the keys of one document, made on the way."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._told: dict[KeyPath, tuple[bool, str]] = {}

    def take(self, path: KeyPath, where: str) -> None:
        """It is in the settings."""
        self._told[path] = (True, where)

    def leave(self, path: KeyPath, why: str) -> None:
        """It is not."""
        self._told[path] = (False, why)

    def remarks(self) -> list[Remark]:
        """In the order of the file; what was never looked at is left out, too."""
        told = dict(self._told)
        for path in _leaves(self._document.data, ()):
            if not any(step in told for step in upwards(path)):
                told[path] = (False, next((_WHY[key] for key in path if key in _WHY), NOTHING_LIKE_IT))
        found = [Remark(self._line(path), dotted(path), taken, text) for path, (taken, text) in told.items()]
        return sorted(found, key=lambda remark: remark.line)

    def _line(self, path: KeyPath) -> int:
        places = self._document.places
        return next(places[step].line for step in upwards(path) if step in places)


def _leaves(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """A list of single values counts as one."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path
