"""Calls that wait for a free upstream: in order, fair, woken and not polled; whoever waits, whoever wakes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.contract.gateways import KEY, NARROW_KEY, Adapter, Stage, eventually
from tests.contract.waiting import HELLO, Callers, Watched, at_gateway, tasks, threads, watch

from smalt import Fleet
from smalt.config import Settings
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet as Azure
from smalt.emulator.fleet import Resource
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

AT_ONCE = 20  # requests a second that we allow ourselves; Azure refuses what goes beyond twice as many
PACED, PROVISIONED = "gpt-4o-mini", "gpt-4o"
GREEDY, MODEST = (
    1_000,
    1,
)  # max_tokens: the first fills the bucket of a provisioned deployment for half a minute


@pytest.fixture(scope="module")
def azure() -> Iterator[Handle]:
    deployments = {
        "paced": Deployment("paced", PACED, "Standard", 234),  # 39 requests a second
        "ptu": Deployment("ptu", PROVISIONED, "ProvisionedManaged", 1),
    }
    east = Resource("east", 0, "eastus", ("east-key-1",), deployments, latency_ms=0, token_ms=0)
    with running(Azure(0, {"east": east})) as handle:
        yield handle


@pytest.fixture
def settings(azure: Handle) -> Settings:
    azure.reset()
    deployments = {
        "paced": {"model": PACED, "sku": "Standard", "quota_rpm": 60 * AT_ONCE},
        "ptu": {"model": PROVISIONED, "sku": "ProvisionedManaged", "ptu": 1},
    }
    east = {"endpoint": azure.url("east"), "api_keys": [azure.key("east")], "deployments": deployments}
    return Settings.model_validate({"resources": {"east": east}, "timeouts": {"total_s": 300}})


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watch(monkeypatch)


Enter = Callable[[str], Callers]


@pytest.fixture
def enter(settings: Settings, stages: dict[Adapter, Stage]) -> Iterator[Enter]:
    """Callers by name. Those in threads and those in an event loop share one fleet."""
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(settings))

        def callers(name: str) -> Callers:
            if name == "threads":
                return stack.enter_context(threads(fleet))
            if name == "tasks":
                return stack.enter_context(tasks(fleet.async_openai()))
            return stack.enter_context(tasks(at_gateway(stages["hot"])))

        stages["hot"].play(settings)

        yield callers


CALLERS = ["threads", "tasks", "gateway"]


def waiting(watched: Watched) -> int:
    """Calls in the line."""
    statuses = watched.calls[0]._dispatcher.status()
    return sum(status.waiting for status in statuses)


@pytest.mark.parametrize("kind", CALLERS)
def test_calls_that_wait_are_served_in_order(
    enter: Enter, watched: Watched, azure: Handle, kind: str
) -> None:
    """40 calls where 20 a second may go: 20 at once, the others when it is their turn, none is refused."""
    callers = enter(kind)
    begun = [callers.begin(PACED, MODEST) for _ in range(AT_ONCE)]
    eventually(lambda: len(watched.calls) == AT_ONCE)
    begun += [watched.begin(callers, PACED, MODEST) for _ in range(AT_ONCE)]
    for answer in begun:
        assert answer.result(timeout=10).choices
    later = range(AT_ONCE, 2 * AT_ONCE)
    decided_s = [watched.decided_s(number) for number in later]
    assert decided_s == sorted(decided_s)
    assert decided_s[-1] - min(watched.decided_s(number) for number in range(AT_ONCE)) > 1
    assert {entry["status"] for entry in azure.log()} == {200}
    # each to join the line, as the first in it, when it is time, and to be answered; and whoever is first
    # when another call is answered and when that one ends
    assert sum(watched.asked[number] for number in later) <= 4 * len(later) + 2 * len(begun)


@pytest.mark.parametrize(
    ("sending", "waits"),
    [
        ("threads", "threads"),
        ("tasks", "tasks"),
        ("threads", "tasks"),
        ("tasks", "threads"),
        ("gateway", "gateway"),
    ],
)
def test_what_ends_wakes_who_waits(
    enter: Enter, watched: Watched, azure: Handle, sending: str, waits: str
) -> None:
    """An answer shorter than it might have been empties the bucket of a provisioned deployment: who waits
    goes on at that moment, in whatever thread or event loop, and not when the bucket would have drained."""
    azure.set("east", "up", latency_ms=1_000)
    first = watched.begin(enter(sending), PROVISIONED, GREEDY)
    second = watched.begin(enter(waits), PROVISIONED, MODEST)
    assert waiting(watched) == 1
    for answer in (first, second):
        assert answer.result(timeout=10).choices
    *_, wait, decision = watched.calls[1].explain()
    assert wait.waits_until_s is not None
    assert wait.waits_until_s - wait.at_s > 20
    assert decision.at_s - wait.at_s < 10
    assert watched.asked[1] <= 4
    assert [entry["status"] for entry in azure.log()] == [200, 200]


@pytest.mark.parametrize("kind", ["tasks", "gateway"])
def test_who_leaves_leaves_the_line(enter: Enter, watched: Watched, azure: Handle, kind: str) -> None:
    """A cancelled task, or a caller who hangs up, is not sent later, and holds up nobody."""
    azure.set("east", "up", latency_ms=1_500)
    callers = enter(kind)
    first = watched.begin(callers, PROVISIONED, GREEDY)
    leaves = watched.begin(callers, PROVISIONED, MODEST)
    stays = watched.begin(callers, PROVISIONED, MODEST)
    assert waiting(watched) == 2
    leaves.cancel()
    eventually(lambda: waiting(watched) == 1, within_s=1.2)
    for answer in (first, stays):
        assert answer.result(timeout=10).choices
    assert len(azure.log()) == 2
    assert waiting(watched) == 0


def test_callers_of_a_gateway_take_turns(
    settings: Settings, stages: dict[Adapter, Stage], watched: Watched, azure: Handle
) -> None:
    """One call of a key is level with the first of another key, however many that one has waiting."""
    azure.set("east", "up", latency_ms=400)
    stage = stages["hot"]
    stage.play(settings)
    with tasks(at_gateway(stage, KEY)) as many, tasks(at_gateway(stage, NARROW_KEY)) as single:
        begun = [watched.begin(many, PROVISIONED, GREEDY)]
        begun += [watched.begin(many, PROVISIONED, MODEST) for _ in range(8)]
        begun.append(watched.begin(single, PROVISIONED, MODEST))
        for answer in begun:
            assert answer.result(timeout=10).choices
    order = sorted(range(len(begun)), key=watched.decided_s)
    assert order == [0, 1, 9, 2, 3, 4, 5, 6, 7, 8]


def test_an_event_loop_that_ends_with_a_call_in_line(
    settings: Settings, watched: Watched, azure: Handle
) -> None:
    """Its place is free again, and what would have woken it does no harm."""
    azure.set("east", "up", latency_ms=600)
    before = threading.active_count()

    async def impatient(fleet: Fleet) -> None:
        async with fleet.async_openai() as client:
            await asyncio.wait_for(
                client.chat.completions.create(model=PROVISIONED, messages=HELLO, max_tokens=MODEST), 0.1
            )

    with Fleet(settings) as fleet, threads(fleet) as callers:
        first = watched.begin(callers, PROVISIONED, GREEDY)
        with pytest.raises(TimeoutError):
            asyncio.run(impatient(fleet))
        assert len(watched.calls) == 2
        assert waiting(watched) == 0
        assert first.result(timeout=10).choices
        assert watched.begin(callers, PROVISIONED, MODEST).result(timeout=10).choices
    assert threading.active_count() == before
