"""Command lines with the names that are known."""

import re
import shlex

import pytest

from smalt.config.schema import Resource
from smalt.doctor.az import Account, account_of, login, parse_id

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
    assert find.startswith(
        "az resource list --name contoso-east --resource-type Microsoft.CognitiveServices/"
    )
    assert "--query '[].resourceGroup'" in find
    assert told.endswith("--name contoso-east --resource-group GROUP")
    assert account.give("Reader", None, "User")[-1].endswith("--role Reader --scope ID")
    assert account.update("disableLocalAuth=false")[-1] == (
        "az resource update --ids ID --set properties.disableLocalAuth=false"
    )


ODD = ["rg(prod)", "$(x)", "`x`", "it's; x", 'a" x']


@pytest.mark.parametrize("odd", ODD)
def test_every_name_is_one_word_to_the_shell(odd: str) -> None:
    """Nothing of it is run or split: the shell's own reading gives the names again."""
    known, unknown = Account("contoso", odd, odd), Account(odd)
    assert words(*known.line("show", "--query", odd)).count(odd) == 3
    assert [word for word in words(*known.update("x=1")) if odd in word] == [known.id]
    assert [word for word in words(*known.give("Reader", odd, "User")) if odd in word] == [odd, known.id]
    for lines in (unknown.line("show"), unknown.update("x=1"), unknown.give("Reader", None, "User")):
        assert odd in words(lines[0])
    assert words(*login(odd))[-1] == odd


def words(line: str) -> list[str]:
    """As a shell reads them, if it has nothing to run in them."""
    read = shlex.split(line, comments=True)
    unquoted = re.sub(r"'[^']*'|\"'\"", "", line)
    assert not re.search(r"[$`();\"]", unquoted), line
    return read


def test_an_address_is_no_name() -> None:
    """Of a resource at an IP address the name is not known."""
    assert account_of(Resource.model_validate({"endpoint": "https://127.0.0.1:1"})).name == "RESOURCE"
