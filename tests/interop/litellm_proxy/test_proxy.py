"""A LiteLLM proxy as the first step of a route, Azure as the second: all of them processes. The emulator is
Azure, on both ways."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import openai
import pytest

from smalt.emulator.fleet import load_fleet
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.skipif("INTEROP_HOME" not in os.environ, reason="run by make interop")

KEY = "sk-proxy-0123456789"  # of the proxy, and of the gateway
START_S = 90.0
CHAT, VECTORS = "gpt-4o", "text-embedding-3-small"
BEHIND, DIRECT, OPENAI = "east", "sweden", "sweden"  # what the emulator plays; OpenAI in the shape of its v1
HELLO: Any = [{"role": "user", "content": "Say hello."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PATHS = {"proxy": f"proxy/{CHAT}", "azure": f"azure/{CHAT}-prod", "openai": f"openai/{CHAT}-prod"}
OF_EACH_ANSWER = {"id", "created"}
OF_ONE_PATH = {"content_filter_results", "prompt_filter_results", "provider_specific_fields", "cost"}
FAULTS = {
    "fails": "server_error",
    "is throttled": "rate_limit_tokens_classic",
    "has no key": "invalid_api_key",
}


class Proxy:
    """The process; `restart` after it was killed."""

    def __init__(self, folder: Path, azure: Handle) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port: int = server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        (folder / "config.yaml").write_text(json.dumps(proxy_settings(azure)))  # JSON is YAML
        self.process = self._start()

    def restart(self) -> None:
        if self.process.poll() is not None:
            self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [
            Path(os.environ["INTEROP_HOME"], "bin/litellm"),
            "--config",
            "config.yaml",
            "--host",
            "127.0.0.1",
        ]
        offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "DO_NOT_TRACK": "1"}
        log = self._folder / "litellm.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=self._folder,
                env=os.environ | offline,
                stdout=output,
                stderr=output,
            )
        try:
            until(lambda: listens(self.port) or process.poll() is not None, START_S, log.read_text)
            assert process.poll() is None, log.read_text()
        except BaseException:
            process.kill()
            raise
        return process


def proxy_settings(azure: Handle) -> dict[str, Any]:
    def deployment(model: str) -> dict[str, Any]:
        params = {
            "model": f"azure/{model}-prod",
            "api_base": azure.url(BEHIND),
            "api_key": azure.key(BEHIND),
            "api_version": "2024-10-21",
        }
        return {"model_name": model, "litellm_params": params}

    return {
        "model_list": [deployment(CHAT), deployment(VECTORS)],
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},  # smalt is the one that retries
    }


def gateway_settings(proxy: Proxy, azure: Handle, order: tuple[str, ...], key: str = KEY) -> dict[str, Any]:
    """The order is one line."""
    of_openai = {"kind": "openai", "allow_http": True}
    models = {f"{CHAT}-prod": {"model": CHAT}, f"{VECTORS}-prod": {"model": VECTORS}}
    vectors = [PATHS[name].replace(CHAT, VECTORS) for name in order]
    return {
        "resources": {
            "proxy": {
                "endpoint": f"{proxy.url}/v1",
                "api_keys": [key],
                "deployments": {name: {"model": name} for name in (CHAT, VECTORS)},
                **of_openai,
            },
            "azure": {"endpoint": azure.url(DIRECT), "api_keys": [azure.key(DIRECT)], "deployments": models},
            "openai": {
                "endpoint": f"{azure.url(OPENAI)}/openai/v1",
                "api_keys": [azure.key(OPENAI)],
                "deployments": models,
                **of_openai,
            },
        },
        "models": {CHAT: {"route": [PATHS[name] for name in order]}, VECTORS: {"route": vectors}},
        "retry": {"after_timeout": True},
        "timeouts": {"connect_s": 2, "total_s": 20, "stream_first_byte_s": 3, "stream_idle_s": 20},
        "gateway": {"listen": "127.0.0.1:0", "keys": [{"alias": "tests", "key": KEY}]},
    }


class Gateway:
    """`smalt serve`; `play` changes its settings and waits until they are in force."""

    def __init__(self, proxy: Proxy, azure: Handle, folder: Path) -> None:
        self._proxy, self._azure, self._file = proxy, azure, folder / "smalt.yaml"
        self.url = ""

    def write(self, *order: str, key: str = KEY) -> None:
        self._file.write_text(json.dumps(gateway_settings(self._proxy, self._azure, order, key)))

    def play(self, *order: str, key: str = KEY) -> None:
        before = self._in_force_since()
        time.sleep(1.0)  # it is told to the second
        self.write(*order, key=key)
        until(lambda: self._in_force_since() != before, 10.0, lambda: "the file was not read anew")

    def _in_force_since(self) -> str:
        with urlopen(f"{self.url}/health") as answer:  # noqa: S310  ours
            since: str = json.load(answer)["configuration"]["in_force_since"]
            return since


def until(holds: Callable[[], bool], within_s: float, otherwise: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, otherwise()
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def azure() -> Iterator[Handle]:
    with running(load_fleet(Path(__file__).parents[1] / "azure.yaml")) as handle:
        yield handle


@pytest.fixture(scope="module")
def started(azure: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path_factory.mktemp("litellm"), azure)
    yield proxy
    proxy.process.kill()
    proxy.process.wait()


@pytest.fixture
def proxy(started: Proxy, azure: Handle) -> Proxy:
    azure.reset()
    started.restart()
    return started


@pytest.fixture
def gateway(proxy: Proxy, azure: Handle, tmp_path: Path) -> Iterator[Gateway]:
    """Through the proxy first."""
    gateway = Gateway(proxy, azure, tmp_path)
    gateway.write(*PATHS)
    command = [sys.executable, "-m", "smalt", "serve", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        gateway.url = json.loads(process.stdout.readline())["url"]
        try:
            yield gateway
        finally:
            process.terminate()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    url = f"{gateway.url}/v1"
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


def chat(client: openai.OpenAI, **more: Any) -> tuple[str, Any]:
    """Who answered, and what: of a stream its chunks."""
    raw = client.chat.completions.with_raw_response.create(
        **{"model": CHAT, "messages": HELLO, "seed": 7, **more}
    )
    answer = raw.parse()
    hop = raw.headers["x-smalt-upstream"].partition("/")[0]
    return hop, list(answer) if more.get("stream") else answer


def alike(value: Any) -> Any:
    """Without what differs from answer to answer, and what Azure or LiteLLM alone says."""
    if isinstance(value, dict):
        dropped = OF_EACH_ANSWER | OF_ONE_PATH
        return {name: alike(one) for name, one in value.items() if name not in dropped and one is not None}
    return [alike(one) for one in value] if isinstance(value, list) else value


def seen(client: openai.OpenAI, path: str) -> dict[str, Any]:
    """What callers look at, by what was asked. LiteLLM gives its own name of a model."""
    found: dict[str, Any] = {}
    for name, more in {"whole": {}, "tools": {"tools": [WEATHER]}}.items():
        hop, answer = chat(client, **more)
        assert hop == path
        found[name] = alike(answer.model_dump(exclude={"model"}))
    hop, chunks = chat(client, stream=True, stream_options={"include_usage": True})
    assert hop == path
    choices = [choice for chunk in chunks for choice in chunk.choices]
    found["stream"] = "".join(choice.delta.content or "" for choice in choices)
    found["finish"] = [choice.finish_reason for choice in choices if choice.finish_reason]
    found["usage"] = alike(next(chunk.usage.model_dump() for chunk in chunks if chunk.usage))
    vectors = client.embeddings.create(model=VECTORS, input=["blue", "glass"]).data
    found["vectors"] = [[round(part, 6) for part in vector.embedding] for vector in vectors]
    return found


def refused(client: openai.OpenAI, **more: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        chat(client, **more)
    return caught.value


def test_req_4_1_through_the_proxy(client: openai.OpenAI, azure: Handle) -> None:
    """Chat, stream, tools, embeddings; the header names the hop."""
    found = seen(client, "proxy")
    assert found["whole"]["choices"][0]["message"]["content"]
    assert found["tools"]["choices"][0]["message"]["tool_calls"]
    assert [len(vector) for vector in found["vectors"]] == [1_536, 1_536]
    assert azure.log(BEHIND)
    assert not azure.log(DIRECT)


def test_req_4_2_another_order(gateway: Gateway, client: openai.OpenAI, azure: Handle) -> None:
    """By one line, while the gateway runs."""
    gateway.play("azure", "proxy", "openai")
    assert chat(client)[0] == "azure"
    assert not azure.log(BEHIND)
    gateway.play("openai", "proxy")
    assert chat(client)[0] == "openai"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error", FAULTS.values(), ids=FAULTS)
def test_req_4_3_a_proxy_without_azure(
    client: openai.OpenAI, azure: Handle, error: str, *, stream: bool
) -> None:
    """Whatever LiteLLM makes of Azure's refusal, the next step answers."""
    azure.set(BEHIND, "error", error=error)
    hop, answer = chat(client, stream=stream)
    assert (hop, bool(answer)) == ("azure", True)
    assert azure.log(BEHIND)


