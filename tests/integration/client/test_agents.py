"""Agents of a fleet, run with tools against the emulator."""

import asyncio
import gc
import json
import sys
import weakref
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.integration.client.scripted import Scripted, scripted

import smalt
from smalt import Agent, AgentResult, Fleet
from smalt.config import Settings
from smalt.emulator.testing import Handle
from smalt.errors import (
    BudgetExceeded,
    ConfigurationError,
    ModelNotAvailableError,
    RoundsExceeded,
    SmaltError,
)
from smalt.types import Usage

pytestmark = pytest.mark.sdk

NARRATOR = {
    "model": "gpt-4o",
    "instructions": "You narrate {{ place | default('a cellar') }}.",
    "max_tokens": 60,
}
SYSTEM = {"role": "system", "content": "You narrate a cellar."}


def look(place: str) -> dict[str, str]:
    """Say what can be seen at a place."""
    return {"place": place, "sees": "two rats"}


async def listen(place: str) -> str:
    """Say what can be heard at a place."""
    await asyncio.sleep(0)
    return f"squeaks at {place}"


def fleet_with(azure: Handle, narrator: dict[str, Any] | None = None, **sections: Any) -> Fleet:
    return Fleet(world.settings(azure, agents={"narrator": {**NARRATOR, **(narrator or {})}}, **sections))


@pytest.fixture
def narrator(azure: Handle) -> Iterator[Agent]:
    with fleet_with(azure).agent("narrator") as agent:
        yield agent


def bodies(azure: Handle) -> list[Any]:
    return [entry["body"] for entry in azure.log()]


