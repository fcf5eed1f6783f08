"""Whose word is believed about where a request comes from."""

import logging
from dataclasses import dataclass, field

import pytest

from smalt.config.listening import trusted_networks
from smalt.gateway.exchange import Exchange, Headers
from smalt.gateway.forwarded import RefusedKeys, caller_address

TRUSTED = trusted_networks(("10.0.0.0/8", "192.0.2.7", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["fe80::1%\x1b[31m"], "10.0.0.1"),
        ("", ["198.51.100.1"], "198.51.100.1"),
        ("", [], ""),
    ],
)
def test_read_from_the_right(peer: str, forwarded: list[str], caller: str) -> None:
    """The first address that is not trusted is the caller; anybody may have written what is left of it."""
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    assert caller_address(peer, [(b"host", b"x"), *headers], TRUSTED) == caller


def test_nobody_is_trusted_unless_told() -> None:
    """Without the setting the header means nothing."""
    assert caller_address("127.0.0.1", [(b"x-forwarded-for", b"1.1.1.1")], ()) == "127.0.0.1"


def test_a_long_list_costs_little() -> None:
    """Thousands of trusted hops are not walked through."""
    headers = [(b"x-forwarded-for", b"1.1.1.1, " + b"10.0.0.2, " * 5_000 + b"10.0.0.2")]
    assert caller_address("10.0.0.1", headers, TRUSTED) == "10.0.0.2"


@dataclass
class Asked:
    """As much of an exchange as is looked at."""

    peer: str
    headers: Headers = field(default_factory=lambda: [(b"authorization", b"Bearer gw_guessed")])


def test_refused_keys_are_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With their number and the last address; the key itself is not."""
    now = [100.0]
    refused = RefusedKeys(lambda: now[0])

    def note(peer: str) -> None:
        exchange: Exchange = Asked(peer)  # type: ignore[assignment]
        refused.note(exchange)

    with caplog.at_level(logging.WARNING, "smalt.gateway"):
        note("203.0.113.5")
        note("203.0.113.6")
        now[0] += 59
        note("203.0.113.7")
        now[0] += 1
        note("203.0.113.8")
        now[0] += 60
        note("")
    assert caplog.messages == [
        "requests without a known gateway key: 1, the last from 203.0.113.5",
        "requests without a known gateway key: 3, the last from 203.0.113.8",
        "requests without a known gateway key: 1, the last from a unix socket",
    ]
