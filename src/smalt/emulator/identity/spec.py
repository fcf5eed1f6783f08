"""The `identity`, `vaults` and `tls` parts of `fleet.yaml`, and how they are read.

identity:
  authority_port: 8104       # Entra ID; 0: any free port, here and below
  metadata_port: 8105        # managed identities: the instance metadata service and that of App Service
  arm_port: 8106             # Azure Resource Manager
  token_lifetime_s: 3600
  role_delay_s: 0            # until a role given or taken at run time has effect
  tenants: {contoso: 72f988bf-86f1-41af-91ab-2d7cd011db47}    # the first is that of resources and vaults
  applications:
    app:
      tenant: contoso        # default: the first. client_id, object_id: default: made from the name
      secrets: [app-secret]
      certificates: [app.pem]                                 # beside this file; the public part is enough
      federated_subjects: ["system:serviceaccount:default:app"]
      roles: {east: [Cognitive Services OpenAI User], kv: [Key Vault Secrets User]}
      app_roles: {gateway: [Chat.Use]}                        # the `roles` of its tokens for that application
    gateway: {uri: api://gateway}                             # an API of your own that tokens can be for
  managed_identities:
    machine: {kind: system, roles: {/subscriptions/default: [Reader]}}
    backup: {kind: user}
vaults:
  kv: {port: 8107, secrets: {aoai-key: east-key-1}}
tls:
  folder: ./ca               # keeps the CA; without it every start makes a new one
  hosts: [contoso-east.openai.azure.com]                      # beside localhost and 127.0.0.1

A scope of `roles` is the name of a resource or vault, or an ARM id, in which a subscription may go by its
name in this file.
"""

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from smalt.emulator.identity.jwt import PublicKey, certificate_key
from smalt.emulator.identity.roles import ROLES
from smalt.emulator.reading import Reader

RESOURCE_GROUP = "emulator"
ACCOUNTS = "Microsoft.CognitiveServices/accounts"
VAULTS = "Microsoft.KeyVault/vaults"
SERVICES = frozenset({"authority", "metadata", "arm"})
TOKEN_LIFETIME_S = 3_600.0
DAY_S = 86_400.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")

