"""Who repeats: the fleet alone, as often as its receipt says, and elsewhere at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.world import tried

import smalt
from smalt import Fleet
from smalt.client import transports
from smalt.emulator.testing import Handle
from smalt.types import CallRecord

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
BOTH = ("east", "sweden")
ROUNDS = 7
FAILOVER_S = 0.05

# what both regions answer, and who is asked; three attempts are allowed
REFUSALS = (
    ("content_filter_prompt", ["east"]),
    ("string_above_max_length", ["east"]),
    ("invalid_api_key", ["east", "sweden"]),
    ("deployment_not_found", ["east", "sweden"]),
    ("rate_limit_tokens_classic", ["east", "sweden"]),
    ("server_error", ["east", "sweden", "east"]),
    ("no_healthy_upstream", ["east", "sweden"]),
)
Ask = Callable[[Fleet], CallRecord]


def failed(error: openai.APIStatusError) -> CallRecord:
    """The receipt of a call that ended with an error."""
    assert error.response.headers["x-should-retry"] == "false"
    told = smalt.receipt(error)
    assert told is not None
    assert told.error is not None
    return told


def through_ours(fleet: Fleet) -> CallRecord:
    with fleet.openai(max_retries=4) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    return failed(raised.value)


def through_ours_async(fleet: Fleet) -> CallRecord:
    async def ask() -> CallRecord:
        async with fleet.async_openai(max_retries=4) as client:
            with pytest.raises(openai.APIStatusError) as raised:
                await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        return failed(raised.value)

    return asyncio.run(ask())


@contextmanager
def own_client(fleet: Fleet) -> Iterator[openai.OpenAI]:
    """The official client as an application made it, with retries on; only its transport is the fleet's."""
    http = transports.transport_classes(transports.library_of_the_sdk()).http
    with openai.OpenAI(
        api_key="mine",
        base_url="https://anywhere.invalid/v1",
        max_retries=4,
        http_client=http.Client(transport=fleet.transport()),
    ) as client:
        yield client


def through_their_own(fleet: Fleet) -> CallRecord:
    with own_client(fleet) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    return failed(raised.value)


def through_their_own_async(fleet: Fleet) -> CallRecord:
    http = transports.transport_classes(transports.library_of_the_sdk()).http

    async def ask() -> CallRecord:
        async with openai.AsyncOpenAI(
            api_key="mine",
            base_url="https://anywhere.invalid/v1",
            max_retries=4,
            http_client=http.AsyncClient(transport=fleet.async_transport()),
        ) as client:
            with pytest.raises(openai.APIStatusError) as raised:
                await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        return failed(raised.value)

    return asyncio.run(ask())


CLIENTS = (through_ours, through_ours_async, through_their_own, through_their_own_async)


def fleet_of(azure: Handle) -> Fleet:
    return Fleet(world.settings(azure, retry={"max_attempts": 3}, timeouts={"total_s": 2}))


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
@pytest.mark.parametrize(("error", "asked"), REFUSALS)
def test_a_failing_request_costs_our_attempts_and_no_more(
    azure: Handle, error: str, asked: Sequence[str], ask: Ask
) -> None:
    """The log of the upstreams shows exactly the attempts of the receipt: the SDK's retries do not multiply
    them, not even those of a client that smalt did not make."""
    for name in BOTH:
        azure.set(name, "error", error=error)
    told = ask(fleet_of(azure))
    assert tried(azure) == asked
    assert [attempt.upstream.partition("/")[0] for attempt in told.attempts] == asked


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
def test_a_request_that_nobody_hears_is_not_repeated_by_the_sdk(azure: Handle, ask: Ask) -> None:
    """Of a failed connection, too, an SDK only hears the end."""
    for name in BOTH:
        azure.set(name, "down")
    told = ask(fleet_of(azure))
    assert tried(azure) == []
    assert 2 <= len(told.attempts) <= 3
    assert {str(attempt.fate) for attempt in told.attempts} == {"not_sent"}


def test_a_stream_that_breaks_is_not_repeated(azure: Handle) -> None:
    """Neither by us nor by a client of the application's own."""
    azure.fault("reset", at="in_body", chunks=6)
    with own_client(fleet_of(azure)) as client:
        stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError, match="the stream broke"):
            list(stream)
    assert tried(azure) == ["east"]


@pytest.mark.parametrize("error", ["rate_limit_tokens_classic", "server_error", "no_healthy_upstream"])
def test_failover_is_immediate_and_hits_the_first_once(azure: Handle, error: str) -> None:
    """The other region answers; of the call's time less than 50 ms were not spent waiting for answers."""
    own_s = []
    for _ in range(ROUNDS):
        azure.reset()
        azure.set("east", "error", error=error)
        with Fleet(world.settings(azure)).openai() as client:
            told = smalt.receipt(client.chat.completions.create(model="gpt-4o", messages=HELLO))
            for _ in range(3):
                client.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert told is not None
        assert tried(azure) == ["east", *["sweden"] * 4]
        own_s.append(told.duration_s - sum(attempt.duration_s for attempt in told.attempts))
    assert median(own_s) < FAILOVER_S
