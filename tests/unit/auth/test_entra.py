"""Which credential, asked where, and for what. How they work is tested with real requests."""

from typing import Any

import pytest

from smalt.auth.entra import entra_credential, scope_of
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
