"""Misconfigurations on purpose: each is named exactly, and nothing else is accused beside it."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from tests.integration.doctor.conftest import SUBDOMAIN, Azure
from tests.integration.doctor.proxy import connect_proxy

from smalt.emulator.testing import Handle

Resources = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """Beside Azure: another one without TLS, and a port where nobody listens."""

    azure: Azure
    plain: Handle
    closed_port: int


@dataclass(frozen=True)
class Plant:
    """`says`: what the cause must name. `is_warning`: it works all the same."""

    make: Callable[[World], Resources]
    area: str
    code: str
    says: str
    is_warning: bool

    def __str__(self) -> str:
        return self.make.__name__


PLANTS: list[Plant] = []


def plant(area: str, code: str, says: str, *, is_warning: bool = False) -> Callable[..., None]:
    def add(make: Callable[[World], Resources]) -> None:
        PLANTS.append(Plant(make, area, code, says, is_warning))

    return add


# who is let in


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


# whether it can be reached


@plant("name", "no_such_host", "no server has this name")
def host_that_does_not_exist(world: World) -> Resources:
    return {"east": world.azure.east(endpoint="https://contoso-east.invalid")}


@plant("connection", "connection_refused", "nothing listens")
def port_that_is_closed(world: World) -> Resources:
    return {"east": world.azure.east(endpoint=f"https://127.0.0.1:{world.closed_port}")}


@plant("tls", "unknown_ca", "smalt emulator, for tests only")
def certificate_of_an_unknown_authority(world: World) -> Resources:
    world.azure.patch.delenv("SSL_CERT_FILE")
    return {"east": world.azure.east()}


@plant("tls", "intercepted", "something on the way opens the connection")
def interception_by_a_corporate_proxy(world: World) -> Resources:
    world.azure.patch.delenv("SSL_CERT_FILE")
    world.azure.names[SUBDOMAIN] = ["127.0.0.1"]
    return {"east": world.azure.east(endpoint=f"https://{SUBDOMAIN}:{world.azure.port('east')}")}


@plant("tls", "other_name", "for other names than alias.example.com")
def certificate_of_another_name(world: World) -> Resources:
    world.azure.names["alias.example.com"] = ["127.0.0.1"]
    return {"east": world.azure.east(endpoint=f"https://alias.example.com:{world.azure.port('east')}")}


@plant("tls", "speaks_https", "speaks https")
def http_where_https_is_spoken(world: World) -> Resources:
    return {"east": world.azure.east(endpoint=f"http://127.0.0.1:{world.azure.port('east')}")}


@plant("tls", "speaks_http", "speaks http")
def https_where_http_is_spoken(world: World) -> Resources:
    port = world.plain.state()["resources"]["east"]["port"]
    return {"east": world.azure.east(endpoint=f"https://127.0.0.1:{port}")}


@plant("proxy", "private_through_proxy", "a private endpoint lies in this network", is_warning=True)
def private_address_through_a_proxy(world: World) -> Resources:
    azure = world.azure
    azure.names[SUBDOMAIN] = ["10.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({SUBDOMAIN: "127.0.0.1"}))
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("proxy", "proxy_unreachable", "the proxy itself")
def proxy_that_is_down(world: World) -> Resources:
    azure = world.azure
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{world.closed_port}")
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("proxy", "proxy_forbids", "does not let this host through")
def proxy_that_forbids_the_host(world: World) -> Resources:
    azure = world.azure
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({}))
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("endpoint", "privatelink", "no certificate is for a privatelink name")
def privatelink_in_the_endpoint(world: World) -> Resources:
    world.azure.names[SUBDOMAIN] = ["127.0.0.1"]
    host = SUBDOMAIN.replace(".openai.", ".privatelink.openai.")
    return {"east": world.azure.east(endpoint=f"https://{host}:{world.azure.port('east')}")}


@plant("endpoint", "missing_v1", "under /v1")
def proxy_without_v1(world: World) -> Resources:
    return {"proxy": world.azure.east(kind="openai", endpoint=f"{world.azure.handle.url('east')}/openai")}


# what is served


@plant("version", "wrong_api_version", "2024-10-21 works")
def version_that_does_not_exist(world: World) -> Resources:
    both = {"gpt-4o-prod": {"model": "gpt-4o"}, "cheap": {"model": "gpt-4o-mini"}}
    return {"east": world.azure.east(both, api_version="2024-10-31")}


@plant("version", "wrong_api_version", "2024-10-21 works")
def version_of_one_deployment(world: World) -> Resources:
    both = {
        "gpt-4o-prod": {"model": "gpt-4o"},
        "cheap": {"model": "gpt-4o-mini", "api_version": "2024-10-31"},
    }
    return {"east": world.azure.east(both)}


@plant("deployment", "unknown_deployment", "is the name of a model")
def name_of_the_model(world: World) -> Resources:
    return {"east": world.azure.east({"gpt-4o": {"model": "gpt-4o"}})}


@plant("deployment", "unknown_deployment", "Did you mean gpt-4o-prod?")
def name_in_capitals(world: World) -> Resources:
    world.azure.known_as("app")
    return {"east": world.azure.east({"GPT-4o-Prod": {"model": "gpt-4o"}}, azure_id=world.azure.id("east"))}


@plant("deployment", "deployment_elsewhere", "it is on sweden")
def deployment_of_another_resource(world: World) -> Resources:
    return {"east": world.azure.east({"only-here": {"model": "gpt-4o"}}), "sweden": world.azure.sweden()}


@plant("deployment", "other_model", "get answers of gpt-4o-mini")
def another_model_behind_it(world: World) -> Resources:
    world.azure.known_as("app")
    return {"east": world.azure.east({"cheap": {"model": "gpt-4o"}}, azure_id=world.azure.id("east"))}


@plant("deployment", "other_model", "another kind than gpt-4o")
def embeddings_in_place_of_chat(world: World) -> Resources:
    return {"east": world.azure.east({"embeddings": {"model": "gpt-4o"}})}


@plant("deployment", "other_version", "Azure has upgraded it")
def another_version_behind_it(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-august": {"model": "gpt-4o-2024-11-20"}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("deployment", "other_sku", "the wrong type", is_warning=True)
def another_type_of_deployment(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-prod": {"model": "gpt-4o", "sku": "GlobalStandard"}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("quota", "quota_above_grant", "refused with 429")
def quota_that_azure_does_not_grant(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-prod": {"model": "gpt-4o", "quota_tpm": "240k"}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("control plane", "azure_id", "azure_id is that of another")
def azure_id_of_nothing(world: World) -> Resources:
    world.azure.known_as("app")
    return {
        "east": world.azure.east(azure_id=world.azure.id("east").replace("accounts/east", "accounts/west"))
    }


@plant("retirement", "retired_model", "was retired on 2025-04-30")
def deployment_that_was_retired(world: World) -> Resources:
    return {"east": world.azure.east({"long": {"model": "gpt-35-turbo-16k"}})}


@plant("retirement", "retired_model", "will stop to answer", is_warning=True)
def model_past_its_date(world: World) -> Resources:
    return {"east": world.azure.east({"veteran": {"model": "gpt-4"}})}


# the machine and the file


@plant("file", "unusable_settings", "cannot start")
def reference_to_a_vault_that_nobody_resolved(world: World) -> Resources:
    key = world.azure.keys("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/aoai)")
    return {"east": world.azure.east(api_keys=key)}


@plant("file", "unusable_settings", "cannot start")
def variable_that_is_not_set(world: World) -> Resources:
    return {"east": world.azure.east(api_keys=["${NOT_SET_ANYWHERE}"])}


@plant("packages", "missing_package", "azure-identity")
def package_that_is_missing(world: World) -> Resources:
    world.azure.patch.setitem(__import__("sys").modules, "azure.identity", None)  # as if it were not there
    return {"east": world.azure.east(identity=world.azure.application("app"))}


@plant("clock", "clock_skew", "tokens are taken for over", is_warning=True)
def clock_that_is_wrong(world: World) -> Resources:
    world.azure.around["now"] = lambda: datetime.now(UTC) + timedelta(minutes=11)
    return {"east": world.azure.east()}


@plant("prices", "old_prices", "costs may be wrong", is_warning=True)
def model_data_of_long_ago(world: World) -> Resources:
    world.azure.around["today"] = lambda: date(2027, 3, 1)
    return {"east": world.azure.east({"cheap": {"model": "own-model"}})}


@plant("environment", "variable_disagrees", "another model", is_warning=True)
def variable_that_says_something_else(world: World) -> Resources:
    world.azure.patch.setenv("AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME", "cheap")
    return {"east": world.azure.east({"gpt-4o-prod": {"model": "gpt-4o"}, "cheap": {"model": "gpt-4o-mini"}})}


@plant("deployment", "name_tells_other_model", "another model", is_warning=True)
def name_that_tells_another_model(world: World) -> Resources:
    return {"east": world.azure.east({"gpt-4o-prod": {"model": "gpt-4o-mini"}})}


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_each_is_named_exactly(plant: Plant, azure: Azure, plain_server: Handle, closed_port: int) -> None:
    """Area, cause and what to do; no other fault or warning beside it."""
    azure.around["today"] = lambda: date(2026, 11, 21)
    findings = azure.findings(plant.make(World(azure, plain_server, closed_port)))
    accused = [finding for finding in findings if finding.verdict in {"fault", "warning"}]
    assert [(finding.area, finding.code) for finding in accused] == [(plant.area, plant.code)], accused
    (finding,) = accused
    assert finding.verdict == ("warning" if plant.is_warning else "fault")
    assert plant.says in finding.cause
    assert finding.mend
    assert finding.found


def test_there_are_enough() -> None:
    """Thirty were promised."""
    assert len(PLANTS) >= 30


def test_no_thread_is_left(azure: Azure) -> None:
    """Probes run at the same time, and end."""
    azure.findings({"east": azure.east(), "sweden": azure.sweden()})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("doctor ")]
