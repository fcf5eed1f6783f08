"""What azure-identity says, and what that means."""

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.identity import CredentialUnavailableError

from smalt.config.identity import Identity
from smalt.doctor.token_faults import of_token_error

SCOPE = "https://cognitiveservices.azure.com/.default"
APPLICATION = Identity(kind="client_secret", tenant_id="t-1", client_id="c-1")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("AADSTS7000215: Invalid client secret provided.", "secret_refused"),
        ("AADSTS7000222: The provided client secret keys are expired.", "secret_expired"),
        ("AADSTS700016: Application not found.", "application_not_found"),
        ("AADSTS90002: Tenant not found.", "tenant_not_found"),
        ("AADSTS500011: The resource principal was not found.", "wrong_audience"),
        ("AADSTS700027: not registered", "certificate_refused"),
        ("AADSTS700213: No matching federated identity record found", "federation_refused"),
        ("AADSTS70043: The refresh token has expired", "login_expired"),
        ("Unable to get authority configuration for https://login", "tenant_not_found"),
        ("AADSTS53003: Access has been blocked by Conditional Access policies.", "token_denied"),
    ],
)
def test_entra_ids_number_tells(text: str, code: str) -> None:
    """A number that is not known is named with the page that explains it."""
    told = of_token_error(RuntimeError(text), APPLICATION, SCOPE)
    assert (told.area, told.code) == ("authentication", code)
    assert told.mend


def test_names_are_filled_in() -> None:
    """Those of the settings, else the variables that azure-identity reads."""
    error = RuntimeError("AADSTS700016")
    assert "--id c-1" in of_token_error(error, APPLICATION, SCOPE).mend[-1]
    assert "--id $AZURE_CLIENT_ID" in of_token_error(error, Identity(), SCOPE).mend[-1]


def test_a_name_is_a_word_to_the_shell() -> None:
    """Whatever the settings hold."""
    odd = Identity(kind="client_secret", tenant_id="t`x`", client_id="$(x)")
    mend = of_token_error(RuntimeError("AADSTS700016"), odd, SCOPE).mend
    assert mend == ["az login --tenant 't`x`'", "az ad app show --id '$(x)' --query appId"]


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ValueError("token_file_path"), "workload_identity", "identity_incomplete"),
        (ServiceRequestError("refused"), "client_secret", "authority_unreachable"),
        (CredentialUnavailableError("no identity"), "managed_identity", "no_identity"),
        (CredentialUnavailableError("az not found"), "cli", "no_identity"),
        (CredentialUnavailableError("none"), "default", "no_identity"),
    ],
)
def test_without_a_number(error: Exception, kind: str, code: str) -> None:
    """What is missing follows from the kind of identity."""
    told = of_token_error(error, Identity.model_validate({"kind": kind}), SCOPE)
    assert told.code == code
    assert told.mend
