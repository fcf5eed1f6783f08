"""Two keys of a resource: one is made anew under traffic, and no caller notices, through every door."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import AnyDoor, Ask, sdk_client
from tests.contract.gateways import Adapter, Stage
from tests.contract.scenarios import CHAT, EMBEDDINGS, HELLO, STREAM

from smalt import Fleet
from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = [pytest.mark.sdk, pytest.mark.security]

REQUESTS = 200
AT_ONCE = 8
CHAT_BODY: dict[str, Any] = {"model": "gpt-4o", **HELLO}


def revoke(azure: Handle, number: int) -> dict[str, str]:
    """The keys of the region after one of them was made anew."""
    return azure.tell("resources/east/keys", keyName=f"Key{number}")


@pytest.fixture
def keys(azure: Handle) -> list[str]:
    told = revoke(azure, 2)
    return [told["key1"], told["key2"]]


@pytest.fixture
def settings(azure: Handle, keys: list[str]) -> Settings:
    """One region, with both of its keys."""
    told = world.written(azure)
    del told["resources"]["sweden"]
    told["resources"]["east"]["api_keys"] = keys
    return Settings.model_validate(told)


def shown(azure: Handle) -> list[tuple[str, int]]:
    """Which key came, and what became of it, in order."""
    return [
        (next(value for name, value in entry["headers"] if name.lower() == "api-key"), entry["status"])
        for entry in azure.log("east")
    ]


@pytest.mark.parametrize("ask", [CHAT, STREAM, EMBEDDINGS], ids=lambda ask: ask.kind)
def test_a_refused_key_gives_way_to_the_other(
    door: AnyDoor, azure: Handle, settings: Settings, keys: list[str], ask: Ask
) -> None:
    """The very same request at once, as an attempt of its own; later ones carry the good key only."""
    first, second = keys
    with door.open(settings) as opened:
        assert opened(ask).error is None
        revoke(azure, 1)
        turned = opened(ask)
        assert turned.error is None
        assert turned.headers["x-smalt-attempts"] == "2"
        assert opened(ask).headers["x-smalt-attempts"] == "1"
    assert shown(azure) == [(first, 200), (first, 401), (second, 200), (second, 200)]
    refused, repeated = azure.log("east")[1:3]
    assert refused["body"] == repeated["body"]


def test_when_both_are_refused_the_error_says_so(
    door: AnyDoor, azure: Handle, settings: Settings, keys: list[str]
) -> None:
    """One attempt with each, and no key in the text."""
    revoke(azure, 1)
    revoke(azure, 2)
    with door.open(settings) as opened:
        error = opened(CHAT).error
    assert isinstance(error, openai.APIStatusError)
    assert error.code == ("unauthorized" if door.library else "upstream_auth_failed")
    assert shown(azure) == [(key, 401) for key in keys]
    assert not any(key in f"{error!r} {error.body}" for key in keys)


Load = Callable[[Callable[[int], None]], None]  # sends all requests; is told each one that was answered


@pytest.fixture(params=["library-threads", "library-tasks", "gateway-hot", "gateway-asgi"])
def load(request: pytest.FixtureRequest, settings: Settings, stages: dict[Adapter, Stage]) -> Iterator[Load]:
    """Eight callers at a time."""
    door, _, how = request.param.partition("-")
    if how == "tasks":
        yield lambda answered: asyncio.run(_by_tasks(settings, answered))
        return
    if door == "library":
        client: openai.OpenAI = Fleet(settings).openai()
    else:
        stages[how].play(settings)
        client = sdk_client(stages[how].url, "openai")
    with client:
        yield lambda answered: _by_threads(client, answered)


def _by_threads(client: openai.OpenAI, answered: Callable[[int], None]) -> None:
    def ask(number: int) -> None:
        client.chat.completions.create(**CHAT_BODY)
        answered(number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, range(REQUESTS)))


async def _by_tasks(settings: Settings, answered: Callable[[int], None]) -> None:
    numbers = iter(range(REQUESTS))
    async with Fleet(settings).async_openai() as client, asyncio.TaskGroup() as group:

        async def caller() -> None:
            for number in numbers:
                await client.chat.completions.create(**CHAT_BODY)
                await asyncio.to_thread(answered, number)

        for _ in range(AT_ONCE):
            group.create_task(caller())


def test_a_key_is_rotated_under_traffic(azure: Handle, load: Load, keys: list[str]) -> None:
    """Nobody sees an error, and Azure refuses no more requests than were under way."""
    lock, done = threading.Lock(), []

    def answered(number: int) -> None:
        with lock:
            done.append(number)
            half = len(done) == REQUESTS // 2
        if half:
            revoke(azure, 1)

    load(answered)
    assert len(done) == REQUESTS
    told = shown(azure)
    refused = [key for key, status in told if status == 401]
    assert set(refused) == {keys[0]}
    assert 1 <= len(refused) <= AT_ONCE
    assert len(told) == REQUESTS + len(refused)
    assert azure.bill()["totals"]["requests"] == REQUESTS
