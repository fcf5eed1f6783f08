"""The proxies that are compared, each a process of its own before the same two servers."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench import nginx

KEY = "gw-bench-0123456789abcdef"  # of callers; nginx lets any pass
STREAMED = "/openai/deployments/streamed/"
OTHERS = ("AZURE_", "OPENAI_", "SMALT_")  # variables that would configure smalt


class Proxy(NamedTuple):
    name: str
    port: int
    pid: int

    def memory_kb(self) -> int:
        """What it holds of the memory, in KiB; what it shares is divided by those who share it."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split()[0])


@contextmanager
def plain_nginx(whole: int, streamed: int) -> Iterator[Proxy]:
    """Before the servers on these two ports: of whole answers, and of streams."""
    port, to = nginx.free_port(), nginx.TO
    rules = (
        f"location / {{ {to.format(name='whole')} }} "
        f"location {STREAMED} {{ {to.format(name='streamed')} proxy_buffering off; }}"
    )
    with nginx.started(nginx.find(), port, rules, {"whole": whole, "streamed": streamed}) as process:
        yield Proxy("nginx", port, process.pid)


@contextmanager
def smalt(whole: int, streamed: int) -> Iterator[Proxy]:
    """`smalt serve` as anybody would configure it: a key, and quotas of which limits follow."""

    def resource(port: int, name: str, model: str) -> dict[str, object]:
        deployments = {name: {"model": model, "quota_tpm": "1000m"}}
        return {"endpoint": f"http://127.0.0.1:{port}", "api_keys": ["azure-key"], "deployments": deployments}

    settings = {
        "resources": {
            "whole": resource(whole, "chat", "gpt-4o-mini"),
            "streamed": resource(streamed, "streamed", "gpt-4o"),
        },
        "gateway": {"listen": "127.0.0.1:0", "keys": [{"alias": "bench", "key": "${BENCH_KEY}"}]},
    }
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as folder:
        Path(folder, "smalt.yaml").write_text(json.dumps(settings))  # JSON is YAML
        command = [sys.executable, "-m", "smalt", "serve", "--json"]
        env = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
        env["BENCH_KEY"] = KEY
        with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            try:
                (line,) = islice(process.stdout or (), 1)
                yield Proxy("smalt", int(json.loads(line)["url"].rpartition(":")[2]), process.pid)
            finally:
                process.terminate()
