"""Which resources the emulator plays: read from `fleet.yaml`, checked, frozen.

control_port: 8100          # 0: any free port
latency_ms: 20              # before each answer; also per resource
first_token_ms: 0           # after that, before the first token; also per resource
token_ms: 5                 # between the chunks of a stream; also per resource
speed: 1                    # how many times shorter limits and waits are than Azure's
quotas:                     # optional: what the deployments may take together
  - {region: eastus, model: gpt-4o, sku: Standard, capacity: 240}
  - {region: eastus, sku: ProvisionedManaged, ptu: 100}
resources:
  east:
    port: 8101              # 0: any free port
    region: eastus
    subscription: default   # default
    keys: [east-key-1, east-key-2]
    disable_local_auth: false   # default; true: the keys are refused
    deployments:
      gpt-4o-prod: {model: gpt-4o, sku: Standard, capacity: 120}   # thousands of tokens a minute
      gpt-4o-ptu: {model: gpt-4o, sku: ProvisionedManaged, ptu: 50, spillover: gpt-4o-prod}
      gpt-4o-old: {model: gpt-4o, version: 2024-08-06, capacity: 10}   # default: the newest version
      gpt-4o-late: {model: gpt-4o, capacity: 10, content_filter: async, faults: [{kind: gzip}]}
    faults:                 # see `smalt.emulator.faults.registry`; those of a deployment strike only there
      - {kind: error, error: server_error, times: 3}

Also `answers`: see `smalt.emulator.canned`; `pass_through`: see `smalt.emulator.pass_through` (Responses are
answered here all the same); `identity`, `vaults` and `tls`: see `smalt.emulator.identity.spec`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from smalt.emulator.canned import Rule, read_answers
from smalt.emulator.catalogue import REGIONS
from smalt.emulator.deployments import (
    SUBSCRIPTION,
    Deployment,
    Pool,
    check_quotas,
    check_spillovers,
    read_deployment,
    read_quotas,
    used,
)
from smalt.emulator.faults.registry import read_faults
from smalt.emulator.faults.script import Fault
from smalt.emulator.identity.preset import preset
from smalt.emulator.identity.spec import (
    ACCOUNTS,
    VAULTS,
    Identity,
    IdentityReader,
    Tls,
    Vault,
    arm_id,
)
from smalt.emulator.pass_through import PassThrough, read_pass_through
from smalt.emulator.reading import Reader
from smalt.errors import ConfigurationError

LATENCY_MS = 20.0
TOKEN_MS = 5.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


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
    subscription: str = SUBSCRIPTION
    disable_local_auth: bool = False
    faults: tuple[Fault, ...] = ()
    first_token_ms: float = 0.0

    @property
    def arm_id(self) -> str:
        return arm_id(self.subscription, ACCOUNTS, self.name)


@dataclass(frozen=True, slots=True)
class Fleet:
    """`speed`: how many times shorter limits and waits are. `quotas`: capacity of limited pools."""

    control_port: int
    resources: Mapping[str, Resource]
    speed: float = 1.0
    quotas: Mapping[Pool, int] = field(default_factory=dict)
    identity: Identity | None = None
    vaults: Mapping[str, Vault] = field(default_factory=dict)
    tls: Tls | None = None
    answers: tuple[Rule, ...] = ()
    pass_through: PassThrough | None = None

    def adapted(self, *, speed: float | None = None, tls: bool = False) -> "Fleet":
        """The same at another speed, or over TLS even if it does not say so itself."""
        return replace(self, speed=speed or self.speed, tls=self.tls or (Tls() if tls else None))

    def arm_ids(self) -> dict[str, str]:
        """Those of resources and vaults, by name."""
        resources = {name: resource.arm_id for name, resource in self.resources.items()}
        return resources | {name: arm_id(SUBSCRIPTION, VAULTS, name) for name in self.vaults}

    def used(self) -> Mapping[Pool, int]:
        """Capacity the deployments take from each pool."""
        return used(
            (resource.subscription, resource.region, deployment)
            for resource in self.resources.values()
            for deployment in resource.deployments.values()
        )


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
    fleet = reader.fleet(content, path.parent)
    if reader.problems:
        raise ConfigurationError(f"{path}: the fleet cannot be used", problems=reader.problems)
    return fleet


def default_fleet(port_base: int, *, latency_ms: float = LATENCY_MS, token_ms: float = TOKEN_MS) -> Fleet:
    """Three regions that share the common models; in sweden one of them is provisioned and spills over.

    `port_base`: the control port; the resources' follow it, then authority, metadata, ARM and vault; 0: any
    free ones.
    """
    resources = {}
    for offset, (name, (region, capacities)) in enumerate(_DEFAULT.items(), start=1):
        deployments = [Deployment(f"{m}-prod", m, "Standard", capacity) for m, capacity in capacities.items()]
        if name == "sweden":
            deployments.append(Deployment("gpt-4o-ptu", "gpt-4o", "ProvisionedManaged", 50, "gpt-4o-prod"))
        resources[name] = Resource(
            name=name,
            port=port_base + offset if port_base else 0,
            region=region,
            keys=tuple(hashlib.blake2b(f"{name}{n}".encode(), digest_size=16).hexdigest() for n in (1, 2)),
            deployments={deployment.name: deployment for deployment in deployments},
            latency_ms=latency_ms,
            token_ms=token_ms,
        )
    first_keys = {name: resource.keys[0] for name, resource in resources.items()}
    identity, vaults = preset(first_keys, port_base + len(resources) + 1 if port_base else 0)
    return Fleet(port_base, resources, identity=identity, vaults=vaults)


_COMMON = {"gpt-4o": 120, "gpt-4o-mini": 200}
_EMBEDDING = {"text-embedding-3-small": 240}
_REASONING = {"gpt-5-mini": 1_000, "o4-mini": 1_000}
_DEFAULT: dict[str, tuple[str, dict[str, int]]] = {
    "east": ("eastus", {**_COMMON, "gpt-4-turbo": 80, "gpt-35-turbo": 240, **_REASONING, **_EMBEDDING}),
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


class _Reader(Reader):
    def fleet(self, value: object, folder: Path) -> Fleet:
        """`folder`: that of the file, which paths in it are relative to."""
        known = {"control_port", "latency_ms", "token_ms", "speed", "quotas", "resources"}
        known |= {"identity", "vaults", "tls", "first_token_ms", "answers", "pass_through"}
        fields = self.mapping("the file", value, known)
        pace = {
            "latency_ms": self.millis("latency_ms", fields.get("latency_ms", LATENCY_MS)),
            "token_ms": self.millis("token_ms", fields.get("token_ms", TOKEN_MS)),
            "first_token_ms": self.millis("first_token_ms", fields.get("first_token_ms", 0)),
        }
        control_port = self.port("control_port", fields.get("control_port"))
        named = self.named("resources", fields.get("resources"))
        for name in named:
            if not _NAME.fullmatch(name):
                self.tell(f"resources.{name}", "use letters, digits, - and _ in the name")
        fleet = Fleet(
            control_port=control_port,
            resources={name: self._resource(name, spec, pace) for name, spec in named.items()},
            speed=self.times("speed", fields.get("speed", 1)),
            quotas=read_quotas(self, fields.get("quotas", [])),
            answers=read_answers(self, fields.get("answers", [])),
            pass_through=read_pass_through(self, fields.get("pass_through")),
        )
        check_quotas(self, fleet.quotas, fleet.used())
        faults = read_faults(self, named)
        placed = {name: replace(spec, faults=faults[name]) for name, spec in fleet.resources.items()}
        fleet = replace(fleet, resources=placed)
        return replace(fleet, **IdentityReader(self, folder, fleet.resources).parts(fields))

    def _resource(self, name: str, value: object, pace: Mapping[str, float]) -> Resource:
        path = f"resources.{name}"
        known = {"port", "region", "keys", "deployments", "latency_ms", "token_ms", "subscription"}
        known |= {"disable_local_auth", "faults", "first_token_ms"}
        fields = self.mapping(path, value, known)
        specs = self.named(f"{path}.deployments", fields.get("deployments"))
        deployments = {
            key: read_deployment(self, f"{path}.deployments.{key}", key, spec) for key, spec in specs.items()
        }
        check_spillovers(self, f"{path}.deployments", deployments)
        paced = {span: self.millis(f"{path}.{span}", fields.get(span, pace[span])) for span in pace}
        return Resource(
            name=name,
            port=self.port(f"{path}.port", fields.get("port")),
            region=self.one_of(f"{path}.region", fields.get("region"), REGIONS),
            keys=self.keys(f"{path}.keys", fields.get("keys")),
            deployments=deployments,
            latency_ms=paced["latency_ms"],
            first_token_ms=paced["first_token_ms"],
            token_ms=paced["token_ms"],
            subscription=str(fields.get("subscription", SUBSCRIPTION)),
            disable_local_auth=self.yes_or_no(
                f"{path}.disable_local_auth", fields.get("disable_local_auth", False)
            ),
        )
