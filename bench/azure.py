"""The emulator as a process of its own, as fast as it can be: no waits, and limits nobody reaches."""

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.cpu import on_core

KEY = "east-key"
DEPLOYMENT, MODEL = "chat", "gpt-4o-mini"
EMBEDDING_DEPLOYMENT, EMBEDDING_MODEL = "vectors", "text-embedding-3-small"
PLENTY = 1_000_000  # thousands of tokens a minute: limits are not what is measured

FLEET = {
    "control_port": 0,
    "latency_ms": 0,
    "token_ms": 0,
    "resources": {
        "east": {
            "port": 0,
            "region": "eastus",
            "keys": [KEY],
            "deployments": {
                DEPLOYMENT: {"model": MODEL, "capacity": PLENTY},
                EMBEDDING_DEPLOYMENT: {"model": EMBEDDING_MODEL, "capacity": PLENTY},
            },
        }
    },
}


class Azure(NamedTuple):
    """The running emulator's process, and the endpoint of its one resource."""

    pid: int
    url: str


@contextmanager
def emulated() -> Iterator[Azure]:
    """On the first core, while the block runs."""
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as folder:
        fleet = Path(folder, "fleet.yaml")
        fleet.write_text(json.dumps(FLEET))  # JSON is YAML
        command = [sys.executable, "-m", "smalt", "emulate", "--config", str(fleet), "--json"]
        with on_core(0):
            emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  ours
        with emulator:
            try:
                (line,) = itertools.islice(emulator.stdout or (), 1)
                yield Azure(emulator.pid, json.loads(line)["resources"]["east"]["endpoint"])
            finally:
                emulator.terminate()
