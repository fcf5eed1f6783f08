"""Which credential, asked where, and for what. How they work is tested with real requests."""

from typing import Any

import pytest

from smalt.auth.entra import EntraTokens, authority_of, entra_credential, scope_of
from smalt.auth.sources import Unreadable
from smalt.config.identity import Identity
from smalt.config.schema import Resource

PUBLIC = "https://contoso.openai.azure.com"


@pytest.mark.parametrize(
    ("resource", "scope"),
    [
        ({}, "https://cognitiveservices.azure.com/.default"),
        ({"api": "v1"}, "https://ai.azure.com/.default"),
        ({"api_version": "preview"}, "https://ai.azure.com/.default"),
        ({"endpoint": "https://c.openai.azure.us"}, "https://cognitiveservices.azure.us/.default"),
        ({"endpoint": "https://c.openai.azure.cn"}, "https://cognitiveservices.azure.cn/.default"),
    ],
)
def test_the_scope_follows_the_surface_and_the_cloud(resource: dict[str, Any], scope: str) -> None:
    """Unless it is given."""
    made = Resource.model_validate({"endpoint": PUBLIC, **resource})
    assert scope_of(made, Identity()) == scope
    assert scope_of(made, Identity(scope="api://own/.default")) == "api://own/.default"


APPLICATION = {"tenant_id": "t", "client_id": "c"}


@pytest.mark.parametrize(
    ("identity", "credential"),
    [
        ({}, "DefaultAzureCredential"),
        ({"client_id": "c"}, "DefaultAzureCredential"),
        ({"kind": "managed_identity"}, "ManagedIdentityCredential"),
        ({"kind": "client_secret", **APPLICATION, "client_secret": "s"}, "ClientSecretCredential"),
        ({"kind": "cli"}, "AzureCliCredential"),
    ],
)
def test_each_kind_has_its_credential(identity: dict[str, Any], credential: str) -> None:
    """Of azure-identity."""
    made = entra_credential(Identity.model_validate(identity), PUBLIC)
    assert type(made).__name__ == credential


def test_a_workload_without_its_file_says_so() -> None:
    """Azure-identity's own words."""
    with pytest.raises(ValueError, match="token_file_path"):
        entra_credential(Identity(kind="workload_identity"), PUBLIC)


@pytest.mark.parametrize(
    ("endpoint", "identity", "authority"),
    [
        (PUBLIC, {}, None),
        ("https://c.openai.azure.us", {}, "login.microsoftonline.us"),
        ("https://c.vault.usgovcloudapi.net", {}, "login.microsoftonline.us"),
        ("https://c.openai.azure.cn", {}, "login.chinacloudapi.cn"),
        ("https://c.openai.azure.cn", {"authority": "https://login.example"}, "https://login.example"),
    ],
)
def test_the_authority_follows_the_cloud(
    endpoint: str, identity: dict[str, Any], authority: str | None
) -> None:
    """Unless it is given."""
    assert authority_of(Identity.model_validate(identity), endpoint) == authority


def test_what_azure_identity_lacks_is_told() -> None:
    """As why there is no token, with the scope."""
    tokens = EntraTokens(Identity(kind="workload_identity"), "api://a/.default", PUBLIC, {})
    with pytest.raises(Unreadable, match=r"no Entra token for api://a/\.default: .*token_file_path"):
        tokens.read(afresh=False)
