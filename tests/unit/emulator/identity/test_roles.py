import pytest

from smalt.emulator.identity.roles import ROLES

OPENAI = "Microsoft.CognitiveServices/accounts/OpenAI"
CHAT = f"{OPENAI}/deployments/chat/completions/action"
LIST_KEYS = "Microsoft.CognitiveServices/accounts/listKeys/action"
LIST = "Microsoft.CognitiveServices/accounts/deployments/read"
SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
SET_SECRET = "Microsoft.KeyVault/vaults/secrets/setSecret/action"


@pytest.mark.parametrize(
    ("role", "inference", "lists", "keys"),
    [
        ("Cognitive Services OpenAI User", True, True, False),
        ("Cognitive Services OpenAI Contributor", True, True, False),
        ("Cognitive Services User", True, True, True),
        ("Cognitive Services Contributor", False, True, True),
        ("Azure AI User", True, True, False),
        ("Reader", False, True, False),
        ("Contributor", False, True, True),
        ("Owner", False, True, True),
        ("Key Vault Secrets User", False, False, False),
    ],
)
def test_the_table_of_roles(role: str, inference: bool, lists: bool, keys: bool) -> None:
    """Who may infer with a token, list deployments, and see keys."""
    one = ROLES[role]
    assert (one.allows_data(CHAT), one.allows(LIST), one.allows(LIST_KEYS)) == (inference, lists, keys)


def test_a_user_cannot_tune_or_upload() -> None:
    """That is what the contributor is for."""
    tune = f"{OPENAI}/fine-tunes/write"
    assert not ROLES["Cognitive Services OpenAI User"].allows_data(tune)
    assert ROLES["Cognitive Services OpenAI Contributor"].allows_data(tune)


def test_secrets() -> None:
    """A user reads them, an officer writes them, an owner of the vault does neither."""
    told = {name: (ROLES[name].allows_data(SECRET), ROLES[name].allows_data(SET_SECRET)) for name in ROLES}
    assert told["Key Vault Secrets User"] == (True, False)
    assert told["Key Vault Secrets Officer"] == told["Key Vault Administrator"] == (True, True)
    assert told["Owner"] == told["Cognitive Services User"] == (False, False)


def test_case_does_not_matter_and_dots_are_dots() -> None:
    """As in Azure; a pattern is text but for its stars."""
    role = ROLES["Cognitive Services User"]
    assert role.allows(LIST_KEYS.upper())
    assert not role.allows_data("MicrosoftXCognitiveServices/accounts/OpenAI/models/read")


def test_a_contributor_cannot_give_roles() -> None:
    """What is taken out of a role stays out."""
    assign = "Microsoft.Authorization/roleAssignments/write"
    assert not ROLES["Contributor"].allows(assign)
    assert ROLES["Owner"].allows(assign)
