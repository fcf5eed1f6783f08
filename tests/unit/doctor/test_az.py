"""Command lines with the names that are known."""

import pytest

from smalt.config.schema import Resource
from smalt.doctor.az import Account, account_of, parse_id

ID = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/contoso"


def test_an_id_tells_everything() -> None:
    """Name, group and subscription stand in the line, and the id is the same again."""
    account = parse_id(ID)
    assert account == Account("contoso", "rg", "s1")
    assert account.id == ID
    assert account.line("keys list") == (
        "az cognitiveservices account keys list --name contoso --resource-group rg --subscription s1",
    )


@pytest.mark.parametrize(
    "text", ["", "contoso", "/subscriptions/s1/resourceGroups/rg", f"{ID}/deployments/x"]
)
def test_what_is_no_id_of_an_account(text: str) -> None:
    """None, not a guess."""
    assert parse_id(text) is None


def test_an_id_is_read_in_any_case() -> None:
    """ARM's paths are case-insensitive."""
    assert (
        parse_id(ID.replace("resourceGroups", "resourcegroups").replace("Cognitive", "COGNITIVE")) is not None
    )


def test_without_an_id_a_line_before_tells_the_group() -> None:
    """What only Azure knows stands in capitals."""
    account = account_of(Resource.model_validate({"endpoint": "https://contoso-east.openai.azure.com"}))
    find, told = account.line("keys list")
    assert "[?name=='contoso-east'].resourceGroup" in find
    assert told.endswith("--name contoso-east --resource-group GROUP")
    assert account.give("Reader", None, "User")[-1].endswith('--role "Reader" --scope ID')
    assert account.update("disableLocalAuth=false")[-1] == (
        "az resource update --ids ID --set properties.disableLocalAuth=false"
    )


def test_an_address_is_no_name() -> None:
    """Of a resource at an IP address the name is not known."""
    assert account_of(Resource.model_validate({"endpoint": "https://127.0.0.1:1"})).name == "RESOURCE"
