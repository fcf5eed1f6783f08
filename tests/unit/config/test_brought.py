"""Which endpoints of callers are on the list, and where the names on it may lead."""

from ipaddress import ip_address

import pytest

from smalt.config.brought import Allowed, Entry, Place, literal

AZURE = Place("contoso.openai.azure.com", 443, tls=True, path="")
LIST = Allowed.of(
    ["contoso.openai.azure.com", "*.services.ai.azure.com", "apim.contoso.com:8443", "10.9.0.0/16"]
)


@pytest.mark.parametrize(
    "text",
    [
        "contoso.openai.azure.com",
        "CONTOSO.openai.azure.com",
        "*.openai.azure.com",
        "apim.contoso.com:8443",
        "localhost",
        "localhost:8000",
        "127.0.0.1:8000",
        "10.0.0.5",
        "10.0.0.0/8",
        "fd00::/8",
        "::1",
        "[::1]:8000",
    ],
)
def test_what_may_be_on_the_list(text: str) -> None:
    """Names, what names end with, addresses and ranges; with a port or without."""
    assert Entry.of(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://contoso.openai.azure.com", "without https"),
        ("contoso.openai.azure.com/openai", "range"),
        ("contoso.openai.azure.com.", "expected a host"),
        ("", "expected a host"),
        ("*", "expected a host"),
        ("*.com", "too many hosts"),
        ("*openai.azure.com", "expected a host"),
        ("a.*.azure.com", "expected a host"),
        ("2130706433", "expected a host"),
        ("0x7f.1", "expected a host"),
        ("contoso.0x7f", "expected a host"),
        ("b\u00fccher.example", "expected a host"),
        ("a..b", "expected a host"),
        ("contoso.com:0", "port"),
        ("contoso.com:70000", "port"),
        ("10.0.0.5/8", "range"),
        ("0.0.0.0/0", "too wide"),
        ("::/0", "too wide"),
    ],
)
def test_what_may_not(text: str, says: str) -> None:
    """Said without the text."""
    with pytest.raises(ValueError, match=says):
        Entry.of(text)


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("https://contoso.openai.azure.com", AZURE),
        ("https://CONTOSO.OpenAI.azure.com:443/openai/v1/?api-version=x#y", AZURE),
        (
            "https://a.b.services.ai.azure.com/api/projects/p",
            Place("a.b.services.ai.azure.com", 443, True, ""),
        ),
        ("https://apim.contoso.com:8443/team/openai", Place("apim.contoso.com", 8443, True, "/team")),
        ("https://10.9.1.2", Place("10.9.1.2", 443, True, "")),
    ],
)
def test_an_endpoint_on_the_list(endpoint: str, place: Place) -> None:
    """Cleaned as those of the settings are."""
    assert LIST.place(endpoint) == place


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "contoso.openai.azure.com",
        "http://contoso.openai.azure.com",
        "ftp://contoso.openai.azure.com",
        "https://contoso.openai.azure.com.",
        "https://contoso.openai.azure.com:8443",
        "https://contoso.openai.azure.com@evil.example",
        "https://key:contoso@contoso.openai.azure.com",
        "https://evil.example/contoso.openai.azure.com",
        "https://evil.example?contoso.openai.azure.com",
        "https://evil.example\\@contoso.openai.azure.com",
        "https://contoso.openai.azure.com\\.evil.example",
        "https://contoso.openai.azure.com%2eevil.example",
        "https://contoso.openai.azure.com.evil.example",
        "https://xcontoso.openai.azure.com",
        "https://services.ai.azure.com",
        "https://evilservices.ai.azure.com",
        "https://.services.ai.azure.com",
        "https://a..services.ai.azure.com",
        "https://xn--80ak6aa92e.services.ai.azure.com",
        "https://\u0430.services.ai.azure.com",
        "https://\u212aontoso.services.ai.azure.com",
        "https://contoso.privatelink.services.ai.azure.com",
        "https://privatelink.services.ai.azure.com",
        "https://contoso.openai.privatelink.azure.com",
        "https://contoso.openai.azure.com\r\nhost: evil",
        "https://contoso.openai.azure.com /",
        "https://apim.contoso.com",
        "https://apim.contoso.com:443",
        "https://apim.contoso.com:8443/../admin",
        "https://apim.contoso.com:8443/%2e%2e/admin",
        "https://apim.contoso.com:8443/a//b",
        "https://apim.contoso.com:8443/a;b",
        "https://apim.contoso.com:8443/a\\b",
        "https://10.9.1.2:8443",
        "https://10.10.1.2",
        "https://168361474",
        "https://0x0a090102",
        "https://012.011.1.2",
        "https://10.9.258",
        "https://[::ffff:10.9.1.2]",
        "https://[::1",
        "http://10.9.1.2",
        "http://127.0.0.1",
        "http://localhost",
        "http://169.254.169.254",
    ],
)
def test_an_endpoint_that_is_not(endpoint: str) -> None:
    """Neither another host nor another spelling that might become one."""
    with pytest.raises(ValueError):  # noqa: PT011  for various reasons
        LIST.place(endpoint)


