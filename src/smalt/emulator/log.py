"""The last requests as they arrived, and what became of them.

Headers are kept as sent: **the callers' keys can be read here**. That is the use of it: a test can prove
which credential reached which resource. Never show it a real key.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import msgspec

from smalt.emulator.server import Request

ENTRIES = 10_000
BODY_BYTES = 256 * 1024 * 1024  # of all kept entries; beyond it the oldest go first

Outcome = Literal["waiting", "streaming", "answered", "cancelled", "cut"]


@dataclass(slots=True)
class Entry:
    """One request of the data plane, or of a service beside it: then `resource` is the service's name.

    Times are seconds since the emulator started. `deployment`: the one that served it, else the one that was
    asked. `outcome`: waiting for its head, streaming, answered (in
    full, errors too), cancelled (the caller hung up), cut (the emulator dropped the connection). `chunks`:
    server-sent events written. `input_tokens`, `output_tokens`: what was billed.
    """

    resource: str
    request: Request
    arrived_s: float
    operation: str | None = None
    deployment: str | None = None
    status: int | None = None
    outcome: Outcome = "waiting"
    head_s: float | None = None
    finished_s: float | None = None
    chunks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def report(self) -> dict[str, Any]:
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "request"}
        request = self.request
        return told | {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": request.headers,
            "body": _readable(request.body),
        }


def _readable(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")


class Log:
    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._body_bytes = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def open(self, resource: str, request: Request, now: float) -> Entry:
        """Record an arrival. The entry stays with the request, which fills in the rest."""
        entry = Entry(resource, request, now)
        self._entries.append(entry)
        self._body_bytes += len(request.body)
        while len(self._entries) > ENTRIES or self._body_bytes > BODY_BYTES:
            self._body_bytes -= len(self._entries.popleft().request.body)
        return entry

    def report(self, *, resource: str | None = None, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` entries, oldest first."""
        wanted = [entry for entry in self._entries if resource in {None, entry.resource}]
        return [entry.report() for entry in wanted[-limit:]] if limit else []
