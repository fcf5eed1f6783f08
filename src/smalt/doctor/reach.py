"""Whether a host can be reached: its name, the proxy before it, its port, its certificate."""

import errno
import http.client
import ipaddress
import os
import shlex
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace

from smalt.dispatch.proxy import NOT_LET_IN, Proxy
from smalt.doctor.asking import Line
from smalt.doctor.az import Account
from smalt.doctor.certificates import issuer_of, of_certificate, unverified
from smalt.doctor.dial import open_socket, secured, way_to
from smalt.doctor.findings import Diagnosis, Finding, ok
from smalt.doctor.silence import of_silence
from smalt.doctor.surroundings import Surroundings

_NO_SUCH_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_WHAT_BLOCKS = "see what stands between: firewall, security group, VPN, service that is not running"


class Unreachable(Exception):
    """The way ends here; the fault is told."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.found)
        self.finding = finding


class Reach:
    """One resource's endpoint, step by step. `line` is what requests are asked over, once all steps are done.

    `account`: None if it is no resource of Azure's.
    """

    line: Line

    def __init__(
        self, subject: str, url: str, account: Account | None, trust: ssl.SSLContext, around: Surroundings
    ) -> None:
        self._subject = subject
        self._account = account
        self._trust = trust
        self._around = around
        self._way = way_to(url, around)

    def steps(self) -> Iterator[Finding]:
        """Raises Unreachable at the first that fails."""
        yield self._name()
        if self._way.proxy:
            yield from self._proxy(self._way.proxy)
        yield self._connection()
        if self._way.tls:
            yield self._tls()
        self.line = Line(self._way, self._trust if self._way.tls else None, self._around)

    def _name(self) -> Finding:
        way, host = self._way, self._way.host
        try:
            found = tuple(self._around.resolve(host))
        except OSError as error:
            if way.proxy:
                return ok("name", self._subject, f"{host} is left to the proxy; no address is known here")
            raise Unreachable(self._unnamed(error).fault(self._subject, f"{host}: {_words(error)}")) from None
        self._way = replace(way, addresses=found)
        kind = "private" if any(map(is_private, found)) else "loopback" if _all_loopback(found) else "public"
        return ok("name", self._subject, f"{host} has the {kind} address {', '.join(found)}")

    def _unnamed(self, error: OSError) -> Diagnosis:
        host = self._way.host
        if error.errno not in _NO_SUCH_HOST:
            return Diagnosis(
                "name",
                "dns_unavailable",
                "no DNS server gave an answer; of the name itself nothing is known",
                (
                    f"getent hosts {shlex.quote(host)}   # the same question, asked by the system",
                    "check network and VPN",
                ),
            )
        mend = [f"getent hosts {shlex.quote(host)}   # the same question, asked by the system"]
        if self._account:
            mend += self._account.line("show", "--query", "properties.endpoint", "--output", "tsv")
        return Diagnosis(
            "name",
            "no_such_host",
            "no server has this name: it is misspelled, the resource is deleted, or its private DNS zone is "
            "not linked to this network",
            mend,
        )

    def _proxy(self, proxy: Proxy) -> Iterator[Finding]:
        private = [address for address in self._way.addresses if is_private(address)]
        if not private:
            yield ok("proxy", self._subject, f"{self._way.host} is reached through {_shown(proxy)}")
            return
        env = self._around.env
        exempt = env.get("no_proxy") or env.get("NO_PROXY")
        value = ",".join(filter(None, [exempt, self._way.host]))
        yield Diagnosis(
            "proxy",
            "private_through_proxy",
            "a private endpoint lies in this network; a proxy mostly cannot reach it, or comes from an "
            "address that the resource does not let in",
            (f"export NO_PROXY={shlex.quote(value)}   # or network.no_proxy in smalt.yaml",),
        ).warning(
            self._subject, f"{private[0]} is private, yet {self._way.host} is asked through {_shown(proxy)}"
        )

    def _connection(self) -> Finding:
        way = self._way
        shown = _shown(way.proxy) if way.proxy else f"{way.host}:{way.port}"
        try:
            open_socket(way, self._around).close()
        except OSError as error:
            code = (_of_proxy if way.proxy else self._closed)(error)
            raise Unreachable(code.fault(self._subject, f"{shown}: {_words(error)}")) from None
        return ok("connection", self._subject, f"{shown} takes connections")

    def _closed(self, error: OSError) -> Diagnosis:
        if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
            cause = (
                "nothing answers: packets are dropped on the way, as firewalls do, or the address is wrong"
            )
            return Diagnosis("connection", "connect_timeout", cause, (_WHAT_BLOCKS,))
        if isinstance(error, ConnectionRefusedError):
            cause = "the machine is there, but nothing listens on this port"
            port = (
                "that the endpoint names no port"
                if self._account
                else "that the server runs, and on this port"
            )
            mend = [f"see {port}", _WHAT_BLOCKS]
            return Diagnosis("connection", "connection_refused", cause, mend)
        cause = "this machine has no way to the address: no network, no route, or a VPN that is down"
        return Diagnosis("connection", "no_route", cause, (_WHAT_BLOCKS,))

    def _tls(self) -> Finding:
        way = self._way
        try:
            with secured(open_socket(way, self._around), way, self._trust) as sock:
                seen = sock.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            issuer = issuer_of(lambda context: secured(open_socket(way, self._around), way, context))
            diagnosis = of_certificate(error, way.host, issuer)
            found = f"{way.host}: {error.verify_message}" + (f" (issuer: {issuer})" if issuer else "")
            raise Unreachable(diagnosis.fault(self._subject, found)) from None
        except OSError as error:
            if self._speaks(http_only=True):
                found = f"{way.host}:{way.port} answers in plain HTTP, not in TLS"
                cause = "the endpoint begins with https, but what listens there speaks http"
                mend = (
                    "http:// in the endpoint, with allow_http: true outside this machine; or the https port"
                )
                raise Unreachable(
                    Diagnosis("tls", "speaks_http", cause, (mend,)).fault(self._subject, found)
                ) from None
            cause = (
                "the TLS handshake was broken off: a middlebox that forbids the host, or one that is broken"
            )
            found = f"{way.host}: {_words(error)}"
            raise Unreachable(
                Diagnosis("tls", "handshake_failed", cause, (_WHAT_BLOCKS,)).fault(self._subject, found)
            ) from None
        issuer = _name_in(seen.get("issuer", ()))
        return ok("tls", self._subject, f"certificate of {issuer}, until {seen.get('notAfter', 'unknown')}")

    def unanswered(self, error: Exception) -> Diagnosis:
        """Why a host that takes connections gives no HTTP answer."""
        if not self._way.tls and self._speaks(http_only=False):
            cause = "the endpoint begins with http, but what listens there speaks https"
            return Diagnosis("tls", "speaks_https", cause, ("write https:// in the endpoint",))
        return of_silence(error)

    def _speaks(self, *, http_only: bool) -> bool:
        """Whether plain HTTP, or else TLS, is understood there."""
        plain = replace(self._way, tls=not http_only and self._way.tls)
        try:
            if http_only:
                Line(plain, None, self._around).ask("GET", "/", {})
                return True
            secured(open_socket(self._way, self._around), self._way, unverified()).close()
        except (OSError, http.client.HTTPException):
            return False
        return True


def is_private(address: str) -> bool:
    """Of a private network; loopback is none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_private and not parsed.is_loopback


