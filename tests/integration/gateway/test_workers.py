"""`smalt serve --workers 2`: one address, one voice, and a death that only its own callers notice."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import ADMIN_KEY, KEY, eventually
from tests.integration.cli.commands import end, gone, output, read_until, running
from tests.integration.gateway.raw import Caller, ask, body, calling, head, request

from smalt.emulator.testing import Handle

HEALTH = head(target="/health", method="GET")


def page(target: str) -> bytes:
    return head(target=target, method="GET", key=ADMIN_KEY)


@dataclass(frozen=True)
class Workers:
    """`parent`: the process that was started, in `folder`."""

    url: str
    parent: subprocess.Popen[str]
    folder: Path

    @property
    def pids(self) -> Sequence[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.parent.pid)], capture_output=True, text=True, check=True
        )
        return [int(pid) for pid in listed.stdout.split()]

    @property
    def private(self) -> Mapping[int, Path]:
        """The sockets that only siblings ask."""
        return {int(path.stem): path for path in self.folder.glob("smalt-*/*.sock")}

    def health(self) -> Any:
        return json.loads(ask(self.url, HEALTH).body)

    def usage(self) -> Any:
        return json.loads(ask(self.url, page("/admin/v1/usage")).body)

    def of(self, number: int, target: str) -> Any:
        """What one worker says of itself."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.private[number]))
            caller = Caller(sock)
            caller.send(page(target))
            return json.loads(caller.answer("GET").body)

    def in_flight(self) -> Mapping[int, int]:
        """Calls under way, by worker."""
        rows = {number: self.of(number, "/admin/v1/upstreams") for number in self.private}
        return {number: sum(row["in_flight"] for row in told) for number, told in rows.items()}

    def all_well(self) -> bool:
        told = self.health()
        return bool(told["status"] == "ok" and told["workers"] == {"1": "ok", "2": "ok"})


