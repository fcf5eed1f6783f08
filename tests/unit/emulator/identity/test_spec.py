from pathlib import Path

import pytest

from smalt.emulator import load_fleet
from smalt.emulator.fleet import Fleet
from smalt.emulator.identity.spec import made_id
from smalt.errors import ConfigurationError

GOOD = """
control_port: 0
resources:
  east:
    port: 0
    region: eastus
    keys: [a, b]
    disable_local_auth: true
    deployments: {gpt-4o-prod: {model: gpt-4o, capacity: 1}}
identity:
  authority_port: 8104
  metadata_port: 8105
  arm_port: 8106
  token_lifetime_s: 3
  tenants: {contoso: 72F988BF-86F1-41AF-91AB-2D7CD011DB47, fabrikam: null}
  applications:
    app:
      secrets: [s1, s2]
      federated_subjects: [pod]
      roles:
        east: [Cognitive Services OpenAI User]
        kv: [Key Vault Secrets User]
        /subscriptions/default: [Reader]
      app_roles: {gateway: [Chat.Use]}
    gateway: {uri: "api://gateway", tenant: fabrikam}
  managed_identities:
    machine: {kind: system}
    backup: {kind: user, client_id: 11111111-1111-1111-1111-111111111111}
vaults:
  kv: {port: 8107, secrets: {aoai-key: a}}
tls: {folder: ca, hosts: [east.openai.azure.com]}
"""


def load(tmp_path: Path, text: str) -> Fleet:
    (tmp_path / "fleet.yaml").write_text(text)
    return load_fleet(tmp_path / "fleet.yaml")


def test_everything_arrives(tmp_path: Path) -> None:
    """Ids that are not given are made from names; paths count from the file."""
    fleet = load(tmp_path, GOOD)
    identity = fleet.identity
    assert identity
    assert fleet.tls
    app, gateway = identity.principals["app"], identity.principals["gateway"]
    assert identity.home == app.tenant_id == "72f988bf-86f1-41af-91ab-2d7cd011db47"
    assert gateway.tenant_id == made_id("tenant", "fabrikam")
    assert (app.secrets, app.federated_subjects, app.app_roles) == (
        ("s1", "s2"),
        ("pod",),
        {"gateway": ("Chat.Use",)},
    )
    assert list(app.roles) == ["east", "kv", "/subscriptions/default"]
    assert identity.principals["backup"].client_id == "11111111-1111-1111-1111-111111111111"
    assert len({one.client_id for one in identity.principals.values()}) == 4
    assert (identity.authority_port, identity.metadata_port, identity.arm_port) == (8104, 8105, 8106)
    assert (identity.token_lifetime_s, identity.role_delay_s) == (3, 0)
    assert (fleet.vaults["kv"].port, fleet.vaults["kv"].secrets) == (8107, {"aoai-key": "a"})
    assert (fleet.tls.folder, fleet.tls.hosts) == (tmp_path / "ca", ("east.openai.azure.com",))
    assert fleet.resources["east"].disable_local_auth


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "disable_local_auth: true",
            "disable_local_auth: 1",
            "resources.east.disable_local_auth: got 1; write true",
        ),
        ("authority_port: 8104", "", "identity.authority_port: got None; write a port"),
        (
            "metadata_port: 8105",
            "metadata_port: 8104",
            "identity.metadata_port: port 8104 is already that of",
        ),
        (
            "token_lifetime_s: 3",
            "token_lifetime_s: 0",
            "identity.token_lifetime_s: got 0; write seconds, from 1",
        ),
        (
            "token_lifetime_s: 3",
            "token_life: 3",
            "identity.token_life: is not known; use applications, arm_port",
        ),
        ("72F988BF-86F1-41AF-91AB-2D7CD011DB47", "1", "identity.tenants.contoso: got 1; write a GUID"),
        (
            "tenant: fabrikam",
            "tenant: x",
            "identity.applications.gateway.tenant: got 'x'; use one of contoso",
        ),
        ("secrets: [s1, s2]", "secrets: s1", "identity.applications.app.secrets: write a list of texts"),
        (
            "secrets: [s1, s2]",
            "certificates: [x.pem]",
            "identity.applications.app.certificates: x.pem cannot be",
        ),
        (
            "east: [Cognitive Services OpenAI User]",
            "east: [Boss]",
            "identity.applications.app.roles.east: got 'Boss'",
        ),
        (
            "kv: [Key",
            "no: [Key",
            "identity.applications.app.roles.no: is no scope; use east, kv or /subscriptions",
        ),
        (
            "gateway: [Chat.Use]",
            "machine: [x]",
            "identity: app_roles of app: machine is no application with a uri",
        ),
        ('uri: "api://gateway", tenant', "uri: 1, tenant", "identity.applications.gateway.uri: got 1"),
        ("    backup:", "    app:", "identity.managed_identities.app: an application has the name"),
        ("kind: user,", "kind: system,", "identity.managed_identities: there can be one of kind system only"),
        (
            "kind: system}",
            "kind: odd}",
            "identity.managed_identities.machine.kind: got 'odd'; use one of system",
        ),
        ("    backup:", "    back_up:", "identity.managed_identities.back_up: use letters, digits and -"),
        ("kv: {port", "arm: {port", "vaults.arm: the name is taken by a service or a resource"),
        ("aoai-key: a", "aoai_key: a", "vaults.kv.secrets.aoai_key: use letters, digits and -"),
        ("aoai-key: a", "aoai-key: 1", "vaults.kv.secrets: write a mapping of names to texts"),
        ("folder: ca", "folder: 1", "tls.folder: got 1; write the path of a folder"),
    ],
)
def test_a_fault_is_told_with_its_path_and_remedy(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """The first line about a fault names it; others may follow from it."""
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert any(told.startswith(problem) for told in caught.value.problems), caught.value.problems


def test_a_certificate_must_be_one(tmp_path: Path) -> None:
    """Any other file is told by name."""
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, GOOD.replace("secrets: [s1, s2]", "certificates: [x.pem]"))
    (told,) = caught.value.problems
    assert told == "identity.applications.app.certificates: x.pem is no certificate of an RSA key in PEM"


def test_a_vault_needs_somebody_to_ask_it(tmp_path: Path) -> None:
    """Without identity nobody could ever read a secret."""
    before, _, after = GOOD.partition("identity:")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, before + "vaults:" + after.partition("vaults:")[2])
    (told,) = caught.value.problems
    assert told.startswith("vaults: need identity")
