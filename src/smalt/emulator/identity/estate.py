"""The services around the resources, built from the fleet: Entra ID, metadata, ARM, vaults; and TLS."""

import hashlib
import ssl
from collections.abc import Callable
from typing import Any

from smalt.emulator.deployments import SUBSCRIPTION
from smalt.emulator.fleet import Fleet
from smalt.emulator.identity.arm import Arm
from smalt.emulator.identity.authority import Authority
from smalt.emulator.identity.metadata import APP_SERVICE_PATH, Metadata
from smalt.emulator.identity.service import Answer, Service
from smalt.emulator.identity.spec import VAULTS, Identity, Vault, arm_id
from smalt.emulator.identity.store import Store
from smalt.emulator.identity.tls import TlsEnd
from smalt.emulator.identity.vault import KeyVault
from smalt.emulator.server import Listener
from smalt.emulator.world import World


class Estate:
    """`services` and `vaults` by name. Empty if the fleet has no identity."""

    def __init__(self, plan: Fleet, world: World, wall_s: Callable[[], float]) -> None:
        self.directory = world.directory
        self.resources = world.resources
        self.services: dict[str, Service] = {}
        self.vaults: dict[str, Store] = {}
        self.tls = TlsEnd(plan.tls) if plan.tls else None
        self._world = world
        self._wall_s = wall_s
        self._header = hashlib.blake2b(f"app service {world.seed}".encode(), digest_size=16).hexdigest()
        if plan.identity:
            self._build(plan, plan.identity)

    def _build(self, plan: Fleet, identity: Identity) -> None:
        directory = self.directory
        self._add("authority", identity.authority_port, Authority(directory))
        # a machine asks it for tokens over plain HTTP, in Azure too
        self._add("metadata", identity.metadata_port, Metadata(directory, self._header), plain=True)
        self._add("arm", identity.arm_port, Arm(self._world, plan))
        for name, spec in plan.vaults.items():
            self.vaults[name] = Store(spec.secrets, self._wall_s())
            self._add_vault(spec)

    def _add_vault(self, spec: Vault) -> None:
        place = arm_id(SUBSCRIPTION, VAULTS, spec.name)
        answer = KeyVault(
            self.directory, self.vaults[spec.name], place, lambda: self.services[spec.name].listener.url
        )
        self._add(spec.name, spec.port, answer)

    def _add(self, name: str, port: int, answer: Answer, *, plain: bool = False) -> None:
        service = Service(answer, name, self._world, self._wall_s)
        service.listener = Listener(f"service {name}", port, service, None if plain else self.context)
        self.services[name] = service

    @property
    def context(self) -> ssl.SSLContext | None:
        return self.tls.context if self.tls else None

    def opened(self) -> None:
        """To be called when all ports are open: the authority's own address stands in what it says."""
        if self.services:
            self.directory.authority_url = self.services["authority"].listener.url

    async def reset(self) -> None:
        """Undo switches, rotations and roles, and open what is shut."""
        for store in self.vaults.values():
            store.reset(self._wall_s())
        for service in self.services.values():
            service.reset()
            await service.listener.open()

    def report(self) -> dict[str, Any]:
        ca_file = str(self.tls.ca_file) if self.tls else None
        told: dict[str, Any] = {"ca_file": ca_file, "identity": None, "vaults": {}, "services": {}}
        if self.services:
            told["identity"] = self._report_identity()
            told["vaults"] = {name: self.services[name].listener.url for name in self.vaults}
            told["services"] = {name: service.report() for name, service in self.services.items()}
        return told

    def _report_identity(self) -> dict[str, Any]:
        directory, metadata = self.directory, self.services["metadata"].listener.url
        return {
            "authority": directory.authority_url,
            "arm": self.services["arm"].listener.url,
            "tenants": directory.spec.tenants,
            "token_lifetime_s": directory.token_lifetime_s,
            "role_delay_s": directory.role_delay_s,
            "cluster_issuer": directory.cluster_issuer,
            "imds": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": metadata},
            "app_service": {
                "IDENTITY_ENDPOINT": f"{metadata}{APP_SERVICE_PATH}",
                "IDENTITY_HEADER": self._header,
            },
            "principals": {
                name: {
                    "kind": principal.kind,
                    "tenant_id": principal.tenant_id,
                    "client_id": principal.client_id,
                    "object_id": principal.object_id,
                    "tokens_issued": directory.issued[name],
                    "roles": directory.assignments(principal),
                }
                for name, principal in directory.spec.principals.items()
            },
        }
