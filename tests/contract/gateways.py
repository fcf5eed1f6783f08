"""Gateways for tests: in a thread, with an assembly that each test may change, or as a real process."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import uvicorn

from smalt.assemble import Assembly, assemble
from smalt.config import Settings
from smalt.dispatch.upstreams import Upstreams
from smalt.gateway import server
from smalt.gateway.asgi import Gateway, Message, Receive, Scope, Send
from smalt.gateway.exchange import Exchange
from smalt.gateway.model_calls import ModelCalls
from smalt.gateway.pages import pages
from smalt.gateway.principals import GatewayKeys, Principal

KEY = "gw_contract"
NARROW_KEY = "gw_narrow"  # may use gpt-4o only
ADMIN_KEY = "adm_contract"

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Adapter = Literal["hot", "asgi"]
ADAPTERS: tuple[Adapter, ...] = ("hot", "asgi")


class Stage:
    """A served address. `play` puts new settings behind it, with everything forgotten."""

    url: str
    assembly: Assembly

    def __init__(self) -> None:
        self.loop: Future[asyncio.AbstractEventLoop] = Future()
        self._upstreams: Upstreams | None = None

    def play(self, settings: Settings) -> None:
        before = self._upstreams
        self.assembly = assemble(settings)
        self._upstreams = Upstreams(self.assembly.targets, self.assembly.timeouts)
        keys = GatewayKeys(
            [(KEY, Principal("tests")), (NARROW_KEY, Principal("narrow", frozenset({"gpt-4o"})))]
        )
        self._calls = ModelCalls(self.assembly.dispatcher, self._upstreams, keys, self.assembly.timeouts)
        self._app = Gateway(self._calls.handle, pages(self.assembly, keys, ADMIN_KEY))
        if before is not None:
            self.loop.result().call_soon_threadsafe(before.close)

    def close(self) -> None:
        if self._upstreams is not None:
            self._upstreams.close()

    async def handle(self, exchange: Exchange) -> None:
        await self._calls.handle(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@contextmanager
def running_gateway(adapter: Adapter) -> Iterator[Stage]:
    """Serve a stage from a thread: by the hot protocol, or by uvicorn's own and plain ASGI."""
    stage = Stage()
    listener = server._listen("127.0.0.1", 0)
    stage.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving = _hot_server(stage) if adapter == "hot" else _asgi_server(stage)

    async def serve() -> None:
        stage.loop.set_result(asyncio.get_running_loop())
        await serving.serve(sockets=[listener])
        stage.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=server._loop_factory()) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name=f"gateway-{adapter}")
    thread.start()
    try:
        yield stage
    finally:
        serving.should_exit = serving.force_exit = True
        thread.join()


def _hot_server(stage: Stage) -> uvicorn.Server:
    return server._server(cast("Gateway", stage), cast("ModelCalls", stage))


def _asgi_server(stage: Stage) -> uvicorn.Server:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await stage(scope, receive, send)

    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    return uvicorn.Server(config)


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """`pid` of the process that serves; `output`: everything it wrote."""

    url: str
    pid: int
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    def memory_kb(self) -> int:
        """Resident memory now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


_SERVE = """
import json, os, sys
from pathlib import Path
from smalt.config import load
from smalt.gateway.server import serve
settings = load(Path(sys.argv[1]), env=os.environ, cwd=Path.cwd())
serve(settings, lambda serving: print(json.dumps({"url": serving.url}), flush=True))
"""


@contextmanager
def gateway_process(folder: Path, config: Mapping[str, Any]) -> Iterator[GatewayProcess]:
    """A gateway in a process of its own. `config`: a smalt.yaml without its `gateway` section."""
    file, output = folder / "smalt.yaml", folder / "gateway.log"
    gateway = {
        "listen": "127.0.0.1:0",
        "admin_key": ADMIN_KEY,
        "keys": [{"alias": "tests", "key": KEY}],
    }
    file.write_text(json.dumps({**config, "gateway": gateway}))  # JSON is YAML
    with (
        output.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(file)],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        ) as process,
    ):
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line, output.read_text()
            yield GatewayProcess(json.loads(line)["url"], process.pid, output)
        finally:
            process.terminate()


def eventually(holds: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


__all__ = [
    "ADAPTERS",
    "ADMIN_KEY",
    "KEY",
    "NARROW_KEY",
    "Adapter",
    "GatewayProcess",
    "Message",
    "Stage",
    "eventually",
    "gateway_process",
    "needs_proc",
    "running_gateway",
]
