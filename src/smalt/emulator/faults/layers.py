"""What the kinds of faults that change an answer have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import msgspec

from smalt.emulator.faults.script import Fault
from smalt.emulator.steps import End, Head, Steps


@dataclass(frozen=True, slots=True)
class Scene:
    """What a layer may need to know of the request.

    `operation`: as in `Asked`. `target`: its path and query, as sent. `urls`: of the resources, by name.
    `prompt_chars`: of its messages.
    """

    resource: str = ""
    operation: str = ""
    target: str = "/"
    urls: Mapping[str, str] = field(default_factory=dict)
    prompt_chars: int = 0


SAID, FILTERED, CODING, SENT = range(4)


class Layer(Fault, frozen=True):
    """Turns the steps of an answer into others.

    `DEPTH`: the order where several strike the same answer: what is said, how that is filtered and framed
    (neither is for refusals), how head and body are coded, when and how the bytes go out.
    """

    DEPTH: ClassVar[int] = CODING

    def play(self, steps: Steps, scene: Scene) -> Steps:
        raise NotImplementedError


def rebody(steps: Steps, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Steps:
    """A JSON answer changed, billed by the output it tells; anything else as it is."""
    held: Head | None = None
    for step in steps:
        if isinstance(step, Head) and not step.of_events and "content-length" in step.headers:
            held = step
        elif isinstance(step, End) and held:
            body = change(msgspec.json.decode(step.data))
            payload, usage = msgspec.json.encode(body), body.get("usage") or {}
            tokens = usage.get("completion_tokens", usage.get("output_tokens", held.tokens))
            yield replace(with_headers(held, content_length=str(len(payload))), tokens=tokens)
            yield replace(step, data=payload)
        else:
            yield step


def layered(steps: Steps, layers: list[Layer], scene: Scene) -> Steps:
    """The steps under all layers; those of one depth in the order given."""
    for layer in sorted(layers, key=lambda layer: layer.DEPTH):
        steps = layer.play(steps, scene)
    return steps


def with_headers(head: Head, *, drop: str = "", **headers: str) -> Head:
    """`headers`: with _ for -."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(head, headers={k: v for k, v in head.headers.items() if k != drop} | told)
