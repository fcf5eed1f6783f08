"""One request, one answer, on a connection of its own."""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from smalt.doctor.dial import Way, open_socket, secured
from smalt.doctor.surroundings import Surroundings
from smalt.redact import HIDDEN, secrets_among

LONGEST_ANSWER = 8 * 1024 * 1024  # bytes
CLOSED = (http.client.HTTPException, OSError)  # what `ask` raises


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """None if it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def date(self) -> datetime | None:
        """When it was given, by the clock of who gave it."""
        try:
            return parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None


def _without(body: bytes, headers: Mapping[str, str]) -> bytes:
    """What a server repeats of the credential it was shown goes no further."""
    for secret in secrets_among(headers.items()):
        body = body.replace(secret.encode(), HIDDEN.encode())
    return body


@dataclass(frozen=True, slots=True)
class Line:
    """The way to a host, and how it is walked. `trust`: None for plain HTTP."""

    way: Way
    trust: ssl.SSLContext | None
    around: Surroundings

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        *,
        patience_s: float | None = None,
    ) -> Answer:
        """`path`: with query. `body`: sent as JSON; None for none. `patience_s`: for the answer; None: as for
        the connection. Redirects are answers like others: a credential belongs to the host it was meant for.
        Raises what `CLOSED` holds."""
        way = self.way
        sock = open_socket(way, self.around)
        connection = http.client.HTTPConnection(way.host, way.port, timeout=self.around.timeout_s)
        connection.sock = secured(sock, way, self.trust) if self.trust else sock
        target = f"http://{way.origin.authority}{path}" if way.proxy and not way.tls else path
        connection.sock.settimeout(patience_s or self.around.timeout_s)
        own = {"host": way.origin.authority, "accept": "application/json", "user-agent": "smalt"}
        if body is not None:
            own["content-type"] = "application/json"
        try:
            data = None if body is None else msgspec.json.encode(body)
            connection.request(method, target, data, {**own, **headers})
            got = connection.getresponse()
            told = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, told, _without(got.read(LONGEST_ANSWER), headers))
        finally:
            connection.close()
