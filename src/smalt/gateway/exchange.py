"""What the handlers of model calls see of HTTP: a whole request in, one answer out.

Two adapters serve it: `http_protocol` inside uvicorn for speed, `asgi` for any other server. An adapter
runs the handler in a task and cancels it as soon as the caller has left.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from smalt.dispatch.relay import Writer

Headers = Sequence[tuple[bytes, bytes]]

LARGEST_BODY = 32 * 1024 * 1024


class Exchange(Writer, Protocol):
    """One request and its answer. `raw_path`: percent-encoded, without query. Header names in lower case."""

    raw_path: str
    headers: Headers
    body: bytes

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer."""
        ...

    def start(self, status: int, headers: Headers) -> None:
        """The head of a streamed answer; `write` and `end` follow."""
        ...


Handler = Callable[[Exchange], Awaitable[None]]