def billed(azure: Handle) -> tuple[int, int, int]:
    totals = azure.bill()["totals"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


def told(result: AgentResult) -> tuple[int, int, int]:
    return len(result.receipts), result.usage.input_tokens, result.usage.output_tokens


def roles(result: AgentResult) -> list[str]:
    return [message["role"] for message in result.messages]


def test_an_answer(azure: Handle, narrator: Agent) -> None:
    """With what it used and cost, as Azure bills it."""
    result = narrator.run("Where am I?")
    assert result.messages == (
        {"role": "user", "content": "Where am I?"},
        {"role": "assistant", "content": result.text},
    )
    assert result.text
    assert told(result) == billed(azure)
    (receipt,) = result.receipts
    assert result.cost_usd == receipt.cost_usd
    assert (receipt.agent, receipt.model) == ("narrator", "agent/narrator")
    assert narrator.fleet.usage("agent")["narrator"].calls == 1
    (body,) = bodies(azure)
    assert body["messages"] == [SYSTEM, result.messages[0]]
    assert "tools" not in body


def test_tools_are_called_until_there_is_an_answer(azure: Handle, narrator: Agent) -> None:
    """What they say goes back to the model; every request counts."""
    result = narrator.run("Look around.", tools=[look])
    assert roles(result) == ["user", "assistant", "tool", "assistant"]
    (asked,) = result.messages[1]["tool_calls"]
    place = json.loads(asked["function"]["arguments"])["place"]
    assert result.messages[2] == {
        "role": "tool",
        "tool_call_id": asked["id"],
        "content": json.dumps({"place": place, "sees": "two rats"}, separators=(",", ":")),
    }
    assert told(result) == billed(azure)
    first, second = bodies(azure)
    assert first["tools"] == second["tools"]
    assert second["messages"] == [SYSTEM, *result.messages[:-1]]


def test_memory_is_in_the_callers_hands(azure: Handle, narrator: Agent) -> None:
    """The messages of one run are the history of the next; the agent itself keeps nothing."""
    first = narrator.run("Look around.", tools=[look])
    second = narrator.run("And now?", history=first.messages)
    assert second.messages[: len(first.messages)] == first.messages
    narrator.run("Who are you?")
    assert [len(body["messages"]) for body in bodies(azure)] == [2, 4, 6, 2]
    assert [body["messages"].count(SYSTEM) for body in bodies(azure)] == [1, 1, 1, 1]
    assert told(second)[0] == 1


def test_variables_fill_the_template_of_the_instructions(azure: Handle, narrator: Agent) -> None:
    """In every request of the run, and in no other."""
    narrator.run("Look around.", tools=[look], variables={"place": "a tower"})
    narrator.run("Hello?")
    assert [body["messages"][0]["content"] for body in bodies(azure)] == [
        "You narrate a tower.",
        "You narrate a tower.",
        "You narrate a cellar.",
    ]


def test_a_kept_answer_belongs_to_its_instructions(azure: Handle) -> None:
    """Under others the same question is asked anew."""
    with fleet_with(azure, cache={"size": 10}).agent("narrator") as agent:
        results = [agent.run("Hello?", variables={"place": place}) for place in ("hell", "heaven", "hell")]
    assert [result.receipts[0].cached for result in results] == [False, False, True]
    assert results[2].cost_usd == 0
    assert billed(azure)[0] == 2


def test_a_missing_variable_is_one_clear_error(azure: Handle) -> None:
    """Nothing is sent."""
    with (
        fleet_with(azure, {"instructions": "You are {{ name }}."}).agent("narrator") as agent,
        pytest.raises(openai.BadRequestError, match="need variables that the request does not give: name"),
    ):
        agent.run("Hello?")
    assert bodies(azure) == []


def test_a_stream_tells_the_words_as_they_come(azure: Handle, narrator: Agent) -> None:
    """And has the same result at its end, tools and all."""
    with narrator.stream("Look around.", tools=[look]) as stream:
        pieces = list(stream)
    assert len(pieces) > 3
    result = stream.result
    assert result.text == "".join(pieces)
    assert roles(result) == ["user", "assistant", "tool", "assistant"]
    assert told(result) == billed(azure)
    assert result.finish_reason in {"stop", "length"}
    assert [body["messages"][0] for body in bodies(azure)] == [SYSTEM, SYSTEM]


def test_who_leaves_a_stream_has_no_result(narrator: Agent) -> None:
    """Its call is over all the same: it has its receipt."""
    with smalt.receipts() as receipts, narrator.stream("Tell me more.") as stream:
        next(stream)
    with pytest.raises(SmaltError, match="read its stream to the end"):
        _ = stream.result
    assert [receipt.agent for receipt in receipts] == ["narrator"]


def test_the_async_ways_are_the_same(azure: Handle) -> None:
    """With async tools beside others, from any event loop."""
    agent = fleet_with(azure).agent("narrator")

    async def ask() -> tuple[AgentResult, AgentResult]:
        async with agent:
            result = await agent.run_async("Look around.", tools=[look, listen])
            async with agent.stream_async("Listen.", tools=[listen], variables={"place": "a hall"}) as stream:
                pieces = [piece async for piece in stream]
            assert "".join(pieces) == stream.result.text
            return result, stream.result

    results = [*asyncio.run(ask()), *asyncio.run(ask())]
    assert [roles(result) for result in results] == [["user", "assistant", "tool", "assistant"]] * 4
    assert all(result.messages[2]["content"].startswith(("squeaks", "{")) for result in results)
    assert tuple(map(sum, zip(*map(told, results), strict=True))) == billed(azure)
    assert bodies(azure)[-1]["messages"][0]["content"] == "You narrate a hall."


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nobody closes the agent in its loop
def test_event_loops_that_have_ended_are_forgotten(narrator: Agent) -> None:
    """With their connections: a program may run each call in a loop of its own."""
    loops = []

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await narrator.run_async("Hello?")

    async def ask_and_close() -> None:
        async with narrator:
            await ask()

    for _ in range(3):
        asyncio.run(ask())
    asyncio.run(ask_and_close())
    gc.collect()
    assert [loop() for loop in loops[:3]] == [None] * 3


def test_async_tools_need_an_async_run(azure: Handle, narrator: Agent) -> None:
    """One clear line before anything is sent."""
    for run in (narrator.run, narrator.stream):
        with pytest.raises(
            ConfigurationError, match=r"^these tools are async: listen; use run_async or stream"
        ):
            run("Listen.", tools=[look, listen])
    assert bodies(azure) == []


def test_rounds_are_bounded(azure: Handle) -> None:
    """By the settings; the tool was called, and no further request made."""
    with (
        fleet_with(azure, {"max_rounds": 1}).agent("narrator") as agent,
        pytest.raises(RoundsExceeded, match="still calls tools after 1 requests"),
    ):
        agent.run("Look around.", tools=[look])
    assert billed(azure)[0] == 1


@pytest.mark.parametrize("budget", [{"budget_tokens": 10}, {"budget_usd": "0.000001"}])
def test_a_run_has_a_budget(azure: Handle, narrator: Agent, budget: Any) -> None:
    """Once it is spent, no further request is made; an answer that is there is given."""
    with pytest.raises(
        BudgetExceeded, match=r"this run of the agent 'narrator' has a budget of .* in 1 requests"
    ):
        narrator.run("Look around.", tools=[look], **budget)
    assert billed(azure)[0] == 1
    result = narrator.run("Hello?", **budget)
    assert result.text
    assert result.cost_usd is not None
    assert result.cost_usd > Decimal("0.000001")


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        (
            {"budget_token": 1},
            TypeError,
            "a run has no option budget_token; there are history, tools, variables",
        ),
        (
            {"budget_tokens": "5"},
            ConfigurationError,
            "budget_tokens: expected a whole number above 0, got '5'",
        ),
        ({"history": None}, ConfigurationError, "history: expected messages such as .*, got None"),
        ({"tools": None}, ConfigurationError, "tools: expected a list of functions, got None"),
    ],
)
@pytest.mark.parametrize("way", ["run", "stream", "run_async", "stream_async"])
def test_options_that_make_no_sense_are_refused(
    azure: Handle, narrator: Agent, way: str, options: Any, kind: type[Exception], says: str
) -> None:
    """In one line, and nothing is sent."""

    async def ask() -> None:
        await narrator.run_async("Hello?", **options)

    with pytest.raises(kind, match=f"^{says}"):
        asyncio.run(ask()) if way == "run_async" else getattr(narrator, way)("Hello?", **options)
    assert bodies(azure) == []


