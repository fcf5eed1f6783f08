"""One emulator with everything, over TLS, as new before each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smalt.emulator import load_fleet
from smalt.emulator.testing import Handle, running

FLEET = """
control_port: 0
latency_ms: 0
token_ms: 0
quotas: [{region: eastus, model: gpt-4o, sku: Standard, capacity: 240}]
resources:
  east:
    port: 0
    region: eastus
    keys: [east-key-1, east-key-2]
    deployments:
      gpt-4o-prod: {model: gpt-4o, capacity: 120}
      gpt-4o-ptu: {model: gpt-4o, sku: ProvisionedManaged, ptu: 50, spillover: gpt-4o-prod}
  sweden:
    port: 0
    region: swedencentral
    keys: [sweden-key-1]
    deployments: {gpt-4o-prod: {model: gpt-4o, capacity: 120}}
identity:
  authority_port: 0
  metadata_port: 0
  arm_port: 0
  tenants: {contoso: null, fabrikam: null}
  applications:
    app:
      secrets: [app-secret]
      certificates: [app.pem]
      federated_subjects: ["system:serviceaccount:default:app"]
      roles: {east: [Cognitive Services OpenAI User], kv: [Key Vault Secrets Officer]}
      app_roles: {gateway: [Chat.Use]}
    operator:
      secrets: [operator-secret]
      roles: {/subscriptions/default: [Contributor]}
    nobody: {secrets: [nobody-secret]}
    stranger: {tenant: fabrikam, secrets: [stranger-secret]}
    gateway: {uri: "api://gateway"}
  managed_identities:
    machine: {kind: system, roles: {east: [Cognitive Services OpenAI User]}}
    backup: {kind: user}
vaults:
  kv: {port: 0, secrets: {aoai-key: east-key-1}}
tls: {hosts: [contoso-east.openai.azure.com]}
"""


@dataclass(frozen=True)
class Azure:
    """`state`: what the control plane told at the start."""

    handle: Handle
    state: dict[str, Any]
    app_key: Path

    @property
    def authority(self) -> str:
        return str(self.state["identity"]["authority"])

    def ids(self, principal: str) -> dict[str, str]:
        """The arguments that every credential of azure-identity takes."""
        told = self.state["identity"]["principals"][principal]
        return {name: told[name] for name in ("tenant_id", "client_id")}

    def credential(self, principal: str) -> ClientSecretCredential:
        return ClientSecretCredential(
            **self.ids(principal),
            client_secret=f"{principal}-secret",
            authority=self.authority,
            disable_instance_discovery=True,
        )

    def url(self, service: str) -> str:
        return str(self.state["services"][service]["url"])

    def issued(self, principal: str) -> int:
        """Tokens it was given so far."""
        told = self.handle.state()["identity"]["principals"][principal]
        return int(told["tokens_issued"])


@pytest.fixture(scope="session")
def shared_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    with running_azure(tmp_path_factory.mktemp("fleet"), FLEET) as azure:
        yield azure


@contextmanager
def running_azure(folder: Path, fleet: str) -> Iterator[Azure]:
    key, certificate = _certificate("app")
    (folder / "app.pem").write_bytes(certificate)
    (folder / "app-with-key.pem").write_bytes(key + certificate)
    (folder / "fleet.yaml").write_text(fleet)
    with running(load_fleet(folder / "fleet.yaml")) as handle:
        yield Azure(handle, handle.state(), folder / "app-with-key.pem")


@pytest.fixture
def azure_world(shared_azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """Trusted by every client of this process, as a user would do it."""
    shared_azure.handle.reset()
    trust(shared_azure, monkeypatch)
    return shared_azure


def trust(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(azure.handle.ca_file))


def _certificate(name: str) -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(65_537, 2_048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, certificate.public_bytes(Encoding.PEM)
