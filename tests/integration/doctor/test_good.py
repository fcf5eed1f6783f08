"""Set-ups that work: nobody is accused, and nothing is billed."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest
from tests.integration.doctor.conftest import SUBDOMAIN, Azure
from tests.integration.doctor.proxy import connect_proxy

Make = Callable[[Azure], Mapping[str, Any]]
GOOD: list[Make] = []


def good(make: Make) -> None:
    GOOD.append(make)


@good
def keys(azure: Azure) -> Mapping[str, Any]:
    return {"east": azure.east(), "sweden": azure.sweden()}


@good
def two_keys(azure: Azure) -> Mapping[str, Any]:
    return {"east": azure.east(api_keys=azure.keys("east-key-1", "east-key-2"))}


@good
def imds(azure: Azure) -> Mapping[str, Any]:
    return {"east": azure.east(identity="managed_identity", azure_id=azure.id("east"))}


@good
def app_service(azure: Azure) -> Mapping[str, Any]:
    for name, value in azure.handle.state()["identity"]["app_service"].items():
        azure.patch.setenv(name, value)
    return {"east": azure.east(identity="managed_identity")}


@good
def client_secret(azure: Azure) -> Mapping[str, Any]:
    return {"east": azure.east(identity=azure.application("app"), azure_id=azure.id("east"))}


@good
def client_certificate(azure: Azure) -> Mapping[str, Any]:
    identity = azure.application("app", kind="client_certificate", certificate_file=str(azure.app_key))
    del identity["client_secret"]
    return {"east": azure.east(identity=identity)}


@good
def keys_in_a_vault_and_a_file(azure: Azure) -> Mapping[str, Any]:
    (azure.folder / "key").write_text("east-key-2\n")
    secret = f"{azure.handle.state()['vaults']['kv']}/secrets/aoai-key"
    return {"east": azure.east(api_keys=[secret, "file:key"], identity=azure.application("app"))}


@good
def default_chain(azure: Azure) -> Mapping[str, Any]:
    azure.known_as("app")
    return {"east": azure.east(identity="default")}


@good
def v1(azure: Azure) -> Mapping[str, Any]:
    served = {"gpt-4o-prod": {"model": "gpt-4o"}, "embeddings": {"model": "text-embedding-3-small"}}
    return {"east": azure.east(served, api="v1"), "sweden": azure.sweden(api_version="preview")}


@good
def v1_by_token(azure: Azure) -> Mapping[str, Any]:
    return {"east": azure.east(identity=azure.application("app"), api="v1")}


@good
def ptu(azure: Azure) -> Mapping[str, Any]:
    azure.known_as("app")
    served = {
        "gpt-4o-ptu": {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 50},
        "gpt-4o-prod": {"model": "gpt-4o", "sku": "Standard", "quota_tpm": "120k"},
    }
    return {"east": azure.east(served, azure_id=azure.id("east"), region="eastus")}


@good
def openai_compatible(azure: Azure) -> Mapping[str, Any]:
    endpoint = f"{azure.handle.url('east')}/openai/v1"
    return {"proxy": azure.east(kind="openai", endpoint=endpoint)}


@good
def endpoint_pasted_with_its_path(azure: Azure) -> Mapping[str, Any]:
    pasted = "/openai/deployments/gpt-4o-prod/chat/completions?api-version=2024-10-21"
    return {"east": azure.east(endpoint=azure.handle.url("east") + pasted)}


@good
def own_subdomain_at_a_private_address(azure: Azure) -> Mapping[str, Any]:
    azure.names[SUBDOMAIN] = ["127.0.0.1"]
    azure.patch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    azure.patch.setenv("no_proxy", f"127.0.0.1,{SUBDOMAIN}")
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@good
def own_authority_by_ca_file(azure: Azure) -> Mapping[str, Any]:
    azure.patch.delenv("SSL_CERT_FILE")
    azure.patch.delenv("REQUESTS_CA_BUNDLE")
    azure.sections["network"] = {"ca_file": str(azure.handle.ca_file)}
    return {"east": azure.east(identity=azure.application("app"), azure_id=azure.id("east"))}


@good
def proxy_of_the_settings(azure: Azure) -> Mapping[str, Any]:
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    azure.sections["network"] = {"proxy": connect_proxy({SUBDOMAIN: "127.0.0.1"})}
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@good
def resource_whose_deployments_are_not_listed(azure: Azure) -> Mapping[str, Any]:
    return {"default": azure.east({})}


@good
def every_kind_of_model(azure: Azure) -> Mapping[str, Any]:
    azure.known_as("app")
    served = {
        "gpt-4o-august": {"model": "gpt-4o-2024-08-06", "quota_tpm": "10k"},
        "cheap": {"model": "gpt-4o-mini"},
        "embeddings": {"model": "text-embedding-3-small", "quota_tpm": "5k"},
    }
    return {"east": azure.east(served, azure_id=azure.id("east"))}


@good
def control_plane_that_does_not_tell(azure: Azure) -> Mapping[str, Any]:
    azure.handle.tell("services/arm", mode="error", status=503)
    return {"east": azure.east(identity=azure.application("app"), azure_id=azure.id("east"))}


@pytest.mark.parametrize("make", GOOD, ids=lambda make: make.__name__)
def test_nobody_is_accused(make: Make, azure: Azure) -> None:
    """Neither fault nor warning; every deployment is found to answer; the bill stays empty."""
    azure.around["today"] = lambda: date(2026, 11, 21)
    resources = make(azure)
    findings = azure.findings(resources)
    assert [finding for finding in findings if finding.verdict in {"fault", "warning"}] == []
    served = {
        finding.subject for finding in findings if (finding.area, finding.verdict) == ("deployment", "ok")
    }
    assert served == {f"{name}/{one}" for name, told in resources.items() for one in told["deployments"]}
    assert azure.handle.bill()["entries"] == []


def test_there_are_enough() -> None:
    """Ten were promised."""
    assert len(GOOD) >= 10
