"""Secrets that are kept elsewhere."""

import pytest

from smalt.config.references import Reference, fault_of, is_at_azure, reference

SECRET = "https://contoso.vault.azure.net/secrets/aoai-key"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("file:/run/secrets/key", Reference("file", "/run/secrets/key")),
        ("keyring:east", Reference("keyring", "east")),
        (SECRET, Reference("vault", SECRET)),
        (f"{SECRET}/", Reference("vault", SECRET)),
        (f"{SECRET}/{'0' * 32}", Reference("vault", f"{SECRET}/{'0' * 32}")),
        (
            "https://127.0.0.1:8107/secrets/aoai-key",
            Reference("vault", "https://127.0.0.1:8107/secrets/aoai-key"),
        ),
        ("s3cret", None),
        ("sk-key:with-colon", None),
        ("http://contoso.vault.azure.net/secrets/aoai-key", None),
        ("https://contoso.vault.azure.net/keys/aoai-key", None),
    ],
)
def test_where_a_secret_is_kept(text: str, kept: Reference | None) -> None:
    """Anything else is the secret itself."""
    assert reference(text) == kept


@pytest.mark.parametrize(
    ("url", "there"),
    [
        (SECRET, True),
        ("https://contoso.vault.azure.cn/secrets/a", True),
        ("https://contoso.vault.usgovcloudapi.net/secrets/a", True),
        ("https://contoso.vaultazure.net/secrets/a", False),
        ("https://vault.azure.net.example/secrets/a", False),
    ],
)
def test_who_may_get_a_token_for_vaults(url: str, there: bool) -> None:
    """Nobody whose name only looks like a vault's."""
    assert is_at_azure(url) is there


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("s3cret", None),
        ("", "it is empty"),
        ("two words", "a secret must not hold spaces"),
        ("é", "a secret must not hold spaces"),
        ("line\nbreak", "a secret must not hold spaces"),
        ("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/n)", "has not resolved"),
    ],
)
def test_what_cannot_be_sent(text: str, fault: str | None) -> None:
    """Said without the text."""
    told = fault_of(text)
    assert told is None if fault is None else fault in (told or "")
    assert not text or text not in (told or "")


@pytest.mark.parametrize("text", ["$EAST_KEY", "os.environ/EAST_KEY"])
def test_a_variable_in_anothers_spelling_is_no_secret(text: str) -> None:
    """As shells and other tools write it; a secret may well begin with a dollar sign."""
    assert fault_of(text) == "it reads like the name of a variable; one is written ${NAME}"
    assert fault_of("$ecret") is None


def test_a_placeholder_is_no_secret() -> None:
    """As examples have them."""
    assert fault_of("<your key>") == fault_of("<KEY>") == "a placeholder; put the secret itself in its place"