@pytest.fixture(scope="module")
def lasting(shared_azure: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    shared_azure.reset()
    with two_workers(shared_azure, tmp_path_factory.mktemp("workers")) as workers:
        yield workers
        end(workers.parent)


@pytest.fixture
def workers(lasting: Workers, azure: Handle) -> Workers:
    """Two that outlive the test."""
    eventually(lasting.all_well, within_s=60)
    return lasting


@pytest.fixture
def mortal(azure: Handle, tmp_path: Path) -> Iterator[Workers]:
    """Two that do not."""
    with two_workers(azure, tmp_path) as workers:
        yield workers


@contextmanager
def two_workers(azure: Handle, folder: Path) -> Iterator[Workers]:
    gateway = {
        "admin_key": ADMIN_KEY,
        "keys": [{"alias": "tests", "key": KEY}],
        "drain": {"announce_s": 0},
    }
    (folder / "smalt.yaml").write_text(json.dumps({**world.written(azure), "gateway": gateway}))
    command = ("serve", "--listen", "127.0.0.1:0", "--workers", "2", "--json")
    with running(*command, cwd=folder) as parent:
        line = next(line for line in output(parent) if line.startswith("{"))
        yield Workers(json.loads(line)["url"], parent, folder)


def test_they_speak_for_all(workers: Workers, azure: Handle) -> None:
    """Whoever is asked tells of both; only this user can ask one alone."""
    assert len(workers.pids) == 2
    (folder,) = workers.folder.glob("smalt-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = workers.usage()["models"].get("gpt-4o", {"calls": 0})["calls"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(workers.url, request()), range(24)))
    assert {answer.status for answer in answers} == {200}
    for _ in range(4):
        assert workers.usage()["models"]["gpt-4o"]["calls"] - before == 24
    rows = json.loads(ask(workers.url, page("/admin/v1/upstreams")).body)
    assert {row["worker"] for row in rows} == {1, 2}
    assert ask(workers.url, head(target="/admin/v1/usage", method="GET")).status == 401


def test_killing_one_breaks_only_its_own_connections(workers: Workers, azure: Handle) -> None:
    """Every stream of the other one comes to its end, new callers are served, and it is back."""
    for name in world.REGIONS:
        azure.set(name, "up", token_ms=30)
    with ExitStack() as stack:
        callers = []
        while min(workers.in_flight().values()) < 2:
            callers.append(stack.enter_context(calling(workers.url)))
            callers[-1].send(request(content=body(stream=True)))
            callers[-1].until(b"data: ")
            assert len(callers) < 60
        before = workers.in_flight()
        victim = workers.pids[0]
        os.kill(victim, signal.SIGKILL)
        ends = [_ends(caller) for caller in callers]
        assert ask(workers.url, request()).status == 200
    eventually(workers.all_well, within_s=60)
    assert victim not in workers.pids
    assert sum(before.values()) == len(callers)
    assert ends.count(False) in before.values()
    assert ends.count(True) == len(callers) - ends.count(False)


def _ends(caller: Caller) -> bool:
    """Whether its stream comes to its proper end."""
    try:
        caller.until(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    except (AssertionError, ConnectionResetError):
        return False
    return True


def test_a_silent_worker_is_named(workers: Workers) -> None:
    """The page comes all the same, and in time."""
    stopped = workers.pids[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        started_s = time.monotonic()
        told = _health_of_the_other(workers)
        assert time.monotonic() - started_s < 10
        assert told["status"] == "degraded"
        assert sorted(told["workers"].values()) == ["no answer", "ok"]
    finally:
        os.kill(stopped, signal.SIGCONT)
    eventually(workers.all_well)


def _health_of_the_other(workers: Workers) -> Any:
    """Connections that the stopped one has accepted are left to it."""
    with ExitStack() as stack:
        for _ in range(20):
            caller = stack.enter_context(calling(workers.url))
            caller.sock.settimeout(2)
            caller.send(HEALTH)
            try:
                return json.loads(caller.answer("GET").body)
            except TimeoutError:
                continue
    raise AssertionError("nobody answered")


def test_a_drain_of_all(mortal: Workers, azure: Handle) -> None:
    """Streams of both end as they should, then nobody listens, and nothing is left."""
    for name in world.REGIONS:
        azure.set(name, "up", token_ms=20)
    pids = mortal.pids
    with ExitStack() as stack:
        callers = [stack.enter_context(calling(mortal.url)) for _ in range(8)]
        for caller in callers:
            caller.send(request(content=body(stream=True)))
            caller.until(b"data: ")
        code, said = end(mortal.parent)
        assert all(_ends(caller) for caller in callers)
    assert (code, said) == (0, "")
    assert all(gone(pid) for pid in pids)
    assert list(mortal.folder.glob("smalt-*")) == []


def test_a_killed_parent_takes_them_along(mortal: Workers) -> None:
    """Nobody is left listening on the port."""
    pids = mortal.pids
    mortal.parent.kill()
    assert all(gone(pid) for pid in pids)


def test_a_hang_up_signal_reaches_all(workers: Workers) -> None:
    """Each reads the settings again at once."""

    def since() -> list[str]:
        return [workers.of(number, "/health")["configuration"]["in_force_since"] for number in (1, 2)]

    before = max(since())
    time.sleep(1.1)  # told in whole seconds
    workers.parent.send_signal(signal.SIGHUP)
    eventually(lambda: min(since()) > before, within_s=0.9)


def test_workers_that_cannot_start(azure: Handle, tmp_path: Path) -> None:
    """One clear line at the end, after their own; nothing goes on trying."""
    gateway = {"guards": [{"use": "no_such_package:Guard"}]}
    (tmp_path / "smalt.yaml").write_text(json.dumps({**world.written(azure), "gateway": gateway}))
    with running("serve", "--listen", "127.0.0.1:0", "--workers", "2", cwd=tmp_path) as parent:
        said = parent.communicate(timeout=90)[0]
        assert parent.returncode == 1
    assert "gateway.guards[0]" in said
    assert said.splitlines()[-1] == (
        "smalt: a worker ended at its start (exit code 1); what it said stands above"
    )


PRINTING = """
print("loaded" * 20_000)
class Guard:
    window = 8
    def request(self, text):
        print("asked")
        return []
    def answer(self, text):
        return []
"""


def test_what_modules_print_is_no_announcement(
    azure: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at import nor later: it comes with the gateway's own words, and the first line of the parent's
    standard output stays the announcement."""
    (tmp_path / "printing.py").write_text(PRINTING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    gateway = {"keys": [{"alias": "tests", "key": KEY}], "guards": [{"use": "printing:Guard"}]}
    (tmp_path / "smalt.yaml").write_text(json.dumps({**world.written(azure), "gateway": gateway}))
    with running("serve", "--listen", "127.0.0.1:0", "--workers", "2", "--json", cwd=tmp_path) as parent:
        told = json.loads(next(line for line in output(parent) if line.startswith("{")))
        assert ask(told["url"], request()).status == 200
        read_until("asked", parent)
        assert end(parent)[0] == 0


PARENT = """
import json, logging, os, sys
from pathlib import Path
from smalt.config import load
from smalt.gateway.workers import serve_workers
logging.basicConfig()
settings = load(Path("smalt.yaml"), env=os.environ, cwd=Path.cwd())
serve_workers(settings, lambda serving: print(json.dumps({"url": serving.url}), flush=True), sys.argv[1:], 2)
"""


def test_a_worker_that_cannot_be_started_again(azure: Handle, tmp_path: Path) -> None:
    """While its program cannot be run the other one serves; then it is back."""
    gateway = {"listen": "127.0.0.1:0", "keys": [{"alias": "tests", "key": KEY}], "drain": {"announce_s": 0}}
    (tmp_path / "smalt.yaml").write_text(json.dumps({**world.written(azure), "gateway": gateway}))
    program = tmp_path / "worker"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -P -m smalt serve --worker --config smalt.yaml\n")
    program.chmod(0o700)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(program)],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as parent:
        try:
            line = next(line for line in output(parent) if line.startswith("{"))
            workers = Workers(json.loads(line)["url"], parent, tmp_path)
            program.rename(tmp_path / "elsewhere")
            os.kill(workers.pids[0], signal.SIGKILL)
            assert "No such file" in read_until("cannot be started", parent)
            assert [ask(workers.url, request()).status for _ in range(4)] == [200] * 4
            (tmp_path / "elsewhere").rename(program)
            eventually(workers.all_well, within_s=60)
            assert end(parent)[0] == 0
        finally:
            parent.kill()


def test_the_warning_about_limits(azure: Handle, tmp_path: Path) -> None:
    """Whoever starts several learns that each keeps limits for itself, and that keys are the same in all."""
    (tmp_path / "smalt.yaml").write_text(json.dumps(world.written(azure)))
    with running("serve", "--listen", "127.0.0.1:0", "--workers", "2", "--json", cwd=tmp_path) as parent:
        lines: list[str] = []
        while not (lines and lines[-1].startswith("{")):
            lines.append(output(parent).readline())
        told = json.loads(lines[-1])
        answers = [ask(told["url"], request(key=told["gateway_key"])).status for _ in range(8)]
        lines.append(end(parent, signal.SIGINT)[1])
    assert "WARNING 2 workers: each keeps limits" in "".join(lines)
    assert answers == [200] * 8
