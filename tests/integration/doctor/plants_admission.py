"""Planted: credentials that are not let in."""

import time
from collections.abc import Callable

from azure.identity import ClientSecretCredential
from tests.integration.doctor.conftest import Azure
from tests.integration.doctor.planting import Resources, World, plant


@plant("authentication", "key_refused", "regenerated")
def wrong_key(world: World) -> Resources:
    return {"east": world.azure.east(api_keys=world.azure.keys("no-such-key"))}


@plant("authentication", "key_of_another", "also configured for sweden")
def key_of_another_resource(world: World) -> Resources:
    return {
        "east": world.azure.east(api_keys=world.azure.keys("sweden-key-1")),
        "sweden": world.azure.sweden(),
    }


@plant("authentication", "key_refused", "regenerated", is_warning=True)
def second_key_that_is_old(world: World) -> Resources:
    return {"east": world.azure.east(api_keys=world.azure.keys("east-key-1", "an-old-key"))}


@plant("authentication", "key_refused", "regenerated", is_warning=True)
def first_key_that_is_old(world: World) -> Resources:
    return {"east": world.azure.east(api_keys=world.azure.keys("an-old-key", "east-key-1"))}


@plant("authentication", "secret_unreadable", "the keyring", is_warning=True)
def second_key_that_the_keyring_does_not_have(world: World) -> Resources:
    world.azure.patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return {"east": world.azure.east(api_keys=[*world.azure.keys("east-key-1"), "keyring:nothing"])}


@plant("authentication", "secret_unreadable", "the keyring")
def first_key_that_the_keyring_does_not_have(world: World) -> Resources:
    world.azure.patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return {"east": world.azure.east(api_keys=["keyring:nothing", *world.azure.keys("east-key-1")])}


@plant("authentication", "key_as_bearer", "api-key only")
def key_as_token(world: World) -> Resources:
    token = world.azure.key("east-key-1", "TOKEN")
    return {"east": world.azure.east(identity={"kind": "token", "token": token})}


@plant("authentication", "key_as_bearer", "kind: openai sends the key as Bearer")
def azure_declared_as_openai(world: World) -> Resources:
    endpoint = f"{world.azure.handle.url('east')}/openai/deployments/gpt-4o-prod"
    return {"east": world.azure.east(kind="openai", endpoint=endpoint)}


@plant("authentication", "proxy_as_bearer", "the proxy")
def proxy_that_sends_its_key_as_token(world: World) -> Resources:
    world.azure.handle.fault("error", error="missing_or_bad_token", operation="chat/completions")
    return {"proxy": world.azure.east(kind="openai", endpoint=f"{world.azure.handle.url('east')}/openai/v1")}


def _token(azure: Azure, audience: str) -> str:
    with ClientSecretCredential(
        **azure.principal("app"),
        client_secret="app-secret",
        authority=azure.handle.state()["identity"]["authority"],
        disable_instance_discovery=True,
    ) as credential:
        return azure.key(credential.get_token(f"{audience}/.default").token, "TOKEN")


@plant("authentication", "token_expired", "the token is over since")
def static_token_that_is_over(world: World) -> Resources:
    world.azure.handle.tell("identity", token_lifetime_s=1)
    token = _token(world.azure, "https://cognitiveservices.azure.com")
    time.sleep(1.1)
    return {"east": world.azure.east(identity={"kind": "token", "token": token})}


@plant("authentication", "wrong_audience", "the token is for https://vault.azure.net")
def static_token_for_something_else(world: World) -> Resources:
    token = _token(world.azure, "https://vault.azure.net")
    return {"east": world.azure.east(identity={"kind": "token", "token": token})}


@plant("authentication", "wrong_audience", "the token is for https://ml.azure.com")
def scope_of_machine_learning(world: World) -> Resources:
    identity = world.azure.application("app", scope="https://ml.azure.com/.default")
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "wrong_audience", "https://ai.azure.com")
def scope_of_v1_on_classic(world: World) -> Resources:
    identity = world.azure.application("app", scope="https://ai.azure.com/.default")
    return {"east": world.azure.east(identity=identity)}


@plant(
    "authentication", "wrong_audience", "tokens for https://cognitiveservices.azure.com/.default are accepted"
)
def v1_that_takes_the_older_scope_alone(world: World) -> Resources:
    world.azure.handle.set("east", "error", error="missing_or_bad_token", count=1)
    return {"east": world.azure.east(identity=world.azure.application("app"), api="v1")}


