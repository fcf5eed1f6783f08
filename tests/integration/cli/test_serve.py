"""`smalt serve` as a process: what it says, what it answers, how it ends."""

import json
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.cli.commands import announced, end, gone, read_until, running, smalt

from smalt.emulator.testing import Handle
from smalt.emulator.testing import running as emulating

SMALLEST = """
resources:
  east:
    endpoint: https://contoso.openai.azure.com
    api_keys: [a-key]
    deployments: {gpt-4o-prod: {model: gpt-4o}}
"""
FREE_PORT = ("--listen", "127.0.0.1:0")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Handle]:
    with emulating() as handle:
        yield handle


@pytest.fixture(scope="module")
def folder(emulator: Handle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a smalt.yaml that leads to the emulator."""
    path = tmp_path_factory.mktemp("serve")
    (path / "smalt.yaml").write_text(emulator.config_text)
    return path


@pytest.fixture(scope="module")
def greeting(folder: Path) -> Iterator[str]:
    """What a gateway that runs says to people."""
    with running("serve", *FREE_PORT, cwd=folder) as gateway:
        yield read_until("curl", gateway)
        code, said = end(gateway, signal.SIGINT)
        assert code == 0
        assert re.fullmatch(r"(.*: 1, the last from 127\.0\.0\.1\n)?", said)  # the request without a key


def test_the_curl_line_works(greeting: str) -> None:
    """The line shown is complete: pasted, it brings an answer."""
    line = next(line for line in greeting.splitlines() if "curl" in line)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"]


def test_the_greeting_tells_what_is_served(greeting: str) -> None:
    """Address, models, routes and the keys made for this run."""
    for expected in (
        r"listens on http://127\.0\.0\.1:\d+;",
        r"models +gpt-4o, gpt-4o-mini",
        r"POST /v1/chat/completions",
        r"POST /openai/deployments/",
        r"gateway key +gw_\S+",
        r"admin key +adm_\S+",
    ):
        assert re.search(expected, greeting), expected


def test_the_port_is_open_when_it_is_announced(greeting: str) -> None:
    """A script may connect at once."""
    url = shlex.split(greeting.splitlines()[-1])[2]
    assert httpx2.post(url, json={}, trust_env=False).status_code == 401


def test_sigterm_lets_requests_end(emulator: Handle, folder: Path) -> None:
    """A request under way is answered before the gateway ends, with exit code 0."""
    answers: list[httpx2.Response] = []

    def ask(told: dict[str, Any]) -> None:
        body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"authorization": f"Bearer {told['gateway_key']}"}
        url = f"{told['url']}/v1/chat/completions"
        answers.append(httpx2.post(url, json=body, headers=headers, trust_env=False))

    emulator.set("sweden", latency_ms=700)
    try:
        with running("serve", *FREE_PORT, "--json", cwd=folder) as gateway:
            told = announced(gateway)
            asking = threading.Thread(target=ask, args=(told,))
            asking.start()
            while not emulator.state()["resources"]["sweden"]["in_flight"]:
                time.sleep(0.01)
            code, rest = end(gateway)
            asking.join()
    finally:
        emulator.reset()

    assert (code, rest) == (0, "")
    assert [answer.status_code for answer in answers] == [200]


def test_without_configuration_an_emulator_stands_behind_it(tmp_path: Path) -> None:
    """`make run` on a fresh clone: it says so, answers, and both processes end together."""
    with running("serve", "--emulate-if-unconfigured", *FREE_PORT, "--json", cwd=tmp_path) as gateway:
        told = announced(gateway)
        answer = httpx2.get(
            f"{told['url']}/v1/models",
            headers={"authorization": f"Bearer {told['gateway_key']}"},
            trust_env=False,
        )
        code, _ = end(gateway, signal.SIGINT)

        assert [model["id"] for model in answer.json()["data"]] == told["models"]
        assert code == 0
        assert gone(told["emulator"]["pid"])
    assert list(tmp_path.iterdir()) == []


def test_a_killed_gateway_takes_its_emulator_along(tmp_path: Path) -> None:
    """Nothing is left running by kill -9."""
    with running("serve", "--emulate-if-unconfigured", *FREE_PORT, "--json", cwd=tmp_path) as gateway:
        told = announced(gateway)
        gateway.kill()

        assert gone(told["emulator"]["pid"])


def test_a_port_in_use_is_one_line(folder: Path) -> None:
    """It names the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = smalt("serve", "--listen", f"127.0.0.1:{port}", cwd=folder, code=1)
    assert said.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SMALLEST.replace("api_keys", "api_kes"), r"smalt\.yaml:5:5: resources\.east\.api_kes: .*api_keys"),
        (SMALLEST.replace("a-key", "'${NO_SUCH_VARIABLE}'"), r"smalt\.yaml:5:.* NO_SUCH_VARIABLE is not set"),
        (SMALLEST + "gateway: {listen: everywhere}", r"smalt\.yaml:7:.*expected host:port"),
        ("resources: [", r"smalt\.yaml:\d+:\d+:"),
        (None, r"AZURE_OPENAI_ENDPOINT: endpoint is required"),
    ],
    ids=["unknown key", "missing variable", "bad address", "no YAML", "no configuration"],
)
def test_a_fault_of_the_configuration_is_said_plainly(text: str | None, problem: str, tmp_path: Path) -> None:
    """One clear line for each fault, at its place, and no traceback."""
    if text is not None:
        (tmp_path / "smalt.yaml").write_text(text)
    said = smalt("serve", *FREE_PORT, cwd=tmp_path, code=1)
    assert re.search(problem, said), said


def test_a_wrong_call_is_exit_code_2(folder: Path) -> None:
    """What is wrong with the arguments is told apart from what is wrong with the world."""
    assert "expected host:port" in smalt("serve", "--listen", "8000", cwd=folder, code=2)
