"""Identities as they are written."""

from smalt.config.identity import Identity, KeyVault


def test_the_kind_alone_stands_for_the_whole() -> None:
    """As it does in a resource."""
    assert KeyVault.model_validate({"identity": "cli"}).identity == Identity(kind="cli")


def test_a_token_may_come_with_its_word() -> None:
    """As it stands in the header it was copied from."""
    identity = Identity.model_validate({"kind": "token", "token": "Bearer abc"})
    assert identity.token is not None
    assert identity.token.get_secret_value() == "abc"


def test_no_secret_is_shown() -> None:
    """Of an identity, too."""
    identity = Identity.model_validate({"kind": "client_secret", "client_secret": "s3cret", "token": "t0ken"})
    assert "s3cret" not in repr(identity)
    assert "t0ken" not in repr(identity)
