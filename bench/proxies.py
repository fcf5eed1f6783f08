"""The proxies that are compared, each a process of its own before the same server."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import asked, nginx
from bench.debian import Missing

START_S = 120.0
STOP_S = 10.0
OTHERS = ("AZURE_", "OPENAI_", "SMALT_", "LITELLM_", "VIRTUAL_ENV", "PYTHON")  # would configure a proxy
MIB = 1_024
SECONDS = 2


class Proxy(NamedTuple):
    """`path`: of chat requests, with a place for the model. `seconds`: of load that it needs in a round."""

    name: str
    port: int
    pid: int
    path: str
    seconds: int = SECONDS

    def memory_mib(self) -> float:
        """What is resident, shared pages too."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("\nVmRSS:")[2].split()[0]) / MIB


class Program(NamedTuple):
    """`words`: the command that serves at a port before another one; it may write files to its folder."""

    name: str
    path: str
    words: Callable[[Path, int, int], Sequence[str | Path]]
    env: Mapping[str, str] = {}
    seconds: int = SECONDS


@contextmanager
def serving(program: Program, behind: int) -> Iterator[Proxy]:
    """`behind`: the port of the server that answers. Raises Missing."""
    port = nginx.free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as name:
        folder = Path(name)
        words = program.words(folder, port, behind)
        output = folder / "output"
        with output.open("wb") as told:
            env |= {"BENCH_KEY": asked.KEY, **program.env}
            process = subprocess.Popen(words, cwd=folder, env=env, stdout=told, stderr=told)  # noqa: S603  ours
        try:
            if not nginx.listens(process, port, START_S):
                raise Missing(f"{program.name} did not start: {output.read_text(errors='replace')[-500:]}")
            yield Proxy(program.name, port, process.pid, program.path, program.seconds)
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """By force, if it takes its time."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def plain_nginx(behind: int) -> Iterator[Proxy]:
    """Raises Missing."""
    port = nginx.free_port()
    to = nginx.TO.format(name="backend")
    rules = f"location / {{ {to} }} location ~ {asked.STREAMED} {{ {to} proxy_buffering off; }}"
    with nginx.started(nginx.find(), port, rules, {"backend": behind}) as process:
        yield Proxy("nginx", port, process.pid, asked.AZURE)


def _serve(folder: Path, port: int, behind: int) -> Sequence[str]:
    """As anybody would configure it: a key, and quotas of which limits follow."""
    quota = {"quota_tpm": "1000m"}
    deployments = {
        asked.WHOLE: {"model": "gpt-4o-mini", **quota},
        asked.STREAMED: {"model": "gpt-4o", **quota},
    }
    azure = {
        "endpoint": f"http://127.0.0.1:{behind}",
        "api_keys": ["${BENCH_KEY}"],
        "deployments": deployments,
    }
    gateway = {"listen": f"127.0.0.1:{port}", "keys": [{"alias": "bench", "key": "${BENCH_KEY}"}]}
    settings = {"resources": {"azure": azure}, "gateway": gateway}
    (folder / "smalt.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return [sys.executable, "-m", "smalt", "serve"]


SMALT = Program("smalt", asked.AZURE, _serve)
