"""Callers that run in the background, so that they can wait for a free upstream while a test looks on."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import openai
import pytest
from tests.contract.gateways import KEY, Stage, eventually

from smalt import Fleet
from smalt.core.call import Step
from smalt.dispatch.dispatcher import Dispatcher, OpenCall


class Callers(Protocol):
    """Whoever asks. `begin` asks and does not wait; cancelling what it returns means to leave."""

    def begin(self, model: str, max_tokens: int) -> "Future[Any]": ...


class Threads:
    """Callers of a fleet, each in a thread of its own. They cannot leave."""

    def __init__(self, fleet: Fleet, pool: ThreadPoolExecutor) -> None:
        self._client = fleet.openai()
        self._pool = pool

    def begin(self, model: str, max_tokens: int) -> "Future[Any]":
        return self._pool.submit(
            self._client.chat.completions.create, model=model, messages=HELLO, max_tokens=max_tokens
        )

    def close(self) -> None:
        self._client.close()


class Tasks:
    """Callers in one event loop: of a fleet, or of a gateway."""

    def __init__(self, client: openai.AsyncOpenAI, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def begin(self, model: str, max_tokens: int) -> "Future[Any]":
        asked = self._client.chat.completions.create(model=model, messages=HELLO, max_tokens=max_tokens)
        return asyncio.run_coroutine_threadsafe(asked, self._loop)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()


HELLO: Any = [{"role": "user", "content": "Say hello to whoever waits."}]


@contextmanager
def threads(fleet: Fleet) -> Iterator[Threads]:
    with ThreadPoolExecutor(50) as pool, closing(Threads(fleet, pool)) as callers:
        yield callers


@contextmanager
def tasks(client: openai.AsyncOpenAI) -> Iterator[Tasks]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with closing(Tasks(client, loop)) as callers:
            yield callers
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def at_gateway(stage: Stage, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{stage.url}/v1", api_key=key, max_retries=0, timeout=20)


@dataclass(slots=True)
class Watched:
    """Every call of every dispatcher, in the order they came. `asked`: how often each was driven on."""

    calls: list[OpenCall] = field(default_factory=list)
    asked: Counter[int] = field(default_factory=Counter)

    def begin(self, callers: Callers, model: str, max_tokens: int) -> "Future[Any]":
        """Begin a call, and come back when it is sent or stands in the line."""
        number = len(self.calls)
        begun = callers.begin(model, max_tokens)
        eventually(lambda: len(self.calls) > number and self.asked[number] > 0)
        return begun

    def decided_s(self, number: int) -> float:
        """When a call was sent."""
        return self.calls[number].explain()[-1].at_s


def watch(monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched()
    really_open, really_next = Dispatcher.open, OpenCall.next

    def opening(dispatcher: Dispatcher, *args: Any, **options: Any) -> OpenCall:
        call = really_open(dispatcher, *args, **options)
        watched.calls.append(call)
        return call

    def driving(call: OpenCall) -> Step:
        step = really_next(call)
        watched.asked[watched.calls.index(call)] += 1
        return step

    monkeypatch.setattr(Dispatcher, "open", opening)
    monkeypatch.setattr(OpenCall, "next", driving)
    return watched
