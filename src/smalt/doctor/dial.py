"""Sockets, one step after the other, so that it is known which step failed."""

import base64
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from smalt.doctor.surroundings import Surroundings


class ProxyRefused(OSError):
    """A proxy answered CONNECT with another status than 2xx."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered CONNECT with {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Proxy:
    """`authorization`: value of its header, empty if it asks for none. Never shown."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Way:
    """How a host is reached. `addresses`: the host's own, empty if only the proxy knows them."""

    host: str
    port: int
    tls: bool
    addresses: tuple[str, ...]
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def proxy_of(host: str, port: int, env: Mapping[str, str], *, tls: bool) -> Proxy | None:
    """That of HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY or loopback exempts the host."""
    url, exempt = (variable(env, name) for name in ("https_proxy" if tls else "http_proxy", "no_proxy"))
    if not url or is_loopback(host) or _is_exempt(host, port, exempt):
        return None
    parts = urlsplit(url if "//" in url else f"http://{url}")
    user = unquote(parts.username or ""), unquote(parts.password or "")
    secret = base64.b64encode(":".join(user).encode()).decode()
    return Proxy(parts.hostname or "", parts.port or 80, f"Basic {secret}" if user[0] else "")


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Hosts, domains with or without a leading dot, `host:port`, or `*`, separated by commas."""
    names = [name.strip().lower() for name in no_proxy.split(",")]
    return any(
        name == "*" or name in (host, f"{host}:{port}") or host.endswith(f".{name.lstrip('.')}")
        for name in names
        if name
    )


def variable(env: Mapping[str, str], name: str) -> str:
    """Of either case, small letters first, as curl has it."""
    return env.get(name) or env.get(name.upper()) or ""


def open_socket(way: Way, around: Surroundings) -> socket.socket:
    """A connection to the host, or through the proxy to it. Raises OSError, ProxyRefused among them."""
    if way.proxy is None:
        return _first(way.addresses or (way.host,), way.port, around.timeout_s)
    sock = _first((way.proxy.host,), way.proxy.port, around.timeout_s)
    if not way.tls:  # such requests name the host themselves
        return sock
    try:
        _tunnel(sock, way, way.proxy)
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


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _first(hosts: tuple[str, ...], port: int, timeout_s: float) -> socket.socket:
    """To the first that takes the connection; raises what the last one failed by."""
    for host in hosts[:-1]:
        try:
            return socket.create_connection((host, port), timeout=timeout_s)
        except OSError:
            continue
    return socket.create_connection((hosts[-1], port), timeout=timeout_s)


def _tunnel(sock: socket.socket, way: Way, proxy: Proxy) -> None:
    host = f"[{way.host}]" if ":" in way.host else way.host
    target = f"{host}:{way.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65_536:
        piece = sock.recv(1)  # what follows the head belongs to the host
        if not piece:
            raise ConnectionResetError("the proxy closed the connection")
        head += piece
    words = head.split(None, 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if not 200 <= status < 300:
        raise ProxyRefused(status)
