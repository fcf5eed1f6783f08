"""The worlds examples run in: nothing, pytest, an emulator with or without a smalt.yaml, a gateway."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.docs.warm import WarmInterpreter

from smalt.emulator.testing import running

EXAMPLE_S = 60
START_S = 20
GATEWAY_KEY = "sk-example"
TLS = Path(__file__).parents[1] / "integration" / "dispatch" / "tls"
SHOWN_ADDRESS = "127.0.0.1:8000"  # in documents; the tests use a free port
SHOWN_CONTROL_ADDRESS = "127.0.0.1:8100"


@dataclass(frozen=True, slots=True)
class World:
    """A working directory and what is set in the environment. `address`: what stands for `shown`."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    address: str = SHOWN_ADDRESS
    shown: str = SHOWN_ADDRESS

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | self.variables

    def run_python(self, code: str, interpreter: WarmInterpreter) -> None:
        """Run to a good end."""
        code = code.replace(self.shown, self.address)
        status, written = interpreter.run(code, self.folder, self.environment, EXAMPLE_S)
        assert status == 0, written

    def run(self, command: list[str]) -> None:
        """Run to a good end."""
        done = subprocess.run(
            [word.replace(self.shown, self.address) for word in command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=EXAMPLE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmInterpreter]:
    interpreter = WarmInterpreter(tmp_path_factory.mktemp("warm"))
    yield interpreter
    interpreter.close()


@pytest.fixture(scope="session")
def plain_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With the certificates that settings of the documents name."""
    folder = tmp_path_factory.mktemp("plain")
    for name, source in (
        ("company-ca.pem", "cert.pem"),
        ("gateway.pem", "cert.pem"),
        ("gateway-key.pem", "key.pem"),
    ):
        (folder / name).write_bytes((TLS / source).read_bytes())
    return World(folder)


@pytest.fixture
def tests_world(tmp_path: Path) -> World:
    """A folder for a file of tests."""
    return World(tmp_path)


@pytest.fixture
def emulator_world(tmp_path: Path) -> Iterator[World]:
    """An emulator whose control plane examples talk to."""
    with running() as emulator:
        control = urlsplit(emulator.control_url).netloc
        yield World(tmp_path, address=control, shown=SHOWN_CONTROL_ADDRESS)


@pytest.fixture
def fleet_world(tmp_path: Path) -> Iterator[World]:
    """`smalt.yaml` points at an emulator of its own, whose quota nobody else uses."""
    with running() as emulator:
        (tmp_path / "smalt.yaml").write_text(emulator.config_text)
        yield World(tmp_path)


@pytest.fixture(scope="session")
def library_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """`smalt.yaml` and the AZURE_OPENAI_ variables point at a running emulator."""
    folder = tmp_path_factory.mktemp("library")
    with running() as emulator:
        (folder / "smalt.yaml").write_text(emulator.config_text)
        yield World(
            folder,
            {
                "AZURE_OPENAI_ENDPOINT": emulator.url("east"),
                "AZURE_OPENAI_API_KEY": emulator.key("east"),
                "OPENAI_API_VERSION": "2024-10-21",
            },
            address=urlsplit(emulator.control_url).netloc,
            shown=SHOWN_CONTROL_ADDRESS,
        )


@pytest.fixture(scope="session")
def gateway_world(library_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The OPENAI_ variables point at a gateway before the same emulator."""
    folder = tmp_path_factory.mktemp("gateway")
    own = urlsplit(library_world.variables["AZURE_OPENAI_ENDPOINT"]).netloc
    keys = f"\ngateway:\n  keys: [{{alias: example, key: {GATEWAY_KEY}}}]\n  callers_may_bring: ['{own}']\n"
    config = folder / "smalt.yaml"
    config.write_text((library_world.folder / "smalt.yaml").read_text() + keys)
    address = f"127.0.0.1:{free_port()}"
    serve = [sys.executable, "-m", "smalt", "serve", "--config", str(config), "--listen", address]
    output = folder / "gateway.log"
    with output.open("w") as log, subprocess.Popen(serve, stdout=log, stderr=log, cwd=folder) as gateway:
        try:
            wait_until_ready(f"http://{address}/health/ready", gateway, output)
            here = {"OPENAI_BASE_URL": f"http://{address}/v1", "OPENAI_API_KEY": GATEWAY_KEY}
            yield World(folder, library_world.variables | here, address)
        finally:
            gateway.send_signal(signal.SIGINT)  # by SIGTERM it would take its time


def wait_until_ready(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    """Until `url` answers 200; fails with the process's output if it ends before, or takes too long."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  # loopback
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"the gateway did not get ready:\n{output.read_text()}")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
