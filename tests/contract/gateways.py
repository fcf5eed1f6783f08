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

from smalt.assemble import Assembly
from smalt.config import Settings, schema
from smalt.gateway import listening, server
from smalt.gateway.asgi import Gateway, Message, Receive, Scope, Send
from smalt.gateway.current import Current
from smalt.gateway.draining import Server
from smalt.gateway.exchange import Exchange
from smalt.gateway.load import Load
from smalt.gateway.pages import pages

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
    server: Server  # of the hot adapter

    def __init__(self) -> None:
        self.loop: Future[asyncio.AbstractEventLoop] = Future()
        self._current: Current | None = None

    def play(self, settings: Settings) -> None:
        before = self._current
        keys = [{"alias": "tests", "key": KEY}, {"alias": "narrow", "key": NARROW_KEY, "models": ["gpt-4o"]}]
        ours = schema.Gateway.model_validate({"admin_key": ADMIN_KEY, "keys": keys})
        gateway = settings.gateway.model_copy(update={"admin_key": ours.admin_key, "keys": ours.keys})
        self._current = Current(settings.model_copy(update={"gateway": gateway}))
        self.assembly = self._current.now.assembly
        self._app = Gateway(self._current.handle, pages(self._current), self._current.load)
        if before is not None:
            self.loop.result().call_soon_threadsafe(before.close)

    def close(self) -> None:
        if self._current is not None:
            self._current.close()

    async def handle(self, exchange: Exchange) -> None:
        assert self._current is not None
        await self._current.handle(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@contextmanager
def running_gateway(adapter: Adapter) -> Iterator[Stage]:
    """Serve a stage from a thread: by the hot protocol, or by uvicorn's own and plain ASGI."""
    stage = Stage()
    listener = listening.listen(("127.0.0.1", 0))
    stage.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving: uvicorn.Server
    if adapter == "hot":
        serving = stage.server = _hot_server(stage)
    else:
        serving = _asgi_server(stage)

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


def _hot_server(stage: Stage) -> Server:
    return server.build(cast("Gateway", stage), stage.handle, Load())


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
from functools import partial
from pathlib import Path
from smalt.config import load
from smalt.gateway.server import serve
file = Path(sys.argv[1])
read = partial(load, file, env=os.environ, cwd=Path.cwd())
serve(read(), lambda serving: print(json.dumps({"url": serving.url}), flush=True), read=read, files=[file])
"""


@contextmanager
def gateway_process(folder: Path, config: Mapping[str, Any], **more: Any) -> Iterator[GatewayProcess]:
    """A gateway in a process of its own. `config`: a smalt.yaml; its keys and address are given, unless
    `more` of its `gateway` section says otherwise."""
    file, output = folder / "smalt.yaml", folder / "gateway.log"
    gateway = {
        "probe_every_s": 0,  # else a quiet region sees requests that no test has made
        **config.get("gateway", {}),
        "listen": "127.0.0.1:0",
        "admin_key": ADMIN_KEY,
        "keys": [{"alias": "tests", "key": KEY}],
        "drain": {"announce_s": 0},
        **more,
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


def eventually(
    holds: Callable[[], bool],
    *,
    within_s: float = 5.0,
    otherwise: Callable[[], str] = lambda: "it never came true",
) -> None:
    """Wait until a condition holds; `otherwise` says what was wrong to the last."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, otherwise()
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
