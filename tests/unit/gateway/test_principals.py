"""Gateway keys: where they may stand, and that they are looked up by digest."""

import pytest

from smalt.errors import InvalidGatewayKey, PermissionDenied
from smalt.gateway.principals import GatewayKeys, Principal

KEYS = GatewayKeys([("gw_one", Principal("one")), ("gw_two", Principal("two", frozenset({"gpt-4o"})))])


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer gw_one"),
        (b"authorization", b"bearer  gw_one "),
        (b"api-key", b"gw_one"),
        (b"x-api-key", b"gw_one"),
    ],
)
def test_where_a_key_may_stand(header: tuple[bytes, bytes]) -> None:
    """Any of the three headers carries it."""
    assert KEYS.principal([(b"host", b"x"), header]).alias == "one"


def test_a_known_key_beside_an_unknown_one() -> None:
    """SDKs send a placeholder in one header and the key in another: the known one counts."""
    headers = [(b"authorization", b"Bearer placeholder"), (b"api-key", b"gw_two")]
    assert KEYS.principal(headers).alias == "two"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([], "no gateway key was sent"),
        ([(b"api-key", b"")], "no gateway key was sent"),
        ([(b"authorization", b"Basic gw_one")], "no gateway key was sent"),
        ([(b"authorization", b"gw_one")], "no gateway key was sent"),
        ([(b"x-api-key", b"gw_on")], "does not know this key"),
        ([(b"x-api-key", b"GW_ONE")], "does not know this key"),
        ([(b"x-api-key", b"\xff\x00")], "does not know this key"),
    ],
)
def test_who_is_refused(headers: list[tuple[bytes, bytes]], says: str) -> None:
    """No key and an unknown key are told apart, without repeating the key."""
    with pytest.raises(InvalidGatewayKey, match=says) as caught:
        KEYS.principal(headers)
    assert "gw_" not in caught.value.message.lower()


def test_req_2_3_keys_are_looked_up_by_digest() -> None:
    """No comparison walks along a key's characters, because none is kept: only digests of one length."""
    kept = list(KEYS._principals)
    assert {len(digest) for digest in kept} == {32}
    assert not any(b"gw_" in digest for digest in kept)
    assert "gw_" not in repr(vars(KEYS))


def test_a_principal_and_its_models() -> None:
    """Without a list it may use all, else only those."""
    Principal("all").require("anything")
    Principal("some", frozenset({"gpt-4o"})).require("gpt-4o")
    with pytest.raises(PermissionDenied, match="'some' may not use the model 'gpt-4'"):
        Principal("some", frozenset({"gpt-4o"})).require("gpt-4")
