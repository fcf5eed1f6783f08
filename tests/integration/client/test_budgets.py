"""What a fleet has spent, and what it may, told to the program and kept by the library."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import openai
import pytest
from tests.contract import world

import smalt
from smalt import Fleet
from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]


def fleet_with(azure: Handle, *budgets: dict[str, Any], **sections: Any) -> Fleet:
    return Fleet(Settings.model_validate({**world.written(azure, **sections), "budgets": budgets}))


def chat(fleet: Fleet, model: str = "gpt-4o", **asked: Any) -> Any:
    with fleet.openai() as client:
        return client.chat.completions.create(model=model, messages=HELLO, **asked)


def billed(azure: Handle) -> tuple[int, int, int]:
    totals = azure.bill()["totals"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


def test_req_0_16_usage_is_what_azure_bills(azure: Handle) -> None:
    """After calls of every kind, with failovers among them, to the token, by whatever is summed up."""
    fleet = fleet_with(azure, agents={"guide": {"model": "gpt-4o"}})
    with smalt.tag("all"), fleet.openai() as client:
        for number in range(12):
            if number % 4 == 0:
                azure.set("east", "error", error="server_error", count=1)
            chat(fleet, "agent/guide" if number % 3 else "gpt-4o-mini", max_tokens=5 + number)
            list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
            client.embeddings.create(model="text-embedding-3-small", input=["one", "two"] * (number + 1))
            client.responses.create(model="gpt-4o", input="hello")

    async def ask() -> None:
        async with fleet.async_openai() as client:
            with smalt.tag("all"):
                await client.chat.completions.create(model="gpt-4o", messages=HELLO)

    asyncio.run(ask())
    for axis in ("upstream", "model", "tag"):
        sums = fleet.usage(axis).values()
        told = [(one.calls, one.input_tokens, one.output_tokens) for one in sums]
        assert tuple(map(sum, zip(*told, strict=True))) == billed(azure)
    assert sum(sums.failed_attempts for sums in fleet.usage().values()) > 0
    agents = fleet.usage("agent")
    assert {name: sums.calls for name, sums in agents.items()} == {"guide": 8}
    assert agents["guide"] == fleet.usage("model")["agent/guide"]


def test_req_0_16_a_tag_has_its_own_budget(azure: Handle) -> None:
    """Its calls are refused; all others go on."""
    fleet = fleet_with(azure, {"tag": "search", "tokens": 60, "per": "day"})
    with smalt.tag("search"):
        chat(fleet, max_tokens=20)
        with pytest.raises(openai.RateLimitError, match="for the tag 'search'") as refused:
            chat(fleet, max_tokens=50)
    assert billed(azure)[0] == 1
    receipt = smalt.receipt(refused.value)
    assert receipt is not None
    assert (receipt.error, receipt.attempts, receipt.tags) == ("budget_exceeded", (), ("search",))
    chat(fleet, max_tokens=50)
    assert billed(azure)[0] == 2


def test_parallel_calls_stay_within_the_budget(azure: Handle) -> None:
    """What is under way counts as it may become: of twenty at once some four are sent, though all would
    have fitted."""
    for region in world.REGIONS:
        azure.set(region, "up", latency_ms=500)
    fleet, together = fleet_with(azure, {"tokens": 500}), Barrier(20)

    def ask(client: Any) -> bool:
        together.wait()
        try:
            client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=90)
        except openai.RateLimitError:
            return False
        return True

    with fleet.openai() as client, ThreadPoolExecutor(20) as pool:
        answered = sum(pool.map(ask, [client] * 20))
    requests, *tokens = billed(azure)
    assert answered == requests == len(azure.log())
    assert 0 < answered < 20
    assert sum(tokens) <= 500


def test_an_answer_from_memory_costs_nothing(azure: Handle) -> None:
    """However often it is given."""
    fleet = fleet_with(azure, {"tokens": 150}, cache={"size": 10})
    for _ in range(10):
        chat(fleet, max_tokens=90)
    assert billed(azure)[0] == 1


def test_parts_of_a_request_spend_one_by_one(azure: Handle) -> None:
    """A part that does not fit any more ends the whole request."""
    fleet = fleet_with(azure, {"tokens": 15_000})
    with fleet.openai() as client, pytest.raises(openai.RateLimitError, match="the budget of 15,000"):
        client.embeddings.create(model="text-embedding-3-small", input=["some text of five"] * 6_000)
    assert sum(billed(azure)[1:]) <= 15_000


def test_a_reloaded_fleet_goes_on_counting(azure: Handle) -> None:
    """With another size for the same budget; what was spent stays spent."""
    fleet = fleet_with(azure, {"tokens": 1_000, "per": "month"})
    for _ in range(3):
        chat(fleet, max_tokens=90)
    spent = sum(billed(azure)[1:])
    fleet.reload(
        Settings.model_validate({**world.written(azure), "budgets": [{"tokens": spent, "per": "month"}]})
    )
    with pytest.raises(openai.RateLimitError, match=f"{spent} spent"):
        chat(fleet, max_tokens=1)


def test_a_profile_caps_what_a_call_holds(azure: Handle) -> None:
    """A request without a maximum holds the one that is filled in."""
    fleet = fleet_with(azure, {"tokens": 500}, models={"gpt-4o": {"defaults": {"max_tokens": 600}}})
    with pytest.raises(openai.RateLimitError, match=r"may take about 6\d\d"):
        chat(fleet)
    assert azure.log() == []


def test_req_1_17_hours_in_place_of_tokens(azure: Handle) -> None:
    """A provisioned deployment: its calls cost nothing, its hours run, and what was used of them is told."""
    told = world.written(azure)
    ptu = {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 50}
    told["resources"]["east"]["deployments"] = {"gpt-4o-prod": ptu}
    fleet = Fleet(Settings.model_validate({**told, "models": {"gpt-4o": {"route": ["east/gpt-4o-prod"]}}}))
    idle = fleet.usage()["east/gpt-4o-prod"]
    receipt = smalt.receipt(chat(fleet))
    assert receipt is not None
    assert receipt.cost_nusd == 0
    busy = fleet.usage()["east/gpt-4o-prod"]
    assert (idle.calls, busy.calls, busy.cost_nusd) == (0, 1, 0)
    assert idle.ptu_hours is not None
    assert busy.ptu_hours is not None
    assert 0 < idle.ptu_hours < busy.ptu_hours < 50
    assert idle.ptu_used == 0
    assert busy.ptu_used
