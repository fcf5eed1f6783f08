"""Asks resources that have been silent for a while whether they are there, by a request that bills nothing.

Calls say more than any probe, so a resource that answers them is left alone. One that cannot be reached,
fails, or refuses the credential is avoided while others serve, until a probe or a call is answered.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.dispatcher import Dispatcher
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Target, probe_head
from smalt.types import FailureKind
from smalt.wire.classify import classify, error_object

logger = logging.getLogger("smalt.probes")

LONGEST_ANSWER_S: Final = 10.0
LARGEST_ANSWER: Final = 1024 * 1024  # bytes; of a longer list the rest is not read
SHORTEST_PAUSE: Final = 0.75  # of the interval: not all processes ask at the same time
LONGEST_PAUSE: Final = 0.95  # of the interval: what is left is for looking
LOOKS: Final = 20  # in an interval
LONGEST_LOOK_S: Final = 1.0
ATTEMPTS: Final = 3  # with a connection that was closed meanwhile, a key that is refused, and the other key
_AGAIN: Final = {FailureKind.STALE, FailureKind.KEY}


class Probed(Struct, frozen=True):
    """What is probed at the moment. `targets`: resources by name. `every_s`: 0 for not at all."""

    dispatcher: Dispatcher
    targets: Mapping[str, Target]
    connect_s: float
    every_s: float

    @property
    def answer_s(self) -> float:
        """How long an answer may take."""
        return min(self.every_s, LONGEST_ANSWER_S)

    def heard_s(self) -> dict[str, float]:
        """When each resource last answered a call."""
        engine = self.dispatcher.engine
        return self.dispatcher.do(lambda _now: {name: engine.heard_s(name) for name in self.targets})

    def tell(self, resource: str, trouble: str | None) -> None:
        """A flag lasts until the next probe has ended; should there be none any more, it ends by itself."""
        rest_s = self.every_s + self.connect_s + self.answer_s
        engine = self.dispatcher.engine
        self.dispatcher.do(lambda now: engine.probed(resource, trouble, now, rest_s=rest_s))


class Silence:
    """Since when nothing was heard of each resource, and when that is too long."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}

    def too_long(
        self, heard_s: Mapping[str, float], every_s: float, now: float, unit: Callable[[], float]
    ) -> Iterable[str]:
        """The resources to probe now: those not heard of since an interval, less a random part of it.
        `heard_s`: when each answered a call. `unit`: gives random numbers in [0, 1)."""
        self._due_s = {name: at_s for name, at_s in self._due_s.items() if name in heard_s}
        for name, answered_s in heard_s.items():
            pause_s = every_s * (SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE) * unit())
            if now < self._due_s.setdefault(name, now + pause_s):
                continue
            if now < answered_s + pause_s:
                self._due_s[name] = answered_s + pause_s
            else:
                self._due_s[name] = now + pause_s
                yield name


@asynccontextmanager
async def probing(connections: Connections, look: Callable[[], Probed]) -> AsyncIterator[None]:
    """Probe meanwhile. `look`: says what; asked again and again, since settings may change."""
    task = asyncio.ensure_future(_probe(connections, look))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _probe(connections: Connections, look: Callable[[], Probed]) -> None:
    silence = Silence()
    under_way: set[str] = set()

    async def ask(name: str, probed: Probed) -> None:
        under_way.add(name)
        try:
            probed.tell(name, await trouble(probed, probed.targets[name], connections))
        except Exception:
            logger.exception("%s: the probe failed inside", name)
        finally:
            under_way.discard(name)

    async with asyncio.TaskGroup() as group:
        while True:
            probed = look()
            if probed.every_s:
                unit = random.random  # noqa: TID251  this is the edge that supplies the jitter
                for name in silence.too_long(probed.heard_s(), probed.every_s, time.monotonic(), unit):
                    if name not in under_way:
                        group.create_task(ask(name, probed))
            await asyncio.sleep(min(probed.every_s / LOOKS or LONGEST_LOOK_S, LONGEST_LOOK_S))


async def trouble(probed: Probed, target: Target, connections: Connections) -> str | None:
    """Why calls to the resource would most likely fail; None if it is there."""
    said = None
    for _ in range(ATTEMPTS):
        try:
            return await _ask(probed, target, connections)
        except SendFailed as failed:
            said = failed.failure.text
            if failed.failure.kind not in _AGAIN:
                break
    return said


async def _ask(probed: Probed, target: Target, connections: Connections) -> str | None:
    """Raises SendFailed."""
    head = target.heads.at_once(time.monotonic()) or await target.heads.obtain_async(probed.answer_s)
    response = await connections.send(
        target.origin,
        probe_head(target, head),
        b"",
        connect_s=probed.connect_s,
        limit_s=probed.connect_s + probed.answer_s,
    )
    found = await _refusal(response, azure=target.api != "openai")
    if found is FailureKind.CREDENTIAL and head.refused():
        raise SendFailed(FailureKind.KEY, _said(response, target))
    return None if found is None else _said(response, target)


def _said(response: Response, target: Target) -> str:
    """Without the other side's words: some repeat what they were shown."""
    return f"GET {target.models_path.partition('?')[0]} on {target.origin} was answered by {response.status}"


async def _refusal(response: Response, *, azure: bool) -> FailureKind | None:
    """What an answer says against calls; None if nothing. A path that is not known, a quota that is spent,
    and a principal that may not list models do not: whoever says so is there."""
    try:
        body = await response.whole(LARGEST_ANSWER)
    finally:
        response.close()
    status = response.status
    if status >= 500 and status != 501:
        return FailureKind.SERVER
    if status < 400 or body is None:
        return None
    failure = classify(status, {}, body)
    refusals = {FailureKind.CREDENTIAL, FailureKind.ACCESS} if azure else {FailureKind.CREDENTIAL}
    told = f"{error_object(body).get('code')} {failure.text}".lower()
    return failure.kind if failure.kind in refusals and "permission" not in told else None
