"""Endpoints as people paste them, made into the base that requests are built on."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

EXAMPLE = "https://contoso.openai.azure.com"
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_LABELS = re.compile(r"[^.]{1,63}(\.[^.]{1,63})*")  # RFC 1035, 2.3.4
_PASTED = re.compile(r"/+openai(/.*)?$", re.IGNORECASE)
_AZURE_HOST = re.compile(r".*\.(azure\.com|azure\.us|azure\.cn|microsoft\.com)")


def base_url(endpoint: str, *, azure: bool, allow_http: bool = False) -> str:
    """The endpoint without what was pasted along; ValueError says what is wrong, without the value.

    For Azure everything from `/openai` on is cut, and on Azure's own hosts the whole path. A private-link
    host becomes the public one: DNS leads it to the private address, and only that name is in the TLS
    certificate. Elsewhere the path stays.
    """
    url = _split(endpoint)
    host = _public_host(url.hostname or "")
    if url.scheme == "http" and not (allow_http or names_loopback(host)):
        raise ValueError("http would send the key in the clear; use https, or set allow_http: true")
    path = url.path.rstrip("/")
    if azure:
        path = "" if is_azures(host) else _PASTED.sub("", path)
    netloc = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{netloc}{f':{url.port}' if url.port else ''}{path}"


def is_loopback(endpoint: str) -> bool:
    """Whether it is on this machine."""
    return names_loopback(urlsplit(endpoint).hostname or "")


def is_azures(host: str) -> bool:
    """Whether a host has one of Azure's own names."""
    return _AZURE_HOST.fullmatch(host) is not None


def is_private_link(endpoint: str) -> bool:
    return ".privatelink." in endpoint.lower()


def _split(endpoint: str) -> SplitResult:
    if not endpoint:
        raise ValueError(f"endpoint is required, for example {EXAMPLE}")
    if not endpoint.isprintable() or " " in endpoint:
        raise ValueError("expected a URL without spaces")
    try:
        url = urlsplit(endpoint)
        _ = url.port  # read here for its ValueError
    except ValueError:
        raise ValueError(f"expected a URL such as {EXAMPLE}") from None
    if url.scheme not in ("https", "http"):
        raise ValueError(f"expected an https URL such as {EXAMPLE}")
    if not url.hostname:
        raise ValueError(f"the URL has no host; expected something like {EXAMPLE}")
    if url.username is not None or url.password is not None:
        raise ValueError("the URL must not hold a user name or password; keys go to api_keys")
    if not _HOST.fullmatch(url.hostname):
        raise ValueError(f"the URL's host is not valid; expected something like {EXAMPLE}")
    if not _LABELS.fullmatch(url.hostname):
        raise ValueError(
            "the URL's host has two dots in a row, or more than 63 characters between dots; "
            f"expected something like {EXAMPLE}"
        )
    return url


def _public_host(host: str) -> str:
    return host.replace(".privatelink.", ".", 1)


def names_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
