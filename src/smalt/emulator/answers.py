"""What an operation is given, and what it gives back."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from smalt.emulator.canned import Rule
from smalt.emulator.catalogue import Api, Model
from smalt.emulator.params import Body
from smalt.emulator.prompt_cache import PromptCache
from smalt.emulator.responses.store import Job, Store


@dataclass(frozen=True, slots=True)
class Call:
    """`seed`: decides, with the body, what is said. `serial`: makes ids unique. `created_s`: wall time.

    `cache`: of the deployment. `store`: of the resource. `rules`: canned answers.
    """

    model: Model
    version: str
    body: Body
    seed: int
    serial: int
    created_s: int
    sku: str = "Standard"
    cache: PromptCache = field(default_factory=PromptCache)
    store: Store = field(default_factory=Store)
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event and the output tokens it brings. Without `data`: only tokens, to be billed."""

    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Until:
    """Go on when `ready()` has been awaited: how events and steps, no coroutines themselves, wait."""

    ready: Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Answer:
    """Either `body`, or `events` with the bytes that end them.

    Tokens are final when the last event is made: who passes on another's words learns them late.

    `cached_tokens`: of the input. `reasoning_tokens`: of the output, and generated before what is seen of it.
    `job`: it is generated in the background, from `events`; `body` is what the caller gets at once, or None
    for a stream. `paced`: the events come in their own time.
    """

    input_tokens: int
    output_tokens: int
    body: dict[str, Any] | None = None
    events: Iterable[Event | Until] = ()
    end: bytes = b""
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    job: Job | None = None
    paced: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """`azure_name`: in texts about limits. `verb`: in texts about unfit models.

    `prompt`: the parameter that holds it.
    `max_output(body)`: tokens the answer may have, for the charge on arrival; must bear any body.
    `answer(call)`: checks the body and answers it; raises `Refusal`.
    """

    api: Api
    azure_name: str
    verb: str
    prompt: str
    max_output: Callable[[Body], int]
    answer: Callable[[Call], Answer]
