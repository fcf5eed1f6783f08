"""Streams and clients that nobody cares for any more: nothing of them stays, and nobody else suffers."""

import asyncio
import gc
import threading
import time
import warnings
from typing import Any

import openai
import pytest
from tests.contract import world

from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}


def in_flight(fleet: Fleet) -> int:
    return sum(status.in_flight for status in fleet.status())


def test_a_stream_that_is_never_read(fleet: Fleet) -> None:
    """Dropping it leaves the call."""
    with fleet.openai() as client:
        for _ in range(3):
            client.chat.completions.create(stream=True, **ASKED)
        gc.collect()
        assert in_flight(fleet) == 0
        assert sum(sums.estimated_calls for sums in fleet.usage().values()) <= 3


async def test_a_stream_that_is_never_read_in_an_event_loop(fleet: Fleet) -> None:
    """The same."""
    async with fleet.async_openai() as client:
        for _ in range(3):
            await client.chat.completions.create(stream=True, **ASKED)
        gc.collect()
        await asyncio.sleep(0.01)
        assert in_flight(fleet) == 0


def test_the_garbage_collector_may_close_a_stream_at_any_moment(fleet: Fleet) -> None:
    """Also while the same thread is in the midst of another call: nothing hangs, nothing is lost."""
    dispatcher = fleet._current().dispatcher
    with fleet.openai() as client:
        stream = client.chat.completions.create(stream=True, **ASKED)
        next(iter(stream))
        cycle: list[Any] = [stream]
        cycle.append(cycle)
        del stream, cycle

        def within_the_lock(_now: float) -> None:
            gc.collect()

        ended = threading.Thread(target=dispatcher.do, args=(within_the_lock,), daemon=True)
        ended.start()
        ended.join(5)
        assert not ended.is_alive()
        assert in_flight(fleet) == 0


def test_a_closed_client_harms_no_upstream(azure: Handle, fleet: Fleet) -> None:
    """Its call under way ends with an error; the others of the fleet go on at once."""
    for name in world.REGIONS:
        azure.set(name, latency_ms=1_000)
    caught: list[Exception] = []
    closing = fleet.openai()

    def ask() -> None:
        try:
            closing.chat.completions.create(**ASKED)
        except openai.APIConnectionError as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    closing.close()
    asking.join(5)
    assert len(caught) == 1
    assert {status.state for status in fleet.status()} == {"available"}
    assert in_flight(fleet) == 0


def test_a_client_may_serve_one_event_loop_after_the_other(fleet: Fleet) -> None:
    """And be closed in yet another."""
    client = fleet.async_openai()

    async def ask() -> None:
        await client.chat.completions.create(**ASKED)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the loops end with connections open
        for _ in range(3):
            asyncio.run(ask())
        asyncio.run(client.close())
        gc.collect()