Kind = Literal["application", "system", "user"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An application or a managed identity, of the system or assigned by a user.

    `tenant_id`: where it lives. `uri`: tokens can be for it. `certificates`: the keys in those that may sign
    its assertions. `roles`: of Azure, by scope. `app_roles`: of applications, by their names.
    """

    name: str
    kind: Kind
    tenant_id: str
    client_id: str
    object_id: str
    uri: str | None = None
    secrets: tuple[str, ...] = ()
    certificates: tuple[PublicKey, ...] = ()
    federated_subjects: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    app_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """`tenants`: ids by name, at least one. Ports: 0 for any free one."""

    tenants: Mapping[str, str]
    principals: Mapping[str, Principal]
    authority_port: int = 0
    metadata_port: int = 0
    arm_port: int = 0
    token_lifetime_s: float = TOKEN_LIFETIME_S
    role_delay_s: float = 0.0

    @property
    def home(self) -> str:
        """The id of the tenant that owns the subscription."""
        return next(iter(self.tenants.values()))


@dataclass(frozen=True, slots=True)
class Vault:
    name: str
    port: int
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tls:
    """`folder`: keeps the CA between starts; None: a new one each time. `hosts`: further names served."""

    folder: Path | None = None
    hosts: tuple[str, ...] = ()


def subscription_id(name: str) -> str:
    """The GUID of a subscription that the fleet calls `name`; a GUID stands for itself."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return made_id("subscription", name)


def arm_id(subscription: str, kind: str, name: str) -> str:
    """`kind`: with its provider, such as `Microsoft.KeyVault/vaults`."""
    group = f"/subscriptions/{subscription_id(subscription)}/resourceGroups/{RESOURCE_GROUP}"
    return f"{group}/providers/{kind}/{name}"


def made_id(*names: str) -> str:
    """A GUID that is the same for the same names on every machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(names)))


class IdentityReader:
    """`folder`: that of the file, which its paths are relative to. `places`: names of the resources."""

    def __init__(self, reader: Reader, folder: Path, places: Collection[str]) -> None:
        self._read = reader
        self._folder = folder
        self._places = places

    def parts(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What the head of the file says of these parts, by the names of `Fleet`'s fields."""
        parts: dict[str, Any] = {}
        if "vaults" in fields:
            parts["vaults"] = self._vaults(fields["vaults"])
            self._places = (*self._places, *parts["vaults"])
        if "identity" in fields:
            parts["identity"] = self._identity(fields["identity"])
        elif "vaults" in fields:
            self._read.tell("vaults", "need identity: a vault gives its secrets to known callers only")
        if "tls" in fields:
            parts["tls"] = self._tls(fields["tls"] or {})
        return parts

    def _identity(self, value: object) -> Identity:
        read, path = self._read, "identity"
        known = {"authority_port", "metadata_port", "arm_port", "token_lifetime_s", "role_delay_s"}
        known |= {"tenants", "applications", "managed_identities"}
        fields = read.mapping(path, value, known)
        tenants = {
            name: made_id("tenant", name) if spec is None else self._guid(f"{path}.tenants.{name}", spec)
            for name, spec in read.named(f"{path}.tenants", fields.get("tenants")).items()
        }
        applications = self._principals(f"{path}.applications", fields.get("applications"), tenants)
        machines = self._principals(f"{path}.managed_identities", fields.get("managed_identities"), tenants)
        for name in applications.keys() & machines.keys():
            read.tell(f"{path}.managed_identities.{name}", "an application has the name; choose another")
        principals = applications | machines
        self._check_principals(principals)
        for name in SERVICES.intersection(self._places):
            read.tell(f"resources.{name}", "the name is taken by a service; choose another")
        return Identity(
            tenants=tenants,
            principals=principals,
            authority_port=read.port(f"{path}.authority_port", fields.get("authority_port")),
            metadata_port=read.port(f"{path}.metadata_port", fields.get("metadata_port")),
            arm_port=read.port(f"{path}.arm_port", fields.get("arm_port")),
            token_lifetime_s=read.seconds(
                f"{path}.token_lifetime_s", fields.get("token_lifetime_s", TOKEN_LIFETIME_S), 1, DAY_S
            ),
            role_delay_s=read.seconds(f"{path}.role_delay_s", fields.get("role_delay_s", 0), 0, DAY_S),
        )

    def _vaults(self, value: object) -> dict[str, Vault]:
        vaults = {}
        for name, spec in self._read.named("vaults", value).items():
            path = f"vaults.{name}"
            self._plain(path, name)
            if name in SERVICES or name in self._places:
                self._read.tell(path, "the name is taken by a service or a resource; choose another")
            fields = self._read.mapping(path, spec, {"port", "secrets"})
            port = self._read.port(f"{path}.port", fields.get("port"))
            vaults[name] = Vault(name, port, self._secrets(f"{path}.secrets", fields.get("secrets", {})))
        return vaults

    def _tls(self, value: object) -> Tls:
        fields = self._read.mapping("tls", value, {"folder", "hosts"})
        folder = fields.get("folder")
        if folder is not None and not isinstance(folder, str):
            self._read.tell("tls.folder", f"got {folder!r}; write the path of a folder")
            folder = None
        hosts = self._read.texts("tls.hosts", fields.get("hosts", []))
        return Tls(self._folder / folder if folder else None, hosts)

    def _principals(self, path: str, value: object, tenants: Mapping[str, str]) -> dict[str, Principal]:
        if value is None:
            return {}
        machines = path.endswith("managed_identities")
        make = self._managed_identity if machines else self._application
        made = {}
        for name, spec in self._read.named(path, value).items():
            self._plain(f"{path}.{name}", name)
            made[name] = make(f"{path}.{name}", name, spec, tenants)
        return made

    def _application(self, path: str, name: str, value: object, tenants: Mapping[str, str]) -> Principal:
        own = {"uri", "secrets", "certificates", "federated_subjects"}
        fields = self._read.mapping(path, value or {}, own | _COMMON)
        uri = fields.get("uri")
        if uri is not None and not isinstance(uri, str):
            self._read.tell(f"{path}.uri", f"got {uri!r}; write a text such as api://{name}")
            uri = None
        files = self._read.texts(f"{path}.certificates", fields.get("certificates", []))
        keys = (self._certificate(f"{path}.certificates", file) for file in files)
        return Principal(
            name=name,
            kind="application",
            uri=uri,
            secrets=self._read.texts(f"{path}.secrets", fields.get("secrets", [])),
            certificates=tuple(key for key in keys if key),
            federated_subjects=self._read.texts(
                f"{path}.federated_subjects", fields.get("federated_subjects", [])
            ),
            **self._common(path, name, fields, tenants),
        )

    def _managed_identity(self, path: str, name: str, value: object, tenants: Mapping[str, str]) -> Principal:
        fields = self._read.mapping(path, value, {"kind"} | _COMMON)
        kind: Kind = "user"
        if self._read.one_of(f"{path}.kind", fields.get("kind"), ("system", "user")) == "system":
            kind = "system"
        return Principal(name=name, kind=kind, **self._common(path, name, fields, tenants))

    def _common(
        self, path: str, name: str, fields: Mapping[str, Any], tenants: Mapping[str, str]
    ) -> dict[str, Any]:
        first = next(iter(tenants), "")
        tenant = tenants.get(self._read.one_of(f"{path}.tenant", fields.get("tenant", first), tenants), "")
        ids = {
            kind: self._guid(f"{path}.{kind}", fields.get(kind, made_id(kind, tenant, name)))
            for kind in ("client_id", "object_id")
        }
        return {
            **ids,
            "tenant_id": tenant,
            "roles": self._roles(f"{path}.roles", fields.get("roles", {})),
            "app_roles": self._read.texts_by_name(f"{path}.app_roles", fields.get("app_roles", {})),
        }

    def _roles(self, path: str, value: object) -> dict[str, tuple[str, ...]]:
        roles = self._read.texts_by_name(path, value)
        for scope, names in roles.items():
            if scope not in self._places and not scope.startswith("/subscriptions/"):
                self._read.tell(
                    f"{path}.{scope}", f"is no scope; use {', '.join(self._places)} or /subscriptions/…"
                )
            for name in names:
                self._read.one_of(f"{path}.{scope}", name, ROLES)
        return roles

    def _check_principals(self, principals: Mapping[str, Principal]) -> None:
        if sum(principal.kind == "system" for principal in principals.values()) > 1:
            self._read.tell("identity.managed_identities", "there can be one of kind system only")
        for principal in principals.values():
            for name in principal.app_roles:
                if name not in principals or principals[name].uri is None:
                    self._read.tell(
                        f"identity: app_roles of {principal.name}", f"{name} is no application with a uri"
                    )

    def _certificate(self, path: str, file: str) -> PublicKey | None:
        try:
            return certificate_key((self._folder / file).read_bytes())
        except OSError as error:
            self._read.tell(path, f"{file} cannot be read: {error.strerror}")
        except ValueError:
            self._read.tell(path, f"{file} is no certificate of an RSA key in PEM")
        return None

    def _guid(self, path: str, value: object) -> str:
        try:
            return str(uuid.UUID(value if isinstance(value, str) else ""))
        except ValueError:
            self._read.tell(path, f"got {value!r}; write a GUID, or leave it out to have one made")
            return ""

    def _secrets(self, path: str, value: object) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            self._read.tell(path, "write a mapping of names to texts (in quotes if one is all digits)")
            return {}
        for name in value:
            self._plain(f"{path}.{name}", str(name))
        return {str(name): text for name, text in value.items()}

    def _plain(self, path: str, name: str) -> None:
        if not _NAME.fullmatch(name):
            self._read.tell(path, "use letters, digits and - in the name")


_COMMON = frozenset({"tenant", "client_id", "object_id", "roles", "app_roles"})
