"""A gateway that is told to end: it says so, then takes nobody in, then waits for what is under way."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.contract import world
from tests.contract.gateways import GatewayProcess, eventually, gateway_process, running_gateway
from tests.integration.cli.commands import gone
from tests.integration.gateway.raw import Caller, ask, body, calling, head, request

from smalt.config.listening import Drain
from smalt.emulator.testing import Handle

READY = head(target="/health/ready", method="GET")


def told(gateway: GatewayProcess, number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(gateway.pid, number)


def is_ready(url: str) -> bool:
    try:
        return ask(url, READY).status == 200
    except (OSError, AssertionError):
        return False


@dataclass
class Traffic:
    """Callers that ask one request after the other, on one connection for as long as it may be used. `where`:
    the gateway to connect to, None while there is none. Whatever goes wrong after connecting is a loss; but
    the kernel resets a connection that it has opened and nobody has accepted: that one is opened anew."""

    where: Callable[[], str | None]
    answered: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.is_set():
            url = self.where()
            address = urlsplit(url or "")
            try:
                sock = socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
            except ConnectionRefusedError:
                time.sleep(0.01)
                continue
            with sock:
                self._use(Caller(sock), url or "")

    def _use(self, caller: Caller, url: str) -> None:
        answers = 0
        while not self.over.is_set() and self.where() == url:
            try:
                caller.send(request())
                answer = caller.answer()
            except (OSError, AssertionError) as error:
                if answers or not isinstance(error, ConnectionResetError):
                    self.lost.append(repr(error))
                return
            answers += 1
            if answer.status != 200:
                self.lost.append(f"{answer.status} {answer.body!r}")
            self.answered[url] = self.answered.get(url, 0) + 1
            if answer.headers.get("connection") == "close":
                return

    def __enter__(self) -> "Traffic":
        self._threads = [threading.Thread(target=self.run) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()


def test_a_drain_behind_a_load_balancer_loses_no_request(azure: Handle, tmp_path: Path) -> None:
    """Whoever asks /health/ready before connecting never meets a gateway that is gone."""
    config = world.written(azure)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        gateway_process(tmp_path / "a", config, drain={"announce_s": 0.5}) as first,
        gateway_process(tmp_path / "b", config) as second,
    ):
        chosen = [first.url]
        with Traffic(lambda: chosen[0]) as traffic:
            eventually(lambda: traffic.answered.get(first.url, 0) > 50, within_s=20)
            told(first)
            eventually(lambda: not is_ready(first.url))
            time.sleep(0.2)  # between two looks of a load balancer
            chosen[0] = second.url
            assert gone(first.pid)
            eventually(lambda: traffic.answered.get(second.url, 0) > 50, within_s=20)
    assert traffic.lost == []


def test_a_restart_on_the_same_port_loses_no_request(azure: Handle, tmp_path: Path) -> None:
    """Callers that do as `connection: close` says, and try again where nobody listens, are all answered."""
    config = world.written(azure)
    with ExitStack() as stack:
        first = stack.enter_context(gateway_process(tmp_path, config, drain={"announce_s": 0.3}))
        listen = urlsplit(first.url).netloc
        with Traffic(lambda: first.url) as traffic:
            eventually(lambda: traffic.answered.get(first.url, 0) > 50, within_s=20)
            told(first)
            assert gone(first.pid)
            before = traffic.answered[first.url]
            stack.enter_context(gateway_process(tmp_path, config, listen=listen))
            eventually(lambda: traffic.answered[first.url] > before + 50, within_s=20)
    assert traffic.lost == []


@pytest.fixture
def announcing(azure: Handle, tmp_path: Path) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path, world.written(azure), drain={"announce_s": 30}) as process:
        yield process
        told(process, signal.SIGKILL)


def test_the_announcement(announcing: GatewayProcess) -> None:
    """Not ready, but live, and everybody is answered, with the advice to come on another connection."""
    with calling(announcing.url) as idle, calling(announcing.url) as other:
        other.send(request())
        assert "connection" not in other.answer().headers
        told(announcing)
        eventually(lambda: not is_ready(announcing.url))
        refused = ask(announcing.url, READY)
        assert (refused.status, json.loads(refused.body)) == (503, {"status": "draining"})
        assert ask(announcing.url, head(target="/health/live", method="GET")).status == 200
        for caller in (idle, other):
            caller.send(request())
            answer = caller.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert caller.closed()
        answer = ask(announcing.url, request())
        assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_pipelined_requests_are_all_answered(announcing: GatewayProcess) -> None:
    """The advice to close comes with the last of them."""
    told(announcing)
    eventually(lambda: not is_ready(announcing.url))
    with calling(announcing.url) as caller:
        caller.send(request(), request(), request())
        answers = [caller.answer() for _ in range(3)]
        assert caller.closed()
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert ["connection" in answer.headers for answer in answers] == [False, False, True]


def test_ctrl_c_is_not_announced(announcing: GatewayProcess) -> None:
    """Nobody waits for a gateway at a terminal."""
    told(announcing, signal.SIGINT)
    started_s = time.monotonic()
    assert gone(announcing.pid)
    assert time.monotonic() - started_s < 3


def test_what_is_under_way_ends(azure: Handle, tmp_path: Path) -> None:
    """Streams, whole answers and a request whose body is still coming, while nobody new is let in."""
    for name in world.REGIONS:
        azure.set(name, "up", token_ms=20)
    with gateway_process(tmp_path, world.written(azure)) as gateway:
        with calling(gateway.url) as streamed, calling(gateway.url) as slow:
            content = body()
            slow.send(head("content-type: application/json", f"content-length: {len(content)}"), content[:9])
            streamed.send(request(content=body(stream=True)))
            streamed.until(b"data: ")
            told(gateway)
            eventually(lambda: refuses(gateway.url))
            slow.send(content[9:])
            assert slow.answer().status == 200
            assert b"data: [DONE]\n\n" in streamed.until(b"\r\n0\r\n\r\n")
            assert streamed.closed()
        assert gone(gateway.pid)


def refuses(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_does_not_end_is_cut(azure: Handle, tmp_path: Path) -> None:
    """A stream ends with its error event, a whole answer is refused, and Azure works no more."""
    azure.set("east", "up", token_ms=200)
    azure.set("sweden", "up", latency_ms=20_000)
    routes: Any = {"gpt-4o": {"route": ["east"]}, "gpt-4": {"route": ["sweden"]}}
    config = world.written(azure, models=routes, timeouts={"total_s": 30})
    drain = {"announce_s": 0, "streams_s": 0.3}
    with gateway_process(tmp_path, config, drain=drain) as gateway:
        with calling(gateway.url) as streamed, calling(gateway.url) as waiting, calling(gateway.url) as half:
            streamed.send(request(content=body(stream=True)))
            streamed.until(b"data: ")
            waiting.send(request(content=body(model="gpt-4")))
            half.send(request()[:-5])
            eventually(lambda: len(azure.log("sweden")) == 1)
            told(gateway)
            event = streamed.until(b"\r\n0\r\n\r\n")
            assert b'"code":"stream_interrupted"' in event
            assert b"the gateway is being stopped" in event
            for caller in (waiting, half):
                answer = caller.answer()
                assert (answer.status, answer.error["code"]) == (503, "overloaded")
                assert answer.headers["retry-after"] == "1"
                assert answer.headers["connection"] == "close"
        assert gone(gateway.pid)
        assert "Traceback" not in gateway.said
    eventually(lambda: {entry["outcome"] for entry in azure.log()} == {"cancelled"})


def test_cut_calls_are_recorded(azure: Handle) -> None:
    """The one that waited as abandoned, the stream as interrupted, with what it had cost by then."""
    azure.set("east", "up", token_ms=200)
    azure.set("sweden", "up", latency_ms=20_000)
    routes: Any = {"gpt-4o": {"route": ["east"]}, "gpt-4": {"route": ["sweden"]}}
    with running_gateway("hot") as stage:
        stage.play(world.settings(azure, models=routes, timeouts={"total_s": 30}))
        stage.server._drain = lambda: Drain(announce_s=0, streams_s=0.1)
        with calling(stage.url) as streamed, calling(stage.url) as waiting:
            streamed.send(request(content=body(stream=True)))
            streamed.until(b"data: ")
            waiting.send(request(content=body(model="gpt-4")))
            eventually(lambda: len(azure.log("sweden")) == 1)
            stage.server.should_exit = True
            streamed.until(b"\r\n0\r\n\r\n")
            assert waiting.answer().status == 503
        totals = stage.assembly.totals
        assert totals.errors == 2
        sums = totals.sums("model")
    assert (sums["gpt-4o"].calls, sums["gpt-4o"].estimated_calls) == (1, 1)
    assert sums["gpt-4"].attempts == 1


def test_a_second_signal_ends_it_at_once(azure: Handle, tmp_path: Path) -> None:
    """Whatever is still under way."""
    for name in world.REGIONS:
        azure.set(name, "up", latency_ms=20_000)
    with gateway_process(tmp_path, world.written(azure), drain={"announce_s": 30}) as gateway:
        with calling(gateway.url) as caller:
            caller.send(request())
            eventually(lambda: bool(azure.log()))
            told(gateway)
            eventually(lambda: not is_ready(gateway.url))
            told(gateway)
            assert caller.answer().status == 503
        assert gone(gateway.pid)
