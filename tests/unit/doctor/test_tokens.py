"""What a token says of itself."""

import base64
import json

import pytest

from smalt.doctor.tokens import Token, read, telling_line


def token(**claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{part}.signature"


def test_claims_are_read() -> None:
    """Audience without its last slash, tenant, principal, end."""
    found = read(token(aud="https://ai.azure.com/", tid="t", oid="o", exp=1_700_000_000, idtyp="app"))
    assert (found.audience, found.tenant, found.object_id) == ("https://ai.azure.com", "t", "o")
    assert (found.expires_s, found.principal) == (1_700_000_000.0, "ServicePrincipal")


def test_a_person_is_a_user() -> None:
    """Which role assignments must be told."""
    assert read(token(upn="ada@contoso.com")).principal == "User"
    assert read(token(idtyp="user")).principal == "User"


@pytest.mark.parametrize("text", ["", "a-key", "a.b", "a.!.c", "a.bm90IGpzb24.c", "a.WzFd.c"])
def test_what_is_no_token_has_no_claims(text: str) -> None:
    """A key, say."""
    found = read(text)
    assert found.claims == {}
    assert (found.audience, found.tenant, found.expires_s) == ("", None, None)


def test_a_token_is_not_shown() -> None:
    """Nor what it claims."""
    assert repr(Token("secret", {"oid": "o"})) == "Token()"


def test_the_line_with_the_number_tells() -> None:
    """Of the pages azure-identity writes; without the id of the request."""
    text = (
        "DefaultAzureCredential failed\n\nEnvironment: AADSTS700016: not found. Trace ID: 1 Correlation ID: 2"
    )
    assert telling_line(ValueError(text)) == "Environment: AADSTS700016: not found."
    assert telling_line(ValueError("")) == "ValueError"
