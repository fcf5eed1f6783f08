"""What is known of a request, and what strikes it."""

from typing import Any

import msgspec
import pytest

from smalt.emulator.faults.registry import read_fault
from smalt.emulator.faults.script import Asked
from smalt.emulator.faults.strike import Struck, greet, strike, strike_again
from smalt.emulator.faults.wire import HangFault
from smalt.emulator.fleet import default_fleet
from smalt.emulator.refusals import catalogue
from smalt.emulator.server import Request, Welcome
from smalt.emulator.world import World

V1_CHAT = "/openai/v1/chat/completions"
CLASSIC = "/openai/deployments/my%20dep%2Fx/chat/completions"


@pytest.fixture
def world() -> World:
    return World(default_fleet(0), seed=0)


def arm(world: World, *faults: dict[str, Any]) -> None:
    names = {name: set(resource.spec.deployments) for name, resource in world.resources.items()}
    world.faults.add([read_fault(fault, names) for fault in faults], world.clock.now())


def struck(world: World, path: str, body: object = None, query: str = "") -> Struck:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return strike(world, world.resources["east"], Request("POST", path, query, (), content))


@pytest.mark.parametrize(
    ("path", "body", "query", "asked"),
    [
        (CLASSIC, {"model": "other"}, "", Asked("east", "chat/completions", "my dep/x", stream=False)),
        ("/openai/v1/embeddings", {"model": "m"}, "", Asked("east", "embeddings", "m", stream=False)),
        (
            "/openai/responses",
            {"model": "m", "stream": True},
            "",
            Asked("east", "responses", "m", stream=True),
        ),
        ("/openai/v1/responses/r1", b"", "stream=true", Asked("east", "responses/r1", None, stream=True)),
        (V1_CHAT, b"{", "", Asked("east", "chat/completions", None, stream=False)),
        (
            "/openai/v1/chat/completions",
            {"model": 3},
            "",
            Asked("east", "chat/completions", None, stream=False),
        ),
        ("/elsewhere", [1], "", Asked("east", None, None, stream=False)),
    ],
)
def test_a_request_is_known_by_path_query_and_body(
    world: World, path: str, body: object, query: str, asked: Asked
) -> None:
    """Leniently: faults strike bad requests as well."""
    arm(world, {"kind": "gzip"})
    assert struck(world, path, body, query).asked == asked


def test_without_faults_nothing_is_read(world: World) -> None:
    """Then there is nothing that would want to know."""
    found = struck(world, CLASSIC, {"stream": True})
    assert (found.asked, found.failure, list(found.layers)) == (Asked("east"), None, [])
    assert greet(world, world.resources["east"], REQUEST, reused=True) == Welcome()


def test_modes_are_faults_for_any_request(world: World) -> None:
    """They come first, and leave the script's own for later."""
    switches = world.resources["east"].switches
    arm(world, {"kind": "error", "error": "server_error", "times": 1})
    switches.mode, switches.error, switches.count = "error", "model_overloaded", 1
    assert struck(world, CLASSIC).failure is catalogue()["model_overloaded"]
    assert struck(world, CLASSIC).failure is catalogue()["server_error"]
    switches.mode = "hang"
    assert list(struck(world, CLASSIC).layers) == [HangFault()]


def test_spillover_meets_the_faults_of_its_target(world: World) -> None:
    """With the operation that was asked for."""
    east = world.resources["east"]
    place = {"deployment": "gpt-4o-prod", "operation": "chat/completions"}
    arm(world, {"kind": "error", "error": "server_error", **place})
    assert strike_again(world, east, "chat", "gpt-4o-prod") is catalogue()["server_error"]
    assert strike_again(world, east, "responses", "gpt-4o-prod") is None
    assert strike_again(world, east, "chat", "gpt-4o-mini-prod") is None


REQUEST = Request("POST", "/openai/deployments/gpt-4o-prod/chat/completions", "", (), b"")


def test_only_a_used_connection_closes_as_idle(world: World) -> None:
    """The first request on a connection does not count."""
    east = world.resources["east"]
    arm(world, {"kind": "close_idle", "times": 1})
    welcomes = [greet(world, east, REQUEST, reused=reused).closed for reused in (False, True, True)]
    assert welcomes == [False, True, False]


def test_the_slowest_read_counts(world: World) -> None:
    """In bytes of the emulator's own seconds."""
    arm(world, {"kind": "slow_read", "bytes_per_s": 900}, {"kind": "slow_read", "bytes_per_s": 100})
    world.clock.speed = 3
    assert greet(world, world.resources["east"], REQUEST, reused=False) == Welcome(bytes_per_s=300)
