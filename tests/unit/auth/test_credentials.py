import copy
import pickle

import pytest
from pydantic import SecretStr

from smalt.auth.credentials import ApiKey, Token
from smalt.auth.kept import Fixed
from smalt.dispatch.target import Origin, Target, Timeouts
from smalt.dispatch.upstreams import Upstreams

pytestmark = pytest.mark.security

SECRET = "k3y-that-nobody-may-see"


def make_target() -> Target:
    key = ApiKey(Fixed(SecretStr(SECRET)))
    return Target(Origin("east.example", 443, tls=True), (key, key), api="classic", api_version="2024-10-21")


def test_azure_takes_the_key_in_its_own_header() -> None:
    """`api-key` for Azure, a bearer token for OpenAI-compatible servers."""
    key = ApiKey(Fixed(SecretStr(SECRET)))
    assert key.header(bearer=False) == ("api-key", SECRET)
    assert key.header(bearer=True) == ("authorization", f"Bearer {SECRET}")


def test_a_token_is_the_same_for_every_server() -> None:
    """`Authorization: Bearer`."""
    token = Token(Fixed(SecretStr(SECRET)))
    for bearer in (False, True):
        assert token.header(bearer=bearer) == ("authorization", f"Bearer {SECRET}")


@pytest.mark.parametrize(
    "holder",
    [
        ApiKey(Fixed(SecretStr(SECRET))),
        Token(Fixed(SecretStr(SECRET))),
        make_target(),
        make_target().heads,
        make_target().heads.at_once(0.0),
        {"targets": [make_target()]},
        Upstreams({"east": make_target()}, Timeouts()),
    ],
    ids=["key", "token", "target", "heads", "head", "nested", "upstreams"],
)
def test_nothing_that_holds_a_key_shows_it(holder: object) -> None:
    """Neither printed nor formatted nor pickled."""
    shown = f"{holder!r} {holder!s} {holder} %s %r" % (holder, holder)
    assert SECRET not in shown
    assert "k3y" not in shown
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="stays in its process"):
            pickle.dumps(holder, protocol)


def test_a_key_has_no_open_attributes() -> None:
    """Dumps of attributes find nothing, and copies cannot be made either."""
    key = ApiKey(Fixed(SecretStr(SECRET)))
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError):
        copy.deepcopy(key)


def test_the_error_of_a_failed_pickle_does_not_show_the_key() -> None:
    """Not even in its text."""
    with pytest.raises(TypeError) as caught:
        pickle.dumps(make_target())
    assert SECRET not in str(caught.value)
