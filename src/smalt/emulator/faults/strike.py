"""The faults that strike a request: what is known of it, and which of them it meets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from smalt.emulator.catalogue import Api
from smalt.emulator.faults.layers import Layer
from smalt.emulator.faults.registry import Failure
from smalt.emulator.faults.script import Asked
from smalt.emulator.faults.wire import CloseIdle, HangFault, SlowRead
from smalt.emulator.refusals import Canned, catalogue
from smalt.emulator.server import Request, Welcome
from smalt.emulator.world import Resource, World


@dataclass(frozen=True, slots=True)
class Struck:
    """`failure`: what is answered instead. `layers`: what befalls the answer on its way."""

    asked: Asked
    failure: Canned | None
    layers: Sequence[Layer]


def greet(world: World, resource: Resource, request: Request, *, reused: bool) -> Welcome:
    """How a request is treated of which only the head is known. `reused`: its connection served others."""
    if not world.faults:
        return Welcome()
    asked, now = _asked_by_head(resource, request), world.clock.now()
    closed = reused and bool(world.faults.take(CloseIdle, asked, now))
    rates = [fault.bytes_per_s for fault in world.faults.take(SlowRead, asked, now)]
    return Welcome(closed, min(rates) * world.clock.speed if rates else None)


def strike(world: World, resource: Resource, request: Request) -> Struck:
    """Takes the resource's mode, too: `error` and `hang` are faults for any request."""
    asked = _asked(resource, request) if world.faults else Asked(resource.spec.name)
    mode, error = resource.take_mode()
    failure = catalogue()[error] if error else _failure(world, asked)
    layers = world.faults.take(Layer, asked, world.clock.now())
    return Struck(asked, failure, [*layers, HangFault()] if mode == "hang" else layers)


def strike_again(world: World, resource: Resource, api: Api, deployment: str) -> Canned | None:
    """What a request meets on the deployment it spills over to, instead of an answer."""
    _, error = resource.take_mode()
    asked = Asked(resource.spec.name, "chat/completions" if api == "chat" else api, deployment)
    return catalogue()[error] if error else _failure(world, asked)


def _failure(world: World, asked: Asked) -> Canned | None:
    failures = world.faults.take(Failure, asked, world.clock.now())
    return catalogue()[failures[0].error] if failures else None


def _asked_by_head(resource: Resource, request: Request) -> Asked:
    match tuple(unquote(segment) for segment in request.path.split("/")):
        case ("", "openai", "deployments", deployment, *rest):
            return Asked(resource.spec.name, "/".join(rest), deployment)
        case ("", "openai", "v1", *rest) | ("", "openai", *rest):
            return Asked(resource.spec.name, "/".join(rest))
        case _:
            return Asked(resource.spec.name)


def _asked(resource: Resource, request: Request) -> Asked:
    asked, body = _asked_by_head(resource, request), _body(request)
    model, query = body.get("model"), parse_qs(request.query)
    return replace(
        asked,
        deployment=asked.deployment or (model if isinstance(model, str) else None),
        stream=body.get("stream") is True or query.get("stream") == ["true"],
    )


def _body(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