def test_an_empty_list() -> None:
    """Nothing may be brought."""
    with pytest.raises(ValueError, match="takes no resources"):
        Allowed.of([]).place("https://contoso.openai.azure.com")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_http_is_for_loopback_on_the_list(host: str) -> None:
    """Elsewhere a key would go in the clear."""
    allowed = Allowed.of([f"{host}:8000", "intranet.contoso.com:8000"])
    assert not allowed.place(f"http://{host}:8000").tls
    with pytest.raises(ValueError, match="in the clear"):
        allowed.place("http://intranet.contoso.com:8000")


@pytest.mark.parametrize("address", ["20.1.2.3", "2603:1030::1", "64:ff9b::1401:203", "2002:1401:203::1"])
def test_public_addresses(address: str) -> None:
    """Also in the forms that lead to IPv4."""
    assert LIST.may_lead_to(AZURE, ip_address(address))


INSIDE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "fe80::1%eth0",
]
INNER = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "168.63.129.16", "100.64.0.1", "0.0.0.0", "224.0.0.1"]


def _disguised(inner: str) -> list[str]:
    four = int(ip_address(inner))
    halves = f"{four >> 16:x}:{four & 0xFFFF:x}"
    return [
        f"::ffff:{inner}",
        f"64:ff9b::{halves}",
        f"64:ff9b:1::{halves}",
        f"2002:{halves}::1",
        f"::{halves}",
    ]


@pytest.mark.parametrize("address", INSIDE + [form for inner in INNER for form in _disguised(inner)])
def test_addresses_inside(address: str) -> None:
    """A name on the list may not lead there, by whatever spelling."""
    assert not LIST.may_lead_to(AZURE, ip_address(address))


def test_addresses_that_are_listed() -> None:
    """A name may lead to them; one with a port stands for itself alone."""
    allowed = Allowed.of(["*.contoso.com", "10.9.0.0/16", "10.8.0.1:8443", "::ffff:10.7.0.1", "localhost"])
    apim = allowed.place("https://apim.contoso.com")
    assert allowed.may_lead_to(apim, ip_address("10.9.1.1"))
    assert allowed.may_lead_to(apim, ip_address("::ffff:10.7.0.1"))
    assert not allowed.may_lead_to(apim, ip_address("10.7.0.1"))
    assert not allowed.may_lead_to(apim, ip_address("10.8.0.1"))
    assert not allowed.may_lead_to(apim, ip_address("127.0.0.1"))
    assert allowed.may_lead_to(allowed.place("https://10.8.0.1:8443"), ip_address("10.8.0.1"))
    local = allowed.place("http://localhost")
    assert allowed.may_lead_to(local, ip_address("::1"))
    assert not allowed.may_lead_to(local, ip_address("10.0.0.1"))


def test_names_of_places() -> None:
    """With the port where it is not the usual one; and which hosts are addresses."""
    assert str(AZURE) == "contoso.openai.azure.com"
    assert str(AZURE._replace(port=8443)) == "contoso.openai.azure.com:8443"
    assert (literal("::1"), literal("a.b")) == (ip_address("::1"), None)
