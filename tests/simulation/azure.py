"""Deployments as Azure runs them, behind a network; their quotas are the emulator's."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from tests.simulation.world import World

from smalt.core.settings import Throughput, UpstreamSpec
from smalt.emulator.clock import Clock
from smalt.emulator.quota import (
    CHARS_PER_TOKEN,
    DEFAULT_OUTPUT_TOKENS,
    Load,
    ProvisionedQuota,
    StandardQuota,
)
from smalt.emulator.rates import THROUGHPUT, requests_per_minute
from smalt.emulator.refusals import Canned, named
from smalt.emulator.throttling import Asked, limit_headers, over_limit
from smalt.types import Facts, Failure, FailureKind, QuotaHints, Usage
from smalt.wire.classify import classify
from smalt.wire.hints import read_hints

MODEL: Final = "gpt-4o"
NETWORK_S: Final = (0.005, 0.030)  # one way
REFUSING_S: Final = 0.002  # what Azure itself takes to say no
CONNECT_TIMEOUT_S: Final = 5.0
CLOCK: Final = Clock()
SERVER_ERROR: Final = named("server_error").canned


@dataclass(frozen=True, slots=True)
class Request:
    """`facts`: what smalt reads of it. `charge`: what Azure estimates when it arrives. `used`: what it took
    in the end. `head_s`, `total_s`: until the first byte of the answer, and until its last."""

    facts: Facts
    charge: Load
    used: Load
    head_s: float
    total_s: float

    @property
    def charged_tokens(self) -> int:
        return self.charge.input_tokens + self.charge.output_tokens


def arrival_charge(prompt_chars: int, max_tokens: int | None) -> Load:
    most = DEFAULT_OUTPUT_TOKENS if max_tokens is None else max_tokens
    return Load(math.ceil(prompt_chars / CHARS_PER_TOKEN), most)


@dataclass(frozen=True, slots=True)
class Reply:
    """As it reaches smalt: a failure, or the head of an answer whose end comes `rest_s` later."""

    failure: Failure | None
    hints: QuotaHints | None = None
    usage: Usage | None = None
    rest_s: float = 0.0


Replied = Callable[[Reply], None]


class Deployment:
    """`slowness`: service times are multiplied by it. `lost`: how requests fail instead of being served.

    `sent_s`: when requests were sent here. `refused`: how many of them the quota refused. `admitted`: the
    others that arrived, and when.
    """

    def __init__(
        self, world: World, spec: UpstreamSpec, quota: StandardQuota | ProvisionedQuota, slowness: float = 1.0
    ) -> None:
        self.spec = spec
        self.slowness = slowness
        self.sent_s: list[float] = []
        self.refused = 0
        self.admitted: list[tuple[float, Request]] = []
        self._quota = quota
        self.world = world
        self.lost: FailureKind | None = None
        self._losses = 0
        self._asked = Asked(spec.deployment, MODEL, "East US", "ChatCompletions_Create", "2024-10-21")

    def lose(self, how: FailureKind) -> None:
        """From now on requests fail in this way, and those under way are cut off."""
        self.lost = how
        self._losses += 1

    def recover(self) -> None:
        self.lost = None

    def send(self, request: Request, replied: Replied) -> None:
        """A request leaves for here; `replied` is called once."""
        world = self.world
        self.sent_s.append(world.now)
        way_s = self._way_s()
        match self.lost:
            case None:
                world.after(way_s, self._arrived, request, replied)
            case FailureKind.TIMEOUT:  # packets vanish: no connection comes about
                text = f"cannot connect: nothing for {CONNECT_TIMEOUT_S:g} s"
                world.after(CONNECT_TIMEOUT_S, replied, _failed(FailureKind.CONNECT, text))
            case FailureKind.SERVER:
                world.after(2 * way_s, replied, _refused(SERVER_ERROR))
            case kind:
                world.after(2 * way_s, replied, _failed(kind, "connection lost"))

    def _arrived(self, request: Request, replied: Replied) -> None:
        world = self.world
        verdict = self._quota.admit(request.charge, world.now)
        if verdict.refused:
            self.refused += 1
            answer = over_limit(verdict, self._asked, CLOCK).canned
            world.after(REFUSING_S + self._way_s(), replied, _refused(answer))
            return
        self.admitted.append((world.now, request))
        hints = read_hints(_headers(limit_headers(verdict, CLOCK).items()))
        used = request.used
        usage = Usage(used.input_tokens, used.output_tokens, used.cached_tokens)
        total_s = self.slowness * request.total_s
        head_s = self.slowness * request.head_s if request.facts.stream else total_s
        world.after(total_s, self._settle, request)
        world.after(head_s, self._answer, Reply(None, hints, usage, total_s - head_s), replied, self._losses)

    def _settle(self, request: Request) -> None:
        self._quota.settle(request.charge, request.used, self.world.now)

    def _answer(self, reply: Reply, replied: Replied, losses: int) -> None:
        if losses != self._losses:
            reply = _failed(FailureKind.RESET, "connection lost")
        self.world.after(self._way_s(), replied, reply)

    def _way_s(self) -> float:
        return self.world.chance.uniform(*NETWORK_S)


def standard(
    world: World,
    name: str,
    tpm: int,
    *,
    told: bool = True,
    weight: int = 1,
    slowness: float = 1.0,
) -> Deployment:
    """A deployment that is paid by token, in the region its name begins with. `told`: smalt knows limits."""
    spec = UpstreamSpec(name, MODEL, name.partition("/")[0], "Standard", weight=weight)
    if told:
        spec = replace(spec, limit_tpm=tpm, limit_rpm=float(requests_per_minute(MODEL, tpm)))
    return Deployment(world, spec, StandardQuota(MODEL, tpm), slowness)


def provisioned(world: World, name: str, ptu: int) -> Deployment:
    rates = THROUGHPUT[MODEL]
    throughput = Throughput(rates.input_tpm * ptu, rates.output_weight, rates.cached_weight)
    spec = UpstreamSpec(name, MODEL, sku="ProvisionedManaged", throughput=throughput)
    return Deployment(world, spec, ProvisionedQuota(rates, ptu))


def _failed(kind: FailureKind, text: str) -> Reply:
    return Reply(Failure(kind, text))


def _refused(answer: Canned) -> Reply:
    failure = classify(answer.status, answer.headers, answer.payload)
    return Reply(failure, read_hints(_headers(answer.headers.items())))


def _headers(said: Iterable[tuple[str, str]]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode()) for name, value in said)
