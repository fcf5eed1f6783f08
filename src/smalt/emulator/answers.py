"""What an operation is given, and what it gives back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from smalt.emulator.catalogue import Kind, Model
from smalt.emulator.params import Body


@dataclass(frozen=True, slots=True)
class Call:
    """`seed`: decides, with the body, what is said. `serial`: makes ids unique. `created_s`: wall time."""

    model: Model
    version: str
    body: Body
    seed: int
    serial: int
    created_s: int


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event and the output tokens it brings."""

    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Either `body`, or `events` with the bytes that end them."""

    input_tokens: int
    output_tokens: int
    body: dict[str, Any] | None = None
    events: Iterable[Event] = ()
    end: bytes = b""


@dataclass(frozen=True, slots=True)
class Operation:
    """`azure_name`: in texts about limits. `verb`: in texts about unfit models.

    `prompt`: the parameter that holds it.
    `max_output(body)`: tokens the answer may have, for the charge on arrival; must bear any body.
    `answer(call)`: checks the body and answers it; raises `Refusal`.
    """

    kind: Kind
    azure_name: str
    verb: str
    prompt: str
    max_output: Callable[[Body], int]
    answer: Callable[[Call], Answer]
