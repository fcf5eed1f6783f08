"""How upstreams are reached: by which proxy, and whose certificates are trusted besides the system's."""

import atexit
import ipaddress
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr

from smalt.config.endpoint import names_loopback
from smalt.config.section import Section
from smalt.errors import ConfigurationError
from smalt.redact import HIDDEN

NO_PROXY_AT_ALL: Final = "none"
ENTRA: Final = "https://login.microsoftonline.com"
_EXAMPLE: Final = "http://proxy.contoso.com:3128"


def shown_proxy(url: str) -> str:
    """The URL of a proxy without the user's name and password."""
    scheme, sep, rest = url.rpartition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{sep}{HIDDEN}@{host}" if at else url


def _with_scheme(value: object) -> object:
    """`proxy.contoso.com:3128`, as curl takes it."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    return text if not text or "://" in text or text == NO_PROXY_AT_ALL else f"http://{text}"


ProxyUrl = Annotated[
    SecretStr,
    BeforeValidator(_with_scheme),
    PlainSerializer(lambda url: shown_proxy(url.get_secret_value()), return_type=str, when_used="json"),
]


class Network(Section):
    """How upstreams are reached."""

    ca_file: str | None = Field(
        default=None,
        description="PEM file of certificates to trust, besides the system's; relative to this file.",
    )
    proxy: ProxyUrl | None = Field(
        default=None,
        description="URL of an HTTP proxy, `http://[user:password@]host:port`; `none`: no proxy whatever the "
        "environment says. Absent: `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` of the environment.",
    )
    no_proxy: tuple[str, ...] = Field(
        default=(),
        description="What is reached without the proxy: a host and all names below it, `host:port`, a "
        "network such as 10.0.0.0/8, or `*`. Absent: `NO_PROXY` of the environment. Loopback never takes a "
        "proxy.",
    )


def proxy_for(network: Network, url: str, env: Mapping[str, str] = os.environ) -> str | None:
    """The proxy a request to `url` takes, with its credentials; None if it goes straight.

    The rules are curl's, but for loopback, which never takes a proxy. Raises ConfigurationError, without the
    credentials, if the proxy cannot be used.
    """
    target = urlsplit(url)
    host, port = (
        (target.hostname or "").removesuffix("."),
        target.port or (443 if target.scheme == "https" else 80),
    )
    entries = network.no_proxy or _variable("no_proxy", env)[1].replace(",", " ").split()
    if names_loopback(host) or any(_covers(entry.strip().lower(), host, port) for entry in entries):
        return None
    if network.proxy is not None:
        return proxy_of(network)
    for variable in (f"{target.scheme}_proxy", "all_proxy"):
        name, value = _variable(variable, env)
        if value:
            return _checked(str(_with_scheme(value)), f"{name} of the environment: ")
    return None


def proxy_of(network: Network) -> str | None:
    """What the settings name. Raises ConfigurationError, without the credentials, if it cannot be used."""
    given = network.proxy.get_secret_value() if network.proxy else NO_PROXY_AT_ALL
    return None if given == NO_PROXY_AT_ALL else _checked(given)


def _checked(text: str, where: str = "") -> str:
    try:
        url = urlsplit(text)
        usable = bool(url.hostname) and url.port != 0 and text.isprintable() and " " not in text
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{where}expected the URL of a proxy such as {_EXAMPLE}")
    if url.scheme != "http":
        raise ConfigurationError(f"{where}proxies are spoken to by http alone, such as {_EXAMPLE}")
    return text


def ca_pem(network: Network) -> str:
    """The certificates of `ca_file`; empty without one. Raises ConfigurationError."""
    if network.ca_file is None:
        return ""
    try:
        text = Path(network.ca_file).read_text(encoding="ascii", errors="ignore")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_certificates(text))
    except ssl.SSLError:
        raise ConfigurationError("the file holds a certificate that cannot be read") from None
    except OSError as error:
        raise ConfigurationError(f"the file cannot be read: {error.strerror}") from None
    return sys.intern(text)  # compared with each look at a connection


def _certificates(pem: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise ConfigurationError(
            "the file holds no certificate in PEM form; one in DER form is converted by "
            "openssl x509 -inform der -in FILE -out FILE.pem"
        )
    return pem


def azure_transport(
    network: Network, url: str = ENTRA, env: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Options for the clients of azure-core, which reach `url` as upstreams are reached.

    What is asked by plain http is on this machine or its host (instance metadata) and never takes a proxy.
    Raises ConfigurationError.
    """
    options: dict[str, Any] = {"proxies": {"https": proxy_for(network, url, env) or "", "http": ""}}
    if network.ca_file is not None:
        options["connection_verify"] = _bundle(ca_pem(network))
    return options


@cache
def _bundle(own_pem: str) -> str:
    """A file with what the system trusts and these: azure-core takes one file, in place of its own. It goes
    with the process that made it."""
    system = ssl.create_default_context().get_ca_certs(binary_form=True)
    trusted = [own_pem, *map(ssl.DER_cert_to_PEM_cert, system), *_of_certifi()]
    handle, path = tempfile.mkstemp(prefix="smalt-", suffix=".pem")
    with os.fdopen(handle, "w", encoding="ascii", errors="replace") as file:
        file.write("\n".join(trusted))
    atexit.register(_remove, Path(path), os.getpid())
    return path


def _of_certifi() -> Iterator[str]:
    """What azure-core's HTTP library trusts where it is told nothing."""
    try:
        yield import_module("certifi").contents()
    except ModuleNotFoundError:
        return


def _remove(file: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child leaves it to its parent
        file.unlink(missing_ok=True)


def _variable(name: str, env: Mapping[str, str]) -> tuple[str, str]:
    """Name and value of a variable in the spelling that is set; the small one comes first, as for curl."""
    return next(
        ((spelling, env[spelling].strip()) for spelling in (name, name.upper()) if env.get(spelling)),
        (name, ""),
    )


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether one entry of `no_proxy` means this host."""
    name, _, of_port = entry.rpartition(":")
    if name and of_port.isdigit() and (":" not in name or name.endswith("]")):
        if int(of_port) != port:
            return False
        entry = name
    if entry == "*":
        return True
    entry = entry.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        suffix = entry.removeprefix("*").removeprefix(".").removesuffix(".")
        return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))
