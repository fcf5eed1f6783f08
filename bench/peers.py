"""Other gateways, each in an environment of its own beside the project's: PEERS=1 make bench."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench import asked
from bench.debian import Missing
from bench.proxies import Program, Proxy, serving

ROOT = Path(__file__).parent.parent
BIN = ROOT / ".venv/bin"
NEWEST = "2026-11-21T00:00:00Z"  # what these packages need is taken as it was then


class Peer(NamedTuple):
    """`python`: what it runs on, as uv finds it."""

    program: Program
    package: str
    python: str = str(BIN / "python")


def home(name: str) -> Path:
    return ROOT / f".venv-peers-{name}"


def _litellm(folder: Path, port: int, behind: int) -> Sequence[str | Path]:
    def model(name: str) -> dict[str, object]:
        url = f"http://127.0.0.1:{behind}/{name}/v1"
        params = {"model": f"openai/{name}", "api_base": url, "api_key": "os.environ/BENCH_KEY"}
        return {"model_name": name, "litellm_params": params}

    settings = {
        "model_list": [model(asked.WHOLE), model(asked.STREAMED)],
        "general_settings": {"master_key": "os.environ/BENCH_KEY"},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    litellm = home("litellm") / "bin/litellm"
    return [litellm, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]


def _rolter(folder: Path, port: int, behind: int) -> Sequence[str | Path]:
    lines = ["[server]", 'host = "127.0.0.1"', f"port = {port}"]
    for name in (asked.WHOLE, asked.STREAMED):
        lines += [
            "[[providers]]",
            f'name = "{name}"',
            'kind = "openai_compatible"',
            f'api_base = "http://127.0.0.1:{behind}/{name}"',
            "[[routes]]",
            f'model = "{name}"',
            'strategy = "round_robin"',
            "[[routes.targets]]",
            f'provider = "{name}"',
            f'model = "{name}"',
        ]
    (folder / "rolter.toml").write_text("\n".join(lines))
    return [home("rolter") / "bin/rolter", "gateway", "--config", "rolter.toml"]


def _aoai_proxy(_folder: Path, port: int, behind: int) -> Sequence[str | Path]:
    """It passes Azure's paths on; of OpenAI's it knows no chat."""
    program = home("aoai-proxy") / "bin/aoai_proxy"
    endpoint = f"AOAI_PROXY_AZURE_OPENAI_ENDPOINT=http://127.0.0.1:{behind}"
    return ["env", endpoint, program, "--host", "127.0.0.1", "--port", str(port)]


OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
TOKEN = {"AOAI_PROXY_AZURE_OPENAI_BEARER_TOKEN": "token", "AOAI_PROXY_AZURE_OPENAI_DEPLOYMENT": asked.WHOLE}
PEERS = (
    Peer(Program("litellm", asked.OPENAI, _litellm, OFFLINE, seconds=10), "litellm[proxy]==1.106.2"),
    Peer(Program("rolter", asked.OPENAI, _rolter), "rolter==0.1.0"),
    Peer(Program("aoai-proxy", asked.AZURE, _aoai_proxy, TOKEN), "aoai-proxy==0.1.13", ">=3.12"),
)


def running(stack: ExitStack, behind: int) -> Iterator[Proxy]:
    """Those that can be had here; of the others it is said why not."""
    for peer in PEERS:
        try:
            prepare(peer)
            yield stack.enter_context(serving(peer.program, behind))
        except Missing as missing:
            sys.stderr.write(f"{missing}\n")


def prepare(peer: Peer) -> None:
    """Raises Missing."""
    place = home(peer.program.name)
    if (place / ".ready").exists():
        return
    sys.stderr.write(f"preparing {place.name}\n")
    commands: list[list[str | Path]] = [
        [BIN / "uv", "venv", "--quiet", "--clear", "--python", peer.python, place],
        [BIN / "uv", "pip", "install", "--quiet", "--python", place, "--exclude-newer", NEWEST, peer.package],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            reason = " ".join(done.stderr.split())
            raise Missing(f"{peer.program.name} is left out, its environment cannot be made: {reason[:300]}")
    (place / ".ready").touch()
