"""What resources are shown, and which of them share a secret."""

from typing import Any

import pytest

from smalt.auth.credentials import ApiKey, Token
from smalt.auth.secrets import Secrets
from smalt.config.identity import Identity, KeyVault
from smalt.config.network import Network
from smalt.config.schema import Resource

VAULT = "https://contoso.vault.azure.net/secrets"


def resource(**fields: Any) -> Resource:
    return Resource.model_validate({"endpoint": "https://contoso.openai.azure.com", **fields})


def secrets(before: Secrets | None = None, **network: Any) -> Secrets:
    return Secrets(KeyVault(), Network(**network), {"own": lambda: "own-token"}, before)


def behind(shown: ApiKey | Token) -> object:
    return shown._secret


def test_keys_come_before_tokens() -> None:
    """The second is for when the first is refused."""
    shown = secrets().of("east", resource(api_keys=["a", "b"], identity="cli"))
    assert [key.header(bearer=False) for key in shown] == [("api-key", "a"), ("api-key", "b")]


def test_a_token_that_is_given() -> None:
    """Used until it expires."""
    (shown,) = secrets().of("east", resource(identity={"kind": "token", "token": "t"}))
    assert shown.header(bearer=False) == ("authorization", "Bearer t")


def test_what_is_kept_elsewhere_has_no_header_yet() -> None:
    """Nothing is read when it is made."""
    made = secrets()
    shown = [
        *made.of("vault", resource(api_keys=[f"{VAULT}/a", "keyring:b"])),
        *made.of("entra", resource(identity="managed_identity")),
        *made.of("own", resource(identity="default")),
    ]
    assert [one.header(bearer=False) for one in shown] == [None] * 4


def test_a_function_stands_before_the_identity() -> None:
    """Of the resource it was given for."""
    (shown,) = secrets().of("own", resource(identity="default"))
    renewal = shown.renew()
    assert renewal is not None
    renewal.result(5)
    assert shown.header(bearer=False) == ("authorization", "Bearer own-token")


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({"identity": "cli"}, {"identity": "cli"}, True),
        ({"identity": "cli"}, {"identity": "cli", "api": "v1"}, False),
        ({"identity": "cli"}, {"identity": "managed_identity"}, False),
        ({"identity": "cli"}, {"identity": "cli", "endpoint": "https://a.openai.azure.us"}, False),
        ({"api_keys": [f"{VAULT}/a"]}, {"api_keys": [f"{VAULT}/a"]}, True),
        ({"api_keys": [f"{VAULT}/a"]}, {"api_keys": [f"{VAULT}/a"], "identity": "cli"}, False),
        ({"api_keys": ["keyring:a"]}, {"api_keys": ["keyring:a"], "identity": "cli"}, True),
        ({"api_keys": ["file:/a"]}, {"api_keys": ["file:/b"]}, False),
    ],
)
def test_which_secrets_are_one(one: dict[str, Any], other: dict[str, Any], shared: bool) -> None:
    """Tokens by identity, scope and cloud; secrets by their place and by who reads them."""
    made = secrets()
    ((first,), (second,)) = made.of("one", resource(**one)), made.of("other", resource(**other))
    assert (behind(first) is behind(second)) == shared


def test_a_reload_keeps_what_was_read() -> None:
    """Unless Azure is asked by another way now."""
    before = secrets()
    (first,) = before.of("east", resource(identity="cli"))
    (second,) = secrets(before).of("east", resource(identity="cli"))
    (third,) = secrets(before, proxy="http://proxy.example:3128").of("east", resource(identity="cli"))
    assert behind(first) is behind(second)
    assert behind(first) is not behind(third)


def test_how_often_a_vault_is_read_may_change() -> None:
    """By a reload."""
    vaulted = resource(api_keys=[f"{VAULT}/a"])
    before = secrets()
    (first,) = before.of("east", vaulted)
    (second,) = Secrets(KeyVault(refresh_s=5), Network(), {}, before).of("east", vaulted)
    assert behind(first) is not behind(second)


def test_vaults_may_have_an_identity_of_their_own() -> None:
    """It counts before that of the resource."""
    made = Secrets(KeyVault(identity=Identity(kind="cli")), Network(), {})
    (first,) = made.of("one", resource(api_keys=[f"{VAULT}/a"], identity="managed_identity"))
    (second,) = made.of("other", resource(api_keys=[f"{VAULT}/a"]))
    assert behind(first) is behind(second)
