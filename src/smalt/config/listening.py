"""How `smalt serve` is reached, what it carries at a time, and how it ends."""

import ipaddress
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from smalt.config.document import Finding, KeyPath
from smalt.config.numbers import Count, Delay
from smalt.config.section import Section
from smalt.errors import ConfigurationError

UNIX = "unix:"
LONGEST_PATH = 103  # bytes in the address of a unix socket: 108 on Linux, 104 on macOS, one for the end

Address = tuple[str, int] | Path
TrustedNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Tls(Section):
    """Both files are PEM. They are read again when they change; connections stay."""

    certificate_file: str | None = Field(
        default=None, description="The certificate and what leads to its root; relative to this file."
    )
    key_file: str | None = Field(default=None, description="Its private key, not encrypted.")


class Drain(Section):
    """The end of a gateway that was told to go, by SIGTERM or Ctrl-C."""

    announce_s: Delay = Field(
        default=5.0,
        description="How long it goes on as before, but for `/health/ready`, which answers 503, and "
        "`connection: close` in all answers: time for load balancers to turn away. Not on Ctrl-C.",
    )
    streams_s: Delay = Field(
        default=60.0,
        description="After that it takes no connection, and what is under way has this long to end.",
    )


class Limits(Section):
    """What one process carries at a time; more is refused with 503 and `retry-after`."""

    connections: Count = Field(default=10_000, description="Open connections of callers.")
    requests: Count = Field(default=2_000, description="Requests to models under way; streams, too.")
    bytes_in_flight: Count = Field(
        default=256 * 1024 * 1024, description="Bytes of the bodies of these requests, kept to repeat them."
    )


def address(listen: str) -> Address:
    """Host and port, or the path of a unix socket. ValueError if `listen` is neither."""
    if listen.startswith(UNIX):
        path = Path(listen.removeprefix(UNIX))
        if not path.is_absolute() or len(str(path).encode()) > LONGEST_PATH:
            raise ValueError(f"expected unix:/path of at most {LONGEST_PATH} bytes")
        return path
    host, _, port = listen.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ValueError("expected host:port such as 127.0.0.1:8000, or unix:/path")
    return host.removeprefix("[").removesuffix("]"), int(port)


def trusted_networks(texts: tuple[str, ...]) -> tuple[TrustedNetwork, ...]:
    """ValueError if one is no address and no network."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    """New connections of `context` show this certificate. Raises ConfigurationError, with nothing changed."""
    for target in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):  # a failure leaves half of it behind
        try:
            # without a password for it OpenSSL would ask at the terminal
            target.load_cert_chain(tls.certificate_file or "", tls.key_file, password="")
        except ssl.SSLError as error:
            reason = (error.reason or "no PEM").replace("_", " ").lower()
            raise ConfigurationError(
                f"the certificate and its key cannot be used: {reason}; "
                "expected PEM, of the same pair, the key not encrypted"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"the certificate or its key cannot be read: {error.strerror}") from None


def of_listening(listen: str, tls: Tls | None, trusted_proxies: tuple[str, ...]) -> Iterator[Finding]:
    """What is wrong with these settings of `gateway`."""
    path: KeyPath = ("gateway",)
    try:
        address(listen)
    except ValueError as error:
        yield Finding((*path, "listen"), str(error))
    if tls is not None:
        yield from _of_tls((*path, "tls"), tls)
    for index, text in enumerate(trusted_proxies):
        try:
            trusted_networks((text,))
        except ValueError:
            message = "expected an address or a network such as 10.0.0.0/8"
            yield Finding((*path, "trusted_proxies", index), message)


def _of_tls(path: KeyPath, tls: Tls) -> Iterator[Finding]:
    missing = [name for name in Tls.model_fields if not getattr(tls, name)]
    yield from (Finding((*path, name), f"{name} is required") for name in missing)
    if not missing and all(Path(getattr(tls, name)).is_file() for name in Tls.model_fields):
        try:
            load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)
        except ConfigurationError as error:
            yield Finding(path, error.message)
