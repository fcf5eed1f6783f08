"""Who is who in the default fleet."""

from collections.abc import Mapping
from dataclasses import replace

from smalt.emulator.identity.spec import Identity, Kind, Principal, Vault, made_id

TENANT = made_id("tenant", "contoso")
SUBJECT = "system:serviceaccount:default:app"


def preset(resources: Mapping[str, str], port_base: int) -> tuple[Identity, dict[str, Vault]]:
    """One tenant, one application, the machine's own identity, a vault with the first key of each resource.

    `resources`: first keys by name. `port_base`: the first of four ports; 0: any free ones.
    """
    ports = [port_base + offset if port_base else 0 for offset in range(4)]
    roles = {
        **dict.fromkeys(resources, ("Cognitive Services OpenAI User",)),
        "vault": ("Key Vault Secrets User",),
        "/subscriptions/default": ("Reader",),
    }
    app = replace(
        _principal("app", "application", roles), secrets=("app-secret",), federated_subjects=(SUBJECT,)
    )
    identity = Identity(
        tenants={"contoso": TENANT},
        principals={"app": app, "machine": _principal("machine", "system", roles)},
        authority_port=ports[0],
        metadata_port=ports[1],
        arm_port=ports[2],
    )
    secrets = {f"{name}-key": key for name, key in resources.items()}
    return identity, {"vault": Vault("vault", ports[3], secrets)}


def _principal(name: str, kind: Kind, roles: Mapping[str, tuple[str, ...]]) -> Principal:
    client_id, object_id = (made_id(what, TENANT, name) for what in ("client_id", "object_id"))
    return Principal(name, kind, TENANT, client_id, object_id, roles=roles)
