"""Which resources the emulator plays: read from `fleet.yaml`, checked, frozen.

control_port: 8100          # 0: any free port
latency_ms: 20              # before each answer; also per resource
token_ms: 5                 # between the chunks of a stream; also per resource
resources:
  east:
    port: 8101              # 0: any free port
    region: eastus
    keys: [east-key-1, east-key-2]
    deployments:
      gpt-4o-prod: {model: gpt-4o, sku: Standard, capacity: 120}   # thousands of tokens a minute
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from smalt.emulator.catalogue import MODELS, REGIONS, SKUS
from smalt.errors import ConfigurationError

LATENCY_MS = 20.0
TOKEN_MS = 5.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Deployment:
    """`capacity`: thousands of tokens per minute."""

    name: str
    model: str
    sku: str
    capacity: int

    @property
    def limit_tpm(self) -> int:
        return self.capacity * 1_000


@dataclass(frozen=True, slots=True)
class Resource:
    """`port`: 0 for any free one. `keys`: one or two."""

    name: str
    port: int
    region: str
    keys: tuple[str, ...]
    deployments: Mapping[str, Deployment]
    latency_ms: float
    token_ms: float


@dataclass(frozen=True, slots=True)
class Fleet:
    control_port: int
    resources: Mapping[str, Resource]


def load_fleet(path: Path) -> Fleet:
    """Raises `ConfigurationError` with every fault found, one line each."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from error
    except YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML: {_one_line(error)}") from error
    reader = _Reader()
    fleet = reader.fleet(content)
    if reader.problems:
        raise ConfigurationError(f"{path}: the fleet cannot be used", problems=reader.problems)
    return fleet


def default_fleet(port_base: int, *, latency_ms: float = LATENCY_MS, token_ms: float = TOKEN_MS) -> Fleet:
    """Three regions that share the common models.

    `port_base`: the control port, the resources' follow it; 0: any free ones.
    """
    resources = {}
    for offset, (name, (region, capacities)) in enumerate(_DEFAULT.items(), start=1):
        deployments = (Deployment(f"{m}-prod", m, "Standard", capacity) for m, capacity in capacities.items())
        resources[name] = Resource(
            name=name,
            port=port_base + offset if port_base else 0,
            region=region,
            keys=tuple(hashlib.blake2b(f"{name}{n}".encode(), digest_size=16).hexdigest() for n in (1, 2)),
            deployments={deployment.name: deployment for deployment in deployments},
            latency_ms=latency_ms,
            token_ms=token_ms,
        )
    return Fleet(port_base, resources)


_COMMON = {"gpt-4o": 120, "gpt-4o-mini": 200}
_EMBEDDING = {"text-embedding-3-small": 240}
_DEFAULT: dict[str, tuple[str, dict[str, int]]] = {
    "east": ("eastus", {**_COMMON, "gpt-4-turbo": 80, "gpt-35-turbo": 240, **_EMBEDDING}),
    "sweden": (
        "swedencentral",
        {**_COMMON, "gpt-4.1": 100, "gpt-4.1-mini": 200, "gpt-4.1-nano": 200, **_EMBEDDING},
    ),
    "japan": ("japaneast", {"gpt-4o": 60, "gpt-4": 40, "gpt-35-turbo": 120}),
}


def _one_line(error: YAMLError) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


class _Reader:
    """Collects every problem; where it found one it goes on with something harmless."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._ports: dict[int, str] = {}

    def fleet(self, value: object) -> Fleet:
        fields = self._mapping("the file", value, {"control_port", "latency_ms", "token_ms", "resources"})
        pace = {
            "latency_ms": self._millis("latency_ms", fields.get("latency_ms", LATENCY_MS)),
            "token_ms": self._millis("token_ms", fields.get("token_ms", TOKEN_MS)),
        }
        control_port = self._port("control_port", fields.get("control_port"))
        named = self._named("resources", fields.get("resources"))
        for name in named:
            if not _NAME.fullmatch(name):
                self._tell(f"resources.{name}", "use letters, digits, - and _ in the name")
        return Fleet(control_port, {name: self._resource(name, spec, pace) for name, spec in named.items()})

    def _resource(self, name: str, value: object, pace: Mapping[str, float]) -> Resource:
        path = f"resources.{name}"
        known = {"port", "region", "keys", "deployments", "latency_ms", "token_ms"}
        fields = self._mapping(path, value, known)
        specs = self._named(f"{path}.deployments", fields.get("deployments"))
        return Resource(
            name=name,
            port=self._port(f"{path}.port", fields.get("port")),
            region=self._one_of(f"{path}.region", fields.get("region"), REGIONS),
            keys=self._keys(f"{path}.keys", fields.get("keys")),
            deployments={
                key: self._deployment(f"{path}.deployments.{key}", key, spec) for key, spec in specs.items()
            },
            latency_ms=self._millis(f"{path}.latency_ms", fields.get("latency_ms", pace["latency_ms"])),
            token_ms=self._millis(f"{path}.token_ms", fields.get("token_ms", pace["token_ms"])),
        )

    def _deployment(self, path: str, name: str, value: object) -> Deployment:
        fields = self._mapping(path, value, {"model", "sku", "capacity"})
        return Deployment(
            name=name,
            model=self._one_of(f"{path}.model", fields.get("model"), MODELS),
            sku=self._one_of(f"{path}.sku", fields.get("sku", "Standard"), SKUS),
            capacity=self._whole(
                f"{path}.capacity", fields.get("capacity"), 1, 1_000_000, "thousands of tokens a minute"
            ),
        )

    def _tell(self, path: str, advice: str) -> None:
        self.problems.append(f"{path}: {advice}")

    def _mapping(self, path: str, value: object, known: Collection[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._tell(path, f"write a mapping with {', '.join(sorted(known))}")
            return {}
        for key in value:
            if key not in known:
                self._tell(f"{path}.{key}", f"is not known; use {', '.join(sorted(known))}")
        return value

    def _named(self, path: str, value: object) -> dict[str, Any]:
        if isinstance(value, dict) and value:
            return {str(key): entry for key, entry in value.items()}
        self._tell(path, "write at least one, by name")
        return {}

    def _one_of(self, path: str, value: object, known: Collection[str]) -> str:
        if isinstance(value, str) and value in known:
            return value
        self._tell(path, f"got {value!r}; use one of {', '.join(known)}")
        return ""

    def _whole(self, path: str, value: object, low: int, high: int, what: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self._tell(path, f"got {value!r}; write {what}, a whole number from {low} to {high}")
        return low

    def _port(self, path: str, value: object) -> int:
        port = self._whole(path, value, 0, 65_535, "a port, or 0 for any free one")
        if port and self._ports.setdefault(port, path) != path:
            self._tell(path, f"port {port} is already that of {self._ports[port]}; choose another")
        return port

    def _millis(self, path: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
            return float(value)
        self._tell(path, f"got {value!r}; write milliseconds, 0 or more")
        return 0.0

    def _keys(self, path: str, value: object) -> tuple[str, ...]:
        if isinstance(value, list) and len(value) in {1, 2} and all(isinstance(k, str) and k for k in value):
            return tuple(value)
        self._tell(path, "write a list of one or two keys, each a text (in quotes if it is all digits)")
        return ()
