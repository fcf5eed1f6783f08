"""One Azure over TLS for all tests of the doctor, as new before each; no other is asked."""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.emulator.identity.conftest import _certificate

from smalt.config import load
from smalt.doctor.checkup import diagnose
from smalt.doctor.findings import Finding
from smalt.doctor.surroundings import Surroundings, addresses
from smalt.emulator import load_fleet
from smalt.emulator.testing import Handle, running

SUBDOMAIN = "contoso-east.openai.azure.com"  # which the certificate of the emulator bears
FLEET = f"""
control_port: 0
latency_ms: 0
token_ms: 0
resources:
  east:
    port: 0
    region: eastus
    keys: [east-key-1, east-key-2]
    deployments:
      gpt-4o-prod: {{model: gpt-4o, capacity: 120}}
      gpt-4o-august: {{model: gpt-4o, version: 2024-08-06, capacity: 10}}
      gpt-4o-ptu: {{model: gpt-4o, sku: ProvisionedManaged, ptu: 50, spillover: gpt-4o-prod}}
      cheap: {{model: gpt-4o-mini, capacity: 10}}
      embeddings: {{model: text-embedding-3-small, capacity: 10}}
      veteran: {{model: gpt-4, capacity: 10}}
  sweden:
    port: 0
    region: swedencentral
    keys: [sweden-key-1]
    deployments:
      gpt-4o-prod: {{model: gpt-4o, capacity: 120}}
      only-here: {{model: gpt-4o, capacity: 10}}
identity:
  authority_port: 0
  metadata_port: 0
  arm_port: 0
  tenants: {{contoso: null, fabrikam: null}}
  applications:
    app:
      secrets: [app-secret]
      certificates: [app.pem]
      federated_subjects: ["system:serviceaccount:default:app"]
      roles:
        east: [Cognitive Services OpenAI User]
        sweden: [Cognitive Services OpenAI User]
        kv: [Key Vault Secrets User]
        /subscriptions/default: [Reader]
    owner:
      secrets: [owner-secret]
      roles: {{/subscriptions/default: [Owner]}}
    stranger: {{tenant: fabrikam, secrets: [stranger-secret]}}
  managed_identities:
    machine: {{kind: system, roles: {{east: [Cognitive Services OpenAI User]}}}}
vaults:
  kv: {{port: 0, secrets: {{aoai-key: east-key-1}}}}
tls: {{hosts: [{SUBDOMAIN}]}}
"""


@dataclass
class Azure:
    """The emulator, and the machine the doctor is run on. `names`: addresses of hosts DNS does not have.
    `sections`: of smalt.yaml, beside the resources."""

    handle: Handle
    app_key: Path
    folder: Path
    patch: pytest.MonkeyPatch
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)

    def key(self, value: str, name: str = "EAST_KEY") -> str:
        """How the settings name a key that stands in the environment."""
        self.patch.setenv(name, value)
        return f"${{{name}}}"

    def keys(self, *values: str) -> list[str]:
        return [self.key(value, f"EAST_KEY_{number}") for number, value in enumerate(values)]

    def east(self, deployments: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """The resource `east`, by its first key unless `fields` say otherwise."""
        by = {} if "identity" in fields or "api_keys" in fields else {"api_keys": self.keys("east-key-1")}
        served = {"gpt-4o-prod": {"model": "gpt-4o"}} if deployments is None else dict(deployments)
        return {"endpoint": self.handle.url("east"), **by, "deployments": served, **fields}

    def sweden(self, **fields: Any) -> dict[str, Any]:
        return {
            "endpoint": self.handle.url("sweden"),
            "api_keys": [self.key("sweden-key-1", "SWEDEN_KEY")],
            "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
            **fields,
        }

    def id(self, resource: str) -> str:
        return str(self.handle.state()["resources"][resource]["id"])

    def principal(self, name: str) -> dict[str, str]:
        told = self.handle.state()["identity"]["principals"][name]
        return {key: told[key] for key in ("tenant_id", "client_id")}

    def application(self, name: str, **fields: Any) -> dict[str, Any]:
        """An identity by client secret."""
        secret = self.key(f"{name}-secret", "APP_SECRET")
        authority = self.handle.state()["identity"]["authority"]
        ids = self.principal(name)
        return {"kind": "client_secret", **ids, "client_secret": secret, "authority": authority, **fields}

    def known_as(self, name: str) -> None:
        """What the environment says to azure-identity."""
        for key, value in self.principal(name).items():
            self.patch.setenv(f"AZURE_{key.upper()}", value)
        self.patch.setenv("AZURE_CLIENT_SECRET", f"{name}-secret")

    def port(self, resource: str) -> int:
        return int(self.handle.state()["resources"][resource]["port"])

    def findings(self, resources: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Of a smalt.yaml with these resources; proxies are routed to, as they must be."""
        file = self.folder / "smalt.yaml"
        proxies = {name: told for name, told in resources.items() if told.get("kind") == "openai"}
        for name, told in proxies.items():
            for spec in told["deployments"].values():
                self.sections.setdefault("models", {})[spec["model"]] = {"route": [name]}
        file.write_text(json.dumps({"resources": resources, **self.sections}))
        usual = {"timeout_s": 5, "resolve": self._resolve}
        around = Surroundings(os.environ, **{**usual, **self.around})
        return diagnose(lambda: load(file, env=os.environ, cwd=self.folder), around)

    def _resolve(self, host: str) -> Sequence[str]:
        return self.names.get(host) or addresses(host)


@pytest.fixture(scope="session")
def doctored_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Handle, Path]]:
    folder = tmp_path_factory.mktemp("doctored")
    key, certificate = _certificate("app")
    (folder / "app.pem").write_bytes(certificate)
    (folder / "app-with-key.pem").write_bytes(key + certificate)
    (folder / "fleet.yaml").write_text(FLEET)
    with running(load_fleet(folder / "fleet.yaml")) as handle:
        yield handle, folder / "app-with-key.pem"


@pytest.fixture
def azure(doctored_fleet: tuple[Handle, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Azure:
    """Trusted by this process and by those it starts; the metadata service they ask is the emulator's."""
    handle, app_key = doctored_fleet
    handle.reset()
    state = handle.state()
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(handle.ca_file))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", state["identity"]["authority"])
    monkeypatch.setenv("SMALT_ARM_ENDPOINT", state["identity"]["arm"])
    for name, value in state["identity"]["imds"].items():
        monkeypatch.setenv(name, value)
    return Azure(handle, app_key, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def plain_server() -> Iterator[Handle]:
    """Another Azure, without TLS."""
    with running() as handle:
        yield handle


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """Bound, but nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
