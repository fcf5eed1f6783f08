"""Starting, stopping, and being told where everything is."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from ruamel.yaml import YAML

from smalt.emulator import Emulator, default_fleet, event_loop
from smalt.emulator.deployments import Deployment
from smalt.emulator.testing import Handle, running
from smalt.errors import ConfigurationError

SERVE = """
import asyncio
from smalt.emulator import default_fleet, event_loop, serve
with asyncio.Runner(loop_factory=event_loop) as runner:
    runner.run(serve(default_fleet(0), seed=0, ready=lambda it: print(it.control_url, flush=True)))
"""


def test_the_configuration_points_at_the_open_ports(emulator: Handle) -> None:
    """Every resource is there with its address, first key and deployments."""
    resources = YAML(typ="safe").load(emulator.config_text)["resources"]
    assert resources["east"]["endpoint"] == emulator.url("east")
    assert resources["east"]["api_keys"] == [emulator.key("east")]
    assert resources["japan"]["region"] == "japaneast"
    assert resources["sweden"]["deployments"]["gpt-4o-prod"] == {
        "model": "gpt-4o",
        "sku": "Standard",
        "quota_tpm": "120k",
    }
    assert resources["sweden"]["deployments"]["gpt-4o-ptu"] == {
        "model": "gpt-4o",
        "sku": "ProvisionedManaged",
        "ptu": 50,
    }


def test_odd_names_survive_the_configuration() -> None:
    """A deployment name that means something in YAML is quoted."""
    fleet = default_fleet(0)
    odd = {name: Deployment(name, "gpt-4o", "Standard", 1) for name in ("my dep/x", "1.5", 'a"b: c')}
    fleet = replace(fleet, resources={"east": replace(fleet.resources["east"], deployments=odd)})
    resources = YAML(typ="safe").load(Emulator(fleet).smalt_config())["resources"]
    assert list(resources["east"]["deployments"]) == list(odd)


def test_a_taken_port_is_told() -> None:
    """One line names the port and what to do, and no other port stays open."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        fleet = default_fleet(0)
        fleet = replace(fleet, resources={"east": replace(fleet.resources["east"], port=port)})
        message = f"port {port} of resource east is in use; stop what holds it, or choose another port"
        with pytest.raises(ConfigurationError, match=message), running(fleet):
            pass


def test_a_fixed_port_can_be_used_again_at_once() -> None:
    """Stopping gives every port back."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    fleet = replace(default_fleet(0), control_port=port)
    for _ in range(2):
        with running(fleet) as emulator:
            assert emulator.control_url == f"http://127.0.0.1:{port}"
            emulator.state()


def test_a_port_that_is_down_belongs_to_nobody_else() -> None:
    """While a resource is down its port stays claimed, so that it can come back."""
    with running() as emulator:
        emulator.set("east", "down")
        port = int(emulator.url("east").rpartition(":")[2])
        with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_stopping_cuts_what_is_in_flight(until: Callable[[Callable[[], bool]], None]) -> None:
    """A hanging request does not hold the emulator up."""
    with running() as emulator:
        emulator.set("east", "hang")
        host, port = emulator.url("east").removeprefix("http://").split(":")
        caller = socket.create_connection((host, int(port)), timeout=10)
        caller.sendall(b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: len(emulator.log()) == 1)
    with closing(caller):
        assert caller.recv(1) == b""


@pytest.mark.parametrize("factory", [event_loop, asyncio.new_event_loop])
def test_any_event_loop_will_do(factory: type[asyncio.AbstractEventLoop]) -> None:
    """Start, stop and start again work on the standard loop too."""

    async def live() -> None:
        emulator = Emulator(default_fleet(0))
        for _ in range(2):
            await emulator.start()
            host, port = emulator.url("east").removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 401 Unauthorized")
            writer.close()
            await emulator.stop()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(live())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    """Served in the foreground it tells when it is ready, and ends with status 0 and no complaint."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(number)
        _, complaint = process.communicate(timeout=10)
    assert (process.returncode, complaint) == (0, "")
