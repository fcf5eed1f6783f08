"""The exact cache through the official SDK, sync and async."""

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.contract import world

import smalt
from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
CHAT = {"model": "gpt-4o", "messages": HELLO, "temperature": 0}

Ask = Callable[..., Any]


def asker(fleet: Fleet, door: str) -> Ask:
    """Ask a part of a new client; gives the SDK's raw response."""

    async def ask_async(part: str, asked: dict[str, Any]) -> Any:
        async with fleet.async_openai() as client:
            return await operation(client, part).create(**asked)

    def ask(part: str, **asked: Any) -> Any:
        if door == "async":
            return asyncio.run(ask_async(part, asked))
        with fleet.openai() as client:
            return operation(client, part).create(**asked)

    return ask


def operation(client: Any, part: str) -> Any:
    for name in part.split("."):
        client = getattr(client, name)
    return client.with_raw_response


def fleet_with(azure: Handle, **cache: Any) -> Fleet:
    return Fleet(world.settings(azure, cache=cache))


@pytest.fixture
def caching(azure: Handle) -> Fleet:
    return fleet_with(azure, size=100)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, caching: Fleet) -> Ask:
    return asker(caching, request.param)


def hit(answer: Any) -> bool:
    return bool(answer.headers.get("x-smalt-cache") == "hit")


def test_req_0_17_exact_cache(ask: Ask, caching: Fleet, azure: Handle) -> None:
    """The same request twice is one upstream call; the second answer is marked as a hit and costs nothing."""
    first, second = ask("chat.completions", **CHAT), ask("chat.completions", **CHAT)
    assert len(azure.log()) == 1
    assert (hit(first), hit(second)) == (False, True)
    assert second.content == first.content
    assert (second.headers["x-smalt-cost-usd"], second.headers["x-smalt-attempts"]) == ("0", "0")
    paid, free = smalt.receipt(first), smalt.receipt(second)
    assert paid is not None
    assert free is not None
    assert (paid.cached, free.cached) == (False, True)
    assert paid.cost_nusd
    assert (free.cost_nusd, free.usage, free.attempts, free.upstream) == (0, paid.usage, (), None)
    assert paid.request_id != free.request_id
    sums = caching.usage("model")["gpt-4o"]
    assert (sums.calls, sums.cached_calls, sums.cost_nusd) == (1, 1, paid.cost_nusd)
    bill = azure.bill()["totals"]
    assert (sums.input_tokens, sums.output_tokens) == (bill["input_tokens"], bill["output_tokens"])


def test_a_hit_belongs_to_whom_it_is_given(ask: Ask, caching: Fleet) -> None:
    """Its receipt has the tags and the session of the second request."""
    ask("chat.completions", **CHAT)
    with smalt.receipts() as receipts, smalt.tag("nightly"), smalt.session("job-1"):
        ask("chat.completions", **CHAT)
    assert [(record.cached, record.tags, record.session) for record in receipts] == [
        (True, ("nightly",), "job-1")
    ]
    assert caching.usage("tag")["nightly"].cached_calls == 1


@pytest.mark.parametrize("change", [{"temperature": 1}, {"model": "gpt-4o-mini"}, {"user": "another"}])
def test_another_request_is_sent(ask: Ask, azure: Handle, change: dict[str, Any]) -> None:
    """Whatever differs, the answer may too."""
    ask("chat.completions", **CHAT)
    assert not hit(ask("chat.completions", **CHAT | change))
    assert len(azure.log()) == 2


def test_embeddings(ask: Ask, azure: Handle) -> None:
    """Those that were sent in parts, too; progress is told as of any request."""
    few = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
    many = few | {"input": [str(number) for number in range(2_050)]}
    told: list[tuple[int, int]] = []
    for asked in (few, many):
        first = ask("embeddings", **asked)
        with smalt.progress(lambda done, total: told.append((done, total))):
            second = ask("embeddings", **asked)
        assert (hit(first), hit(second)) == (False, True)
        assert second.content == first.content
    assert told == [(2, 2), (2_050, 2_050)]
    assert len(azure.log()) == 3


def test_streams_are_not_kept(ask: Ask, azure: Handle) -> None:
    """Each is sent."""
    for _ in range(2):
        answer = ask("chat.completions", **CHAT, stream=True)
        assert not hit(answer)
    assert len(azure.log()) == 2


@pytest.mark.parametrize(("store", "kept"), [(False, True), (True, False)])
def test_stored_responses_are_not_kept(ask: Ask, azure: Handle, store: bool, kept: bool) -> None:
    """A program that wants another one stored gets another one."""
    asked = {"model": "gpt-4o", "input": "hello", "store": store}
    first, second = ask("responses", **asked), ask("responses", **asked)
    assert (hit(first), hit(second)) == (False, kept)


def test_errors_are_not_kept(ask: Ask, azure: Handle) -> None:
    """The next request may fare better."""
    for name in world.REGIONS:
        azure.set(name, "error", error="content_filter_prompt", count=1)
    with pytest.raises(openai.BadRequestError):
        ask("chat.completions", **CHAT)
    azure.reset()
    assert not hit(ask("chat.completions", **CHAT))


def test_clients_of_a_fleet_share_it(caching: Fleet, azure: Handle) -> None:
    """Sync and async, on any surface with the same body; other fleets do not."""
    asker(caching, "sync")("chat.completions", **CHAT)
    assert hit(asker(caching, "async")("chat.completions", **CHAT))
    assert not hit(asker(fleet_with(azure, size=100), "sync")("chat.completions", **CHAT))


@pytest.mark.parametrize("cache", [{}, {"size": 0, "ttl_s": 60}])
def test_nothing_is_kept_unless_asked_for(azure: Handle, cache: dict[str, Any]) -> None:
    """Without a size every request is sent."""
    ask = asker(fleet_with(azure, **cache), "sync")
    for _ in range(2):
        assert not hit(ask("chat.completions", **CHAT))
    assert len(azure.log()) == 2


def test_a_reloaded_fleet_begins_anew(caching: Fleet, azure: Handle) -> None:
    """The model may be served by another deployment now."""
    ask = asker(caching, "sync")
    ask("chat.completions", **CHAT)
    caching.reload(world.settings(azure, cache={"size": 100}))
    assert not hit(ask("chat.completions", **CHAT))
    assert hit(ask("chat.completions", **CHAT))
