"""The processes of the story: an emulator of Azure and a gateway before it."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from smalt.cli.processes import child

CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
OTHERS_SETTINGS = ("AZURE_", "OPENAI_", "SMALT_")

# The tour is about a lost region: its bursts must not meet the limits of a second, which Azure has too.
FLEET = {
    "control_port": 0,
    "resources": {
        name: {
            "port": 0,
            "region": region,
            "keys": [f"{name}-key"],
            "deployments": {
                f"{model}-prod": {"model": model, "capacity": 100_000}
                for model in (CHAT_MODEL, EMBEDDING_MODEL)
            },
        }
        for name, region in {"east": "eastus", "sweden": "swedencentral"}.items()
    },
}


@dataclass(frozen=True, slots=True)
class Region:
    """A resource of the emulator. `chat`: its deployment of the chat model."""

    resource: str
    name: str
    endpoint: str
    api_key: str
    chat: str


class Emulator:
    """The emulator's control plane: Azure's side of the story."""

    def __init__(self, announced: dict[str, Any], client: httpx2.Client) -> None:
        self.url: str = announced["control_url"]
        self.pid: int = announced["pid"]
        self.regions = [_region(name, told) for name, told in announced["resources"].items()]
        self._client = client

    def pace(self, *, latency_ms: float, token_ms: float = 0) -> None:
        """How long every region thinks before an answer, and between two pieces of a stream."""
        for region in self.regions:
            self._set(region, {"latency_ms": latency_ms, "token_ms": token_ms})

    def cut(self, region: Region) -> None:
        """Drop its connections and refuse new ones."""
        self._set(region, {"mode": "down"})

    def restore(self, region: Region) -> None:
        self._set(region, {"mode": "up"})

    def in_flight(self) -> dict[str, int]:
        """Requests being answered at this moment, by resource."""
        state = self._client.get(f"{self.url}/_emulator/state").raise_for_status().json()
        return {name: resource["in_flight"] for name, resource in state["resources"].items()}

    def bill(self) -> dict[str, dict[str, int]]:
        """What Azure would put on the invoice, by `resource/deployment`."""
        answer = self._client.get(f"{self.url}/_emulator/bill?limit=0").raise_for_status()
        bill: dict[str, dict[str, int]] = answer.json()["deployments"]
        return bill

    def _set(self, region: Region, switches: dict[str, Any]) -> None:
        url = f"{self.url}/_emulator/resources/{region.resource}"
        self._client.post(url, json=switches).raise_for_status()


class Gateway:
    """What the application knows of the gateway, and its operator's view."""

    def __init__(self, announced: dict[str, Any], client: httpx2.Client) -> None:
        self.url: str = announced["url"]
        self.pid: int = announced["pid"]
        self.key: str = announced["gateway_key"]
        self._admin = {"authorization": f"Bearer {announced['admin_key']}"}
        self._client = client

    def usage(self) -> dict[str, dict[str, Any]]:
        """Its own sums, by `resource/deployment`."""
        usage: dict[str, dict[str, Any]] = self._ask("usage")["upstreams"]
        return usage

    def rests_for_s(self, upstream: str) -> float:
        """How long it will still leave an upstream alone; 0: not at all."""
        return float(next(row["rests_for_s"] for row in self._ask("upstreams") if row["name"] == upstream))

    def _ask(self, page: str) -> Any:
        answer = self._client.get(f"{self.url}/admin/v1/{page}", headers=self._admin)
        return answer.raise_for_status().json()


@dataclass(frozen=True, slots=True)
class Scene:
    """`config`: the smalt.yaml that gateway and library share."""

    emulator: Emulator
    gateway: Gateway
    config: Path


@contextmanager
def scene(seed: int) -> Iterator[Scene]:
    """Both processes, on free ports and in a temporary folder; both end with this block."""
    for name in list(os.environ):  # what this machine is set to must not lead the tour elsewhere
        if name.startswith(OTHERS_SETTINGS):
            del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="smalt-demo-") as folder, httpx2.Client(timeout=10) as client:
        fleet, config = Path(folder, "fleet.yaml"), Path(folder, "smalt.yaml")
        fleet.write_text(json.dumps(FLEET))  # JSON is YAML
        emulate = ("emulate", "--config", str(fleet), "--seed", str(seed), "--write-config", str(config))
        serve = ("serve", "--config", str(config), "--listen", "127.0.0.1:0")
        with child(*emulate) as emulator, child(*serve) as gateway:
            yield Scene(Emulator(emulator, client), Gateway(gateway, client), config)


def _region(name: str, told: dict[str, Any]) -> Region:
    chat = next(deployment for deployment, model in told["deployments"].items() if model == CHAT_MODEL)
    return Region(name, told["region"], told["endpoint"], told["api_keys"][0], chat)
