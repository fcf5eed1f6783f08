"""What one gateway carries at a time. More is refused at once, and what has ended never counts."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import (
    KEY,
    GatewayProcess,
    Stage,
    eventually,
    gateway_process,
    running_gateway,
)
from tests.integration.gateway.raw import Answer, Caller, ask, body, calling, head, request

from smalt.config.listening import Limits
from smalt.emulator.testing import Handle

LIMITS = {"connections": 12, "requests": 3, "bytes_in_flight": 100_000}
KEYS = [{"alias": "tests", "key": KEY}, {"alias": "narrow", "key": "gw_slots", "concurrency": 1}]
LARGE = body(user="x" * 60_000)
LIVE = head(target="/health/live", method="GET")


@pytest.fixture(scope="module")
def gateway(shared_azure: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    shared_azure.reset()
    config = world.written(shared_azure, timeouts={"total_s": 60})
    with gateway_process(tmp_path_factory.mktemp("limits"), config, limits=LIMITS, keys=KEYS) as process:
        yield process


@pytest.fixture(autouse=True)
def slow(azure: Handle) -> None:
    """Nobody is answered until a test lets go."""
    for name in world.REGIONS:
        azure.set(name, "up", latency_ms=20_000)


def quick(azure: Handle) -> None:
    for name in world.REGIONS:
        azure.set(name, "up", latency_ms=0)


def waiting(url: str, stack: ExitStack, azure: Handle, *sent: bytes) -> list[Caller]:
    """Callers whose requests are under way."""
    before = len(azure.log())
    callers = [stack.enter_context(calling(url)) for _ in sent]
    for caller, content in zip(callers, sent, strict=True):
        caller.send(content)
    eventually(lambda: len(azure.log()) == before + len(sent))
    return callers


def is_overloaded(answer: Answer) -> bool:
    return (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")


def test_requests_under_way(gateway: GatewayProcess, azure: Handle) -> None:
    """The fourth is refused; pages are answered all the same; a caller that leaves makes room."""
    with ExitStack() as stack:
        first, *_ = waiting(gateway.url, stack, azure, *[request()] * 3)
        assert is_overloaded(ask(gateway.url, request()))
        assert ask(gateway.url, LIVE).status == 200
        assert len(azure.log()) == 3
        first.sock.close()
        eventually(lambda: azure.log()[0]["outcome"] == "cancelled")
        quick(azure)
        assert ask(gateway.url, request()).status == 200


def test_bytes_in_flight(gateway: GatewayProcess, azure: Handle) -> None:
    """What would be too much is refused by its head, or as it comes; small ones still pass."""
    with ExitStack() as stack:
        waiting(gateway.url, stack, azure, request(content=LARGE))
        declared = head("content-type: application/json", f"content-length: {len(LARGE)}")
        assert is_overloaded(ask(gateway.url, declared))
        chunk = b"%x\r\n%b\r\n" % (30_000, b"x" * 30_000)
        chunked = head("content-type: application/json", "transfer-encoding: chunked")
        assert is_overloaded(ask(gateway.url, chunked, chunk, chunk))
        quick(azure)
        assert ask(gateway.url, request()).status == 200
    eventually(lambda: ask(gateway.url, request(content=LARGE)).status == 200)


def test_requests_of_a_key(gateway: GatewayProcess, azure: Handle) -> None:
    """The second is refused, in the words of a rate limit; other keys are not concerned."""
    with ExitStack() as stack:
        (only,) = waiting(gateway.url, stack, azure, request(key="gw_slots"))
        refused = ask(gateway.url, request(key="gw_slots"))
        assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
        assert refused.headers["retry-after"] == "1"
        quick(azure)
        assert ask(gateway.url, request()).status == 200
        only.sock.close()
        eventually(lambda: ask(gateway.url, request(key="gw_slots")).status == 200)


def test_connections(gateway: GatewayProcess) -> None:
    """One too many gets an answer and is closed; it makes room for the next when others have gone."""
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(calling(gateway.url))
        with calling(gateway.url) as surplus:
            assert is_overloaded(surplus.answer())
    eventually(lambda: ask(gateway.url, LIVE).status == 200, within_s=8)


def test_nothing_counts_that_has_ended(gateway: GatewayProcess, azure: Handle) -> None:
    """Answered, refused, broken off by either side, half sent, pipelined: all the room is there again."""
    quick(azure)
    for sent in (
        request(),
        request(key="gw_slots"),
        request(key="gw_wrong"),
        request(content=b"{"),
        request(content=body(model="gpt-unheard-of")),
        request(content=b"\x1f\x8b\x08" + b"\x00" * 20),
        request(content=body(stream=True)),
        head("content-type: application/json", f"content-length: {33 << 20}"),
    ):
        ask(gateway.url, sent)
    azure.set("east", "down")
    azure.set("sweden", "up", token_ms=20)
    for sent in (
        request()[:-5],
        request(content=body(stream=True)),
        request(key="gw_slots", content=body(stream=True)),
        request() * 3,
        request(content=LARGE)[:-5],
        head("content-type: application/json", "transfer-encoding: chunked") + b"zz\r\n",
    ):
        with calling(gateway.url) as caller:
            caller.send(sent)
            caller.sock.settimeout(0.1)
            with suppress(OSError, AssertionError):
                caller.until(b"data: ")
    azure.set("east", "up", latency_ms=20_000)
    azure.set("sweden", "up", latency_ms=20_000, token_ms=0)
    all_ended(gateway, azure)
    with ExitStack() as stack:
        waiting(gateway.url, stack, azure, request(content=LARGE), request(key="gw_slots"), request())
        assert is_overloaded(ask(gateway.url, request()))


def all_ended(gateway: GatewayProcess, azure: Handle) -> None:
    live = head(target="/health", method="GET")
    eventually(lambda: ask(gateway.url, live).status == 200, within_s=20)
    eventually(lambda: all(entry["outcome"] not in {"streaming", None} for entry in azure.log()))


def test_limits_change_with_the_settings(shared_azure: Handle, azure: Handle, tmp_path: Any) -> None:
    """What is under way counts against the new ones."""
    config = world.written(shared_azure, timeouts={"total_s": 60})
    with (
        gateway_process(tmp_path, config, limits={"requests": 5}) as process,
        ExitStack() as stack,
    ):
        waiting(process.url, stack, azure, request(), request())
        file = tmp_path / "smalt.yaml"
        file.write_text(file.read_text().replace('"requests": 5', '"requests": 2'))
        quick(azure)
        eventually(lambda: ask(process.url, request()).status == 503, within_s=10)


def test_any_asgi_server_keeps_them(azure: Handle) -> None:
    """But for the connections, which are the server's business."""
    with running_gateway("asgi") as stage, ExitStack() as stack:
        play(stage, azure)
        (first, _) = waiting(stage.url, stack, azure, request(), request(content=LARGE))
        declared = head("content-type: application/json", f"content-length: {len(LARGE)}")
        assert is_overloaded(ask(stage.url, declared))
        waiting(stage.url, stack, azure, request())
        assert is_overloaded(ask(stage.url, request()))
        first.sock.close()
        quick(azure)
        eventually(lambda: ask(stage.url, request()).status == 200)


def play(stage: Stage, azure: Handle) -> None:
    stage.play(world.settings(azure, timeouts={"total_s": 60}))
    assert stage._current is not None
    stage._current.load.limits = Limits.model_validate(LIMITS)
