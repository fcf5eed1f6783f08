"""When a fault strikes. Time comes in as `now`, chance as one unit for each decision."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

from smalt.emulator.text import dice

Operation = Literal["chat/completions", "completions", "embeddings", "images", "models", "responses"]
Whole = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Millis = Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request. None: not known, or not yet."""

    resource: str
    operation: str | None = None
    deployment: str | None = None
    stream: bool | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Where and when, the same for every kind.

    `resource`, `deployment`, `operation`: None for any; an operation includes what lies below its path.
    `skip`: how many of these requests are spared first. `times`: how many are struck; None: all.
    `probability`: with which each of the others is struck, above 0 to 1. `after_s`, `for_s`: the time in
    which it strikes, in seconds of the emulator's clock since it was set up; None: without end.
    """

    resource: str | None = None
    deployment: str | None = None
    operation: Operation | None = None
    skip: Whole = 0
    times: Count | None = None
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    after_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    for_s: Annotated[float, msgspec.Meta(gt=0)] | None = None

    ON: ClassVar[Literal["all", "streams", "bodies"]] = "all"  # which answers the kind has a meaning for
    OF: ClassVar[tuple[Operation, ...]] = ()  # the operations it has a meaning for; none: all

    def concerns(self, asked: Asked) -> bool:
        if self.ON != "all" and asked.stream is not (self.ON == "streams"):
            return False
        if self.OF and not any(_within(asked.operation, operation) for operation in self.OF):
            return False
        return (
            self.resource in {None, asked.resource}
            and self.deployment in {None, asked.deployment}
            and (self.operation is None or _within(asked.operation, self.operation))
        )


def _within(operation: str | None, wanted: str) -> bool:
    return f"{operation}/".startswith(f"{wanted}/")


@dataclass(slots=True)
class Armed:
    """A fault set up at `since_s`. `seen`: the requests it concerned in its time. `hits`: those struck."""

    number: int
    fault: Fault
    since_s: float
    seen: int = 0
    hits: int = 0

    def concerns(self, asked: Asked, now: float) -> bool:
        """Whether place and time are right."""
        fault, age_s = self.fault, now - self.since_s
        over = fault.for_s is not None and age_s >= fault.after_s + fault.for_s
        return age_s >= fault.after_s and not over and fault.concerns(asked)

    def strikes(self, unit: float) -> bool:
        """Whether a request it concerns is struck; counts both. `unit`: 0 to 1, by chance."""
        fault = self.fault
        self.seen += 1
        if self.seen <= fault.skip or self.hits == fault.times or unit >= fault.probability:
            return False
        self.hits += 1
        return True

    def report(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self.fault)
        return {"id": self.number, **told, "seen": self.seen, "hits": self.hits}


F = TypeVar("F", bound=Fault)


class Script:
    """All faults that are set up, oldest first. `seed`: decides, for each by itself, whom chance hits."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._armed: dict[int, tuple[Armed, random.Random]] = {}
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._armed)

    def __iter__(self) -> Iterator[Armed]:
        return (armed for armed, _ in self._armed.values())

    def add(self, faults: Iterable[Fault], now: float) -> list[Armed]:
        added = []
        for fault in faults:
            self._last += 1
            armed = Armed(self._last, fault, now)
            self._armed[armed.number] = armed, dice(self._seed, "fault", armed.number)
            added.append(armed)
        return added

    def drop(self, number: int) -> bool:
        """Whether there was one of this number."""
        return self._armed.pop(number, None) is not None

    def clear(self) -> None:
        """Without numbering anew: a number never means two faults."""
        self._armed.clear()

    def take(self, kind: type[F], asked: Asked, now: float) -> list[F]:
        """The faults of a kind that strike this request."""
        return [
            armed.fault
            for armed, roll in self._armed.values()
            if isinstance(armed.fault, kind) and armed.concerns(asked, now) and armed.strikes(roll.random())
        ]
