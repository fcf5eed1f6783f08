"""Settings out of what ARM tells."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from smalt.config.loading import from_data
from smalt.doctor.arm import Arm
from smalt.doctor.discovery import discover
from smalt.errors import ConfigurationError

SUBSCRIPTIONS = [
    {"subscriptionId": "s-1", "displayName": "Production"},
    {"subscriptionId": "s-2", "displayName": "Test"},
]


def deployment(called: str, sku: str, capacity: int, **model: str) -> dict[str, Any]:
    told = {"name": "gpt-4o", "version": "2024-11-20", "format": "OpenAI", **model}
    return {"name": called, "sku": {"name": sku, "capacity": capacity}, "properties": {"model": told}}


def account(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/{name}",
        "name": name,
        "kind": "OpenAI",
        "location": "Sweden Central",
        "properties": {"endpoint": f"https://{name}.openai.azure.com/"},
        **fields,
    }


class Told:
    """ARM by heart: lists by path."""

    def __init__(self, *accounts: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
        self._lists: dict[str, list[dict[str, Any]]] = {"/subscriptions": SUBSCRIPTIONS}
        where = "/subscriptions/s-1/providers/Microsoft.CognitiveServices/accounts"
        self._lists[where] = [told for told, _ in accounts]
        self._lists |= {f"{told['id']}/deployments": deployed for told, deployed in accounts}

    def listing(self, path: str, **_: str) -> Iterator[dict[str, Any]]:
        yield from self._lists.get(path, [])


def discovered(*accounts: tuple[dict[str, Any], list[dict[str, Any]]]) -> Any:
    return discover(cast("Arm", Told(*accounts)), "Production")


def test_a_resource_and_its_deployments() -> None:
    """Regions in Azure's own spelling, quota as people write it, units where it is provisioned."""
    found = discovered(
        (
            account("contoso"),
            [
                deployment("prod", "GlobalStandard", 2_000),
                deployment("ptu", "ProvisionedManaged", 50),
                deployment("small", "Standard", 8),
            ],
        )
    )
    resource = found.data["resources"]["contoso"]
    assert (resource["endpoint"], resource["region"]) == ("https://contoso.openai.azure.com", "swedencentral")
    assert resource["deployments"] == {
        "prod": {"model": "gpt-4o", "sku": "GlobalStandard", "quota_tpm": "2m"},
        "ptu": {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 50},
        "small": {"model": "gpt-4o", "sku": "Standard", "quota_tpm": "8k"},
    }
    assert from_data(found.data).resources["contoso"].deployments["prod"].quota_tpm == 2_000_000
    assert found.left_out == ()


def test_what_cannot_be_asked_is_left_out_and_said() -> None:
    """Batch, other makers' models, what is not ready; a resource without the rest."""
    making = deployment("making", "Standard", 1)
    making["properties"]["provisioningState"] = "Creating"
    found = discovered(
        (
            account("contoso"),
            [
                deployment("prod", "Standard", 1),
                deployment("night", "GlobalBatch", 1),
                deployment("other", "GlobalStandard", 1, name="Llama", format="Meta"),
                making,
            ],
        ),
        (account("empty"), []),
        (account("vision", kind="ComputerVision"), [deployment("x", "Standard", 1)]),
    )
    assert list(found.data["resources"]) == ["contoso"]
    assert list(found.data["resources"]["contoso"]["deployments"]) == ["prod"]
    assert found.left_out == (
        "contoso/night: GlobalBatch takes no single requests",
        "contoso/other: Llama is a model of Meta, not of OpenAI",
        "contoso/making: its state is Creating",
        "empty: no deployment that takes requests",
    )


def test_an_account_of_foundry() -> None:
    """Its endpoint for OpenAI's API stands among several."""
    endpoints = {"OpenAI Language Model Instance API": "https://foundry.openai.azure.com/"}
    told = account(
        "foundry", kind="AIServices", properties={"endpoint": "https://x/", "endpoints": endpoints}
    )
    found = discovered((told, [deployment("prod", "Standard", 1)]))
    assert found.data["resources"]["foundry"]["endpoint"] == "https://foundry.openai.azure.com"


def test_accounts_of_one_name() -> None:
    """In different groups; both are there."""
    other = account("contoso") | {"id": "/subscriptions/s-1/resourceGroups/b/providers/x/accounts/contoso"}
    one = [deployment("prod", "Standard", 1)]
    found = discovered((account("contoso"), one), (other, one))
    assert list(found.data["resources"]) == ["contoso", "contoso-2"]


def test_nothing_is_there() -> None:
    """One error, with who asks and what was left out."""
    with pytest.raises(
        ConfigurationError, match=r"(?s)no Azure OpenAI resource.*empty: no deployment.*az account"
    ):
        discovered((account("empty"), []))
