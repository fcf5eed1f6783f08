"""Requests and answers as they pass, for debugging: the logger `smalt.wire`, once its own level is DEBUG.

Bodies are shown, prompts and answers with them; secrets are not.
"""

import logging
import re
import sys
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Final

from smalt.redact import redacted, redacted_headers, secrets_of

if TYPE_CHECKING:
    from smalt.dispatch.connection import Received
    from smalt.dispatch.run import SendFailed
    from smalt.dispatch.target import Origin

WIRE: Final = logging.getLogger("smalt.wire")
if WIRE.level == logging.NOTSET:
    WIRE.setLevel(logging.WARNING)  # who turns every logger to DEBUG has not asked for prompts
VARIABLE: Final = "SMALT_DEBUG"
LARGEST_SHOWN: Final = 64 * 1024  # bytes of a body
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TEXT: Final = re.compile(r"text/|application/(?:[\w.-]+\+)?(?:json|xml|x-www-form-urlencoded)")
_numbers: Final = count(1)


def dump_if_asked(env: Mapping[str, str]) -> None:
    """To stderr, where `SMALT_DEBUG` is set: for programs that set up no logging."""
    if env.get(VARIABLE, "") not in {"", "0"} and not WIRE.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        WIRE.addHandler(handler)
        WIRE.setLevel(logging.DEBUG)
        WIRE.propagate = False


class Dump:
    """Stands between a connection and what gathers the answer, and tells what it passes on."""

    def __init__(self, response: "Received", origin: "Origin", head: bytes, body: bytes) -> None:
        self._response = response
        self._number = next(_numbers)
        self._secrets = secrets_of(head)
        self._body: list[bytes] | None = None  # of a whole answer; None for a stream
        self._kind = ""
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.rpartition(" ")[0]
        url = path if "://" in path else f"{'https' if origin.tls else 'http'}://{origin.authority}{path}"
        by = "" if origin.proxy is None else f" by the proxy {origin.proxy.host}:{origin.proxy.port}"
        pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        self._tell(f"> {method} {url}{by}", pairs, _shown(body, "application/json"))

    @property
    def has_head(self) -> bool:
        return self._response.has_head

    def begun(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._response.begun(status, headers)
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        told = dict(pairs)
        self._kind = told.get("content-type", "")
        self._tell(f"< {status}", pairs)
        if not self._response.is_event_stream:
            self._body = []

    def arrived(self, data: bytes) -> None:
        if self._body is None:
            self._tell(f"< piece of {len(data)} bytes", body=_shown(data, self._kind))
        else:
            self._body.append(data)
        self._response.arrived(data)

    def ended(self, failed: "SendFailed | None") -> None:
        if self._body:
            self._tell("< body", body=_shown(b"".join(self._body), self._kind))
        self._response.ended(failed)
        failed = self._response.failed
        self._tell("< end" if failed is None else f"< ended early: {failed.failure.text}")

    def _tell(self, what: str, headers: list[tuple[str, str]] | None = None, body: str = "") -> None:
        lines = [what, *(f"{name}: {value}" for name, value in redacted_headers(headers or ()))]
        text = redacted("\n".join([*lines, body] if body else lines), self._secrets)
        WIRE.debug("#%d %s", self._number, _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def _shown(body: bytes, kind: str) -> str:
    """`kind`: its type."""
    if not _TEXT.match(kind):
        return f"({len(body)} bytes of {kind or 'no known type'})" if body else ""
    more = len(body) - LARGEST_SHOWN
    return body[:LARGEST_SHOWN].decode(errors="replace") + (f"\n({more} bytes more)" if more > 0 else "")