@plant("authentication", "token_refused", "neither over nor for another audience")
def token_that_is_refused_for_no_reason(world: World) -> Resources:
    world.azure.handle.set("east", "error", error="missing_or_bad_token")
    return {"east": world.azure.east(identity=world.azure.application("app"), api="v1")}


@plant("authentication", "wrong_audience", "https://nobody.example.com/.default")
def scope_that_nobody_has(world: World) -> Resources:
    identity = world.azure.application("app", scope="https://nobody.example.com/.default")
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "wrong_tenant", "the resource belongs to the tenant")
def application_of_another_tenant(world: World) -> Resources:
    identity = world.azure.application("stranger")
    return {"east": world.azure.east(identity=identity, azure_id=world.azure.id("east"))}


@plant("authentication", "no_role", "it needs 'Cognitive Services OpenAI User' on the scope /subscriptions/")
def owner_without_data_actions(world: World) -> Resources:
    identity = world.azure.application("owner")
    return {"east": world.azure.east(identity=identity, azure_id=world.azure.id("east"))}


@plant("authentication", "secret_refused", "the value is needed")
def client_secret_that_is_wrong(world: World) -> Resources:
    identity = world.azure.application("app")
    world.azure.patch.setenv("APP_SECRET", "its-id")
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "secret_unreadable", "where it is kept")
def client_secret_that_the_keyring_does_not_have(world: World) -> Resources:
    world.azure.patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return {
        "east": world.azure.east(identity=world.azure.application("app", client_secret="keyring:nothing"))
    }


@plant("authentication", "application_not_found", "the tenant has no such application")
def application_that_is_not_there(world: World) -> Resources:
    identity = world.azure.application("app", client_id="00000000-0000-0000-0000-000000000001")
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "tenant_not_found", "there is no tenant")
def tenant_that_is_not_there(world: World) -> Resources:
    identity = world.azure.application("app", tenant_id="00000000-0000-0000-0000-000000000001")
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "authority_unreachable", "cannot be reached")
def authority_that_is_down(world: World) -> Resources:
    world.azure.handle.tell("services/authority", mode="down")
    return {"east": world.azure.east(identity=world.azure.application("app"))}


@plant("authentication", "certificate_refused", "not registered")
def certificate_of_another_application(world: World) -> Resources:
    identity = world.azure.application(
        "owner", kind="client_certificate", certificate_file=str(world.azure.app_key)
    )
    del identity["client_secret"]
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "no_identity", "this machine does not have the identity")
def managed_identity_that_is_not_assigned(world: World) -> Resources:
    identity = {"kind": "managed_identity", "client_id": "00000000-0000-0000-0000-000000000001"}
    return {"east": world.azure.east(identity=identity)}


@plant("authentication", "secret_not_found", "the vault has no secret nothing")
def key_that_the_vault_does_not_have(world: World) -> Resources:
    secret = f"{world.azure.handle.state()['vaults']['kv']}/secrets/nothing"
    return {"east": world.azure.east(api_keys=[secret], identity=world.azure.application("app"))}


@plant("authentication", "vault_forbids", "Key Vault Secrets User")
def vault_that_does_not_know_us(world: World) -> Resources:
    secret = f"{world.azure.handle.state()['vaults']['kv']}/secrets/aoai-key"
    return {"east": world.azure.east(api_keys=[secret], identity=world.azure.application("owner"))}


@plant("file", "unusable_settings", "cannot start")
def file_of_a_key_that_is_not_there(world: World) -> Resources:
    return {"east": world.azure.east(api_keys=["file:nowhere"])}


@plant("authentication", "keys_disabled", "takes no keys")
def keys_disabled(world: World) -> Resources:
    world.azure.handle.set("east", disable_local_auth=True)
    return {"east": world.azure.east()}


def _refused_by(error: str) -> Callable[[World], Resources]:
    def make(world: World) -> Resources:
        world.azure.handle.set("east", "error", error=error)
        return {"east": world.azure.east()}

    make.__name__ = error
    return make


plant("authentication", "firewall", "network rules")(_refused_by("firewall_denied"))
plant("authentication", "public_access_off", "private endpoints only")(_refused_by("public_access_disabled"))
plant("authentication", "blocked", "Azure has blocked")(_refused_by("resource_blocked"))
plant("authentication", "regional_host", "own name")(_refused_by("vnet_wrong_endpoint_unwrapped"))
