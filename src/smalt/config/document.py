"""What was written, where it was written, and what is wrong with it: carried from step to step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from smalt.errors import ConfigurationError

KeyPath = tuple[str | int, ...]

SECRETS = frozenset(
    {"admin_key", "api_keys", "client_secret", "key", "secrets", "token"}
)  # fields whose value is never shown
LITERAL = "the secret itself stands in the file; put ${NAME} or file:/path in its place"
_OWN_NAMES = frozenset({"quotas", "residency"})  # sections whose names people choose


class Finding(NamedTuple):
    """What is wrong at a path."""

    path: KeyPath
    message: str
    kind: type[ConfigurationError] = ConfigurationError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One fault of a configuration. `line` and `column` count from 1; 0 if there is no position.

    `kind`: the error to raise when every problem is of this kind.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    kind: type[ConfigurationError] = field(default=ConfigurationError, repr=False, compare=False)

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (where, self.path, self.message) if part)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key or list item begins. `line` and `column` count from 1; 0 if there is no position."""

    file: str
    line: int = 0
    column: int = 0

    def problem(
        self, path: str, message: str, kind: type[ConfigurationError] = ConfigurationError
    ) -> ConfigProblem:
        return ConfigProblem(self.file, self.line, self.column, path, message, kind)


@dataclass(slots=True)
class Document:
    """Plain data with positions. Every step adds the problems it finds; none stops at the first.

    `name`: what messages call the source; `title`: the same at the head of the error. `written`: values
    that stand elsewhere (in variables, in a `file:`), as written, so that no message shows what is there.
    `literals`: secrets that stand in the file itself. `labels`: other names of paths (environment variables).
    """

    name: str = ""
    title: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    literals: list[KeyPath] = field(default_factory=list)
    labels: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)
    _faulty: set[KeyPath] = field(default_factory=set)

    def report(
        self, path: KeyPath, message: str, kind: type[ConfigurationError] = ConfigurationError
    ) -> None:
        """Note a problem, unless one is known at, above or beneath the path: that one is the cause."""
        if self.faulty(path):
            return
        self.mark_faulty(path)
        self.problems.append(self.problem(path, message, kind))

    def problem(
        self, path: KeyPath, message: str, kind: type[ConfigurationError] = ConfigurationError
    ) -> ConfigProblem:
        """With its place; not noted."""
        place = next((self.places[p] for p in upwards(path) if p in self.places), Place(self.name))
        label = next((self.labels[p] for p in upwards(path) if p in self.labels), dotted(path))
        return place.problem(label, message, kind)

    def mark_faulty(self, path: KeyPath) -> None:
        """Keep later steps from complaining about this path."""
        self._faulty.add(path)

    def faulty(self, path: KeyPath) -> bool:
        return any(path[: len(bad)] == bad[: len(path)] for bad in self._faulty)

    def lost_deployments(self) -> bool:
        """Whether deployments were left out as faulty."""
        return any(
            bad[0] == "resources" and len(bad) <= 4 and bad[2:3] in ((), ("deployments",))
            for bad in self._faulty
        )

    def stop_if_faulty(self) -> None:
        if self.problems:
            raise_problems(self.title or self.name or "The configuration", self.problems)


def raise_problems(name: str, problems: Iterable[ConfigProblem]) -> NoReturn:
    """Raise all problems as one error, of their own kind if they share one."""
    ordered = sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))
    kinds = {problem.kind for problem in ordered}
    kind = kinds.pop() if len(kinds) == 1 else ConfigurationError
    raise kind(f"{name} cannot be used:", problems=[str(problem) for problem in ordered]) from None


def dotted(path: Sequence[str | int]) -> str:
    """`models.gpt-4o.route[0]`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def meant(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the one it is nearly, if any."""
    close = get_close_matches(name, list(names), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def is_secret(path: KeyPath) -> bool:
    names = [key for key in path if isinstance(key, str)]
    return bool(names) and names[-1] in SECRETS and names[0] not in _OWN_NAMES


def upwards(path: KeyPath) -> list[KeyPath]:
    """The path, what holds it, and so on."""
    return [path[:length] for length in range(len(path), -1, -1)]
