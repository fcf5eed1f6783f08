"""Where to listen, and whom to believe: what is accepted and what is said otherwise."""

from pathlib import Path

import pytest

from smalt.config.listening import address, of_listening


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("unix:/run/smalt.sock", Path("/run/smalt.sock")),
    ],
)
def test_addresses(written: str, meant: object) -> None:
    """Host and port, or a path."""
    assert address(written) == meant


@pytest.mark.parametrize("written", ["everywhere", ":8000", "host:", "host:65536", "host:-1", "8000"])
def test_no_address(written: str) -> None:
    """The message shows both forms."""
    with pytest.raises(ValueError, match=r"expected host:port such as .*, or unix:/path"):
        address(written)


@pytest.mark.parametrize("written", ["unix:", "unix:smalt.sock", "unix:/" + "x" * 103])
def test_no_path(written: str) -> None:
    """A relative path would depend on where the gateway is started; systems bound its length."""
    with pytest.raises(ValueError, match="expected unix:/path of at most 103 bytes"):
        address(written)


def test_trusted_proxies() -> None:
    """Addresses and networks; what is neither is named by its place."""
    texts = ("10.0.0.0/8", "10.1.2.3/8", "192.0.2.1", "fd00::/8", "proxy.internal", "10.0.0.0/40")
    findings = list(of_listening("127.0.0.1:1", None, texts))
    assert [finding.path for finding in findings] == [("gateway", "trusted_proxies", i) for i in (4, 5)]
    assert findings[0].message == "expected an address or a network such as 10.0.0.0/8"
