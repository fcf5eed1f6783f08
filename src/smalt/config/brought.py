"""Which resources callers may bring, and where a name of theirs may lead: `gateway.callers_may_bring`.

An endpoint in a header is what attacks on the inside of a network are made of (OWASP, server-side request
forgery). So nothing is asked that is not on the list, and a name on the list must not lead where only this
machine or its network should get to: that is for addresses and ranges on the list alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

from smalt.config.endpoint import base_url

Address = IPv4Address | IPv6Address
_PORT: Final = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^:]*):(?P<port>\d{1,5})")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")  # what a resolver takes for an address if a name ends so
_PATH: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_WIDEST: Final = 7  # bits; a range beyond is no list any more
_GLOBAL_IPV6: Final = ip_network("2000::/3")
_NAT64: Final = ip_network("64:ff9b::/96")  # RFC 6052: stands for the IPv4 address in its last bits
_INSIDE: Final = (  # answer whoever is inside, though nothing in them says so
    ip_network("168.63.129.16"),  # the host that an Azure VM runs on
    ip_network("192.0.0.0/24"),  # IETF protocol assignments: metadata of Oracle's cloud
    ip_network("192.88.99.0/24"),  # 6to4 relays
)


class Place(NamedTuple):
    """A resource of a caller's. `host` in lower case, without brackets; `path`: before Azure's own."""

    host: str
    port: int
    tls: bool
    path: str

    def __str__(self) -> str:
        """As part of names: with the port only where it is not the usual one."""
        return self.host if self.port == _usual_port(tls=self.tls) else f"{self.host}:{self.port}"


class Entry(NamedTuple):
    """One line of the list. `host`: a name, or `*.` and what names below it end with; `network`: in place of
    that, one address or more. `port`: None for the usual one."""

    host: str
    port: int | None
    network: IPv4Network | IPv6Network | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """ValueError says what is wrong, without the text."""
        text = text.strip().lower()
        if "://" in text:
            raise ValueError("write the host alone, without https://")
        match = _PORT.fullmatch(text)
        host = (match["host"] if match else text).removeprefix("[").removesuffix("]")
        port = int(match["port"]) if match else None
        if port is not None and not 0 < port < 65536:
            raise ValueError("expected a port between 1 and 65535")
        network = _network(host)
        if network is None:
            _check_name(host)
        elif network.prefixlen < _WIDEST:
            raise ValueError("the range is too wide; name the addresses that are meant")
        return cls(host, port, network)

    def names(self, place: Place) -> bool:
        """Whether this is meant."""
        if place.port != (self.port or _usual_port(tls=place.tls)):
            return False
        if self.network is not None:
            address = literal(place.host)
            return address is not None and address in self.network
        if self.host.startswith("*."):
            return place.host.endswith(self.host[1:])
        return place.host == self.host


@dataclass(frozen=True, slots=True)
class Allowed:
    """The list."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Of checked settings."""
        return cls(tuple(map(Entry.of, texts)))

    def place(self, endpoint: str) -> Place:
        """What an endpoint means, as people paste them. ValueError says why it may not be brought, without
        repeating it."""
        if not self.entries:
            raise ValueError("this gateway takes no resources of its callers")
        if not endpoint.isascii():
            raise ValueError("the endpoint must be ASCII")
        url = urlsplit(endpoint)
        labels = (url.hostname or "").split(".")
        if "privatelink" in labels or any(label.startswith("xn--") for label in labels):
            raise ValueError("the endpoint must have the public name of the resource, in ASCII")
        url = urlsplit(base_url(endpoint, azure=True))
        tls = url.scheme == "https"
        place = Place(url.hostname or "", url.port or _usual_port(tls=tls), tls, url.path)
        if not _PATH.fullmatch(place.path):
            raise ValueError("the path of the endpoint is not usable")
        if not any(entry.names(place) for entry in self.entries):
            raise ValueError(f"{place} is not among the hosts that callers of this gateway may bring")
        return place

    def may_lead_to(self, place: Place, address: Address) -> bool:
        """Whether a connection may be made there for a place on the list."""
        if literal(place.host) == address or (place.host == "localhost" and address.is_loopback):
            return True
        listed = (entry.network for entry in self.entries if entry.network and entry.port is None)
        return _is_public(address) or any(address in network for network in listed)


def literal(host: str) -> Address | None:
    """The address, where the host is one."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """Of `10.0.0.5`, `10.0.0.0/8`; None for names."""
    try:
        return ip_network(text)
    except ValueError as error:
        if "/" in text:
            raise ValueError("expected a range such as 10.1.0.0/16") from error
        return None


def _check_name(host: str) -> None:
    name = host.removeprefix("*.")
    if not _NAME.fullmatch(name) or _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError(
            "expected a host such as contoso.openai.azure.com, *.openai.azure.com, or an address or range"
        )
    if name != host and "." not in name:
        raise ValueError("too many hosts end like that; name at least two parts, as in *.contoso.com")


def _is_public(address: Address) -> bool:
    """Whether anybody may ask it: neither this machine nor its network, by whatever spelling."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is None:
            return address in _GLOBAL_IPV6 and address.is_global
        address = inner
    return address.is_global and not address.is_multicast and not any(address in net for net in _INSIDE)


def _usual_port(*, tls: bool) -> int:
    return 443 if tls else 80