def _all_loopback(found: Sequence[str]) -> bool:
    return all(ipaddress.ip_address(address).is_loopback for address in found)


def _of_proxy(error: OSError) -> Diagnosis:
    if str(error) == NOT_LET_IN:
        cause = "the proxy wants a user and a password"
        mend = ("export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT   # or network.proxy in smalt.yaml",)
        return Diagnosis("proxy", "proxy_credentials", cause, mend)
    if isinstance(error, ConnectionError) and not error.errno:
        cause = "the proxy does not let this host through"
        return Diagnosis(
            "proxy", "proxy_forbids", cause, ("have the host allowed there, or name it in NO_PROXY",)
        )
    steps = (
        "see that HTTPS_PROXY or network.proxy is right, and that the proxy runs",
        "or name the host in NO_PROXY",
    )
    return Diagnosis("proxy", "proxy_unreachable", "the proxy itself cannot be reached", steps)


def _shown(proxy: Proxy) -> str:
    """Without its credentials."""
    return f"{proxy.host}:{proxy.port}"


def _name_in(names: object) -> str:
    """The organization, else the common name, of a certificate's issuer, as `getpeercert` gives it."""
    found = {key: value for part in names for key, value in part} if isinstance(names, tuple) else {}
    return str(found.get("organizationName") or found.get("commonName") or "an unnamed issuer")


def _words(error: OSError) -> str:
    """Of an error, without the numbers Python puts before them."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, (ssl.SSLError, socket.gaierror)) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)