def test_req_4_3_a_proxy_that_hangs(proxy: Proxy, client: openai.OpenAI) -> None:
    """Its connections stand, and nothing comes: the time for the first byte, once."""
    proxy.process.send_signal(signal.SIGSTOP)
    try:
        hop, chunks = chat(client, stream=True)
    finally:
        proxy.process.send_signal(signal.SIGCONT)
    assert (hop, bool(chunks)) == ("azure", True)


def test_req_4_3_a_proxy_that_is_gone(proxy: Proxy, client: openai.OpenAI) -> None:
    """Killed between two requests, the next of which would have gone over a kept connection."""
    assert chat(client)[0] == "proxy"
    proxy.process.kill()
    proxy.process.wait()
    for stream in (False, True):
        hop, answer = chat(client, stream=stream)
        assert (hop, bool(answer)) == ("azure", True)


def test_req_4_4_answers_are_alike(gateway: Gateway, client: openai.OpenAI) -> None:
    """Whoever gives them."""
    found = []
    for path in PATHS:
        gateway.play(path)
        found.append(seen(client, path))
    for asked, by_proxy in found[0].items():
        assert [other[asked] for other in found[1:]] == [by_proxy, by_proxy], asked


@pytest.mark.parametrize("more", [{"temperature": 9}, {"messages": []}], ids=str)
def test_req_4_4_errors_are_alike(gateway: Gateway, client: openai.OpenAI, more: dict[str, Any]) -> None:
    """LiteLLM puts its own words around the message, and the status in place of the code."""
    errors = {}
    for path in PATHS:
        gateway.play(path)
        errors[path] = refused(client, **more)
    assert len({(type(error), error.status_code, error.type, error.param) for error in errors.values()}) == 1
    assert errors["azure"].body == errors["openai"].body
    message = errors["azure"].body["message"]
    assert message in errors["proxy"].body["message"]


def test_req_4_4_when_every_path_is_lost(client: openai.OpenAI, azure: Handle) -> None:
    """One error, with a line for each."""
    for resource in (BEHIND, DIRECT):
        azure.set(resource, "error", error="server_error")
    error = refused(client)
    assert (error.status_code, error.code) == (503, "service_unavailable")
    causes = error.body["causes"]
    assert all(any(PATHS[path] in cause for cause in causes) for path in PATHS)
