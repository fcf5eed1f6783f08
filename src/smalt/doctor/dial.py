"""Sockets, one step after the other, so that it is known which step failed."""

import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from smalt.config.network import proxy_for
from smalt.dispatch.proxy import Proxy, Tunnel, open_tunnel
from smalt.dispatch.target import Origin
from smalt.doctor.surroundings import Surroundings, naming


def way_to(url: str, around: Surroundings) -> "Way":
    """By the proxy that smalt itself would take. Raises ConfigurationError if that cannot be used."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    proxy = proxy_for(around.network, url, around.env)
    port = parts.port or (443 if tls else 80)
    return Way(parts.hostname or "", port, tls, (), Proxy.of(proxy) if proxy else None)


@dataclass(frozen=True, slots=True)
class Way:
    """How a host is reached. `addresses`: the host's own, empty if only the proxy knows them."""

    host: str
    port: int
    tls: bool
    addresses: tuple[str, ...]
    proxy: Proxy | None = None

    @property
    def origin(self) -> Origin:
        return Origin(self.host, self.port, self.tls, self.proxy)


def open_socket(way: Way, around: Surroundings) -> socket.socket:
    """A connection to the host, or through the proxy to it. Raises OSError; ConnectionError without a number
    is the proxy's refusal."""
    if way.proxy is None:
        return _first(way.addresses or (way.host,), way.port, around.timeout_s)
    sock = _first((way.proxy.host,), way.proxy.port, around.timeout_s)
    if not way.tls:  # such requests name the host themselves
        return sock
    try:
        tunnel = Tunnel(way.origin, way.proxy)
        open_tunnel(sock, tunnel, time.monotonic() + around.timeout_s)
    except BaseException:
        sock.close()
        raise
    return sock


def secured(sock: socket.socket, way: Way, context: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS for the host's name; closes `sock` if it fails. Raises ssl.SSLError and OSError."""
    try:
        return context.wrap_socket(sock, server_hostname=way.host)
    except BaseException:
        sock.close()
        raise


def _first(hosts: tuple[str, ...], port: int, timeout_s: float) -> socket.socket:
    """To the first that takes the connection; raises what the last one failed by."""
    for host in hosts[:-1]:
        try:
            return socket.create_connection((host, port), timeout=timeout_s)
        except OSError:
            continue
    with naming(hosts[-1]):
        return socket.create_connection((hosts[-1], port), timeout=timeout_s)