def test_tools_may_be_named_in_the_settings(azure: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are imported when the agent is made."""
    module = ModuleType("dungeon")
    module.look = look  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dungeon", module)
    with fleet_with(azure, {"tools": ["dungeon:look"]}).agent("narrator") as agent:
        assert roles(agent.run("Look around.")) == ["user", "assistant", "tool", "assistant"]
        with pytest.raises(ConfigurationError, match="two tools are named 'look'"):
            agent.run("Look around.", tools=[look])
    with pytest.raises(ConfigurationError, match="the tool dungeon:listen cannot be imported"):
        fleet_with(azure, {"tools": ["dungeon:listen"]}).agent("narrator")


def test_an_unknown_agent_is_one_clear_line(azure: Handle) -> None:
    """With those there are."""
    with pytest.raises(ModelNotAvailableError, match=r"^no agent is named 'narator'; there are: narrator$"):
        fleet_with(azure).agent("narator")
    with pytest.raises(ModelNotAvailableError, match=r"there are: none; name it under agents in smalt\.yaml"):
        Fleet(world.settings(azure)).agent("narrator")


def test_clients_of_the_sdk_ask_for_the_agent_as_a_model(azure: Handle, narrator: Agent) -> None:
    """Sync and async."""
    question: Any = [{"role": "user", "content": "Where am I?"}]
    with narrator.openai() as client:
        client.chat.completions.create(model=narrator.model, messages=question)

    async def ask() -> None:
        async with narrator.async_openai() as client:
            await client.chat.completions.create(model=narrator.model, messages=question)

    asyncio.run(ask())
    assert [body["messages"] for body in bodies(azure)] == [[SYSTEM, *question]] * 2


def test_a_failure_is_the_sdks_own_exception(azure: Handle, narrator: Agent) -> None:
    """After failover, as with any client."""
    for region in world.REGIONS:
        azure.set(region, "error", error="server_error")
    with pytest.raises(openai.InternalServerError) as failed:
        narrator.run("Hello?")
    assert smalt.explain(failed.value) is not None


def test_a_run_survives_the_loss_of_a_region(azure: Handle, narrator: Agent) -> None:
    """In its midst."""

    def lose(place: str) -> str:
        azure.set("east", "down")
        return f"{place} is on fire"

    results = [narrator.run("Go on.", tools=[lose]) for _ in range(3)]
    assert [len(result.receipts) for result in results] == [2, 2, 2]
    assert {receipt.upstream for receipt in results[2].receipts} == {"sweden/gpt-4o-prod"}


CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": '{"place":"here"}'}}
    for n, name in enumerate(("meet", "meet", "sniff"))
]


@pytest.fixture
def server() -> Iterator[Scripted]:
    """It calls three tools at once, one of which does not exist, then is content."""
    calling = {"role": "assistant", "content": "Let me see.", "tool_calls": CALLS}
    with scripted([calling, {"role": "assistant", "content": "Done."}]) as server:
        yield server


@pytest.mark.parametrize("way", ["run", "stream", "run_async", "stream_async"])
def test_several_tools_of_one_answer(server: Scripted, way: str) -> None:
    """Async ones at the same time; their answers go back in the order of the calls."""
    fleet = Fleet(Settings.model_validate(server.settings(agents={"narrator": {"model": "m"}})))
    asynchronous = way.endswith("async")
    both = asyncio.Barrier(2)

    async def meet_async(place: str) -> str:
        async with asyncio.timeout(5):
            await both.wait()
        return f"met {place}"

    def meet(place: str) -> str:
        return f"met {place}"

    meet_async.__name__ = "meet"

    async def ask() -> AgentResult:
        async with fleet.agent("narrator") as agent:
            if way == "run_async":
                return await agent.run_async("Go.", tools=[meet_async])
            async with agent.stream_async("Go.", tools=[meet_async]) as stream:
                assert [piece async for piece in stream] == ["Let me see.", "Done."]
            return stream.result

    def ask_sync() -> AgentResult:
        with fleet.agent("narrator") as agent:
            if way == "run":
                return agent.run("Go.", tools=[meet])
            with agent.stream("Go.", tools=[meet]) as stream:
                assert list(stream) == ["Let me see.", "Done."]
            return stream.result

    result = asyncio.run(ask()) if asynchronous else ask_sync()
    assert result.text == "Done."
    answers = ["met here", "met here", "error: there is no tool 'sniff', only meet"]
    given = [{"role": "tool", "tool_call_id": f"call_{n}", "content": text} for n, text in enumerate(answers)]
    assert server.asked[1]["messages"] == [*server.asked[0]["messages"], result.messages[1], *given]
    assert result.messages[1]["tool_calls"] == CALLS
    assert (result.usage, result.cost_usd) == (Usage(20, 6), None)
