"""Whose words the emulator may give for its own: `pass_through` of the fleet file.

pass_through: http://127.0.0.1:11434/v1
pass_through: {url: http://llm.internal:8000/v1, hosts: [llm.internal], model: llama3}
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from smalt.emulator.reading import Reader


@dataclass(frozen=True, slots=True)
class PassThrough:
    """`url`: what `/chat/completions` is appended to. `model`: to ask for; None: that of the deployment."""

    url: str
    model: str | None = None


def read_pass_through(reader: Reader, value: object) -> PassThrough | None:
    path = "pass_through"
    if value is None:
        return None
    fields = (
        {"url": value} if isinstance(value, str) else reader.mapping(path, value, {"url", "hosts", "model"})
    )
    hosts = reader.texts(f"{path}.hosts", fields.get("hosts", []))
    url, model = fields.get("url"), fields.get("model")
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        reader.tell(path, f"got {url!r}; write the address of a server, as in http://127.0.0.1:11434/v1")
        return None
    if not (_is_loopback(parts.hostname) or (parts.hostname in hosts and not _is_link_local(parts.hostname))):
        reader.tell(
            path,
            f"{parts.hostname} is not of this machine; name it under pass_through.hosts if it may be asked",
        )
    if model is not None and not isinstance(model, str):
        reader.tell(f"{path}.model", f"got {model!r}; write a text")
    return PassThrough(parts.geturl().rstrip("/"), model)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_link_local(host: str) -> bool:
    """Where clouds keep their metadata; nobody's model is there."""
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False
