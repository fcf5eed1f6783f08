"""What the handlers of model calls see of HTTP: a whole request in, one answer out.

Two adapters serve it: `http_protocol` inside uvicorn for speed, `asgi` for any other server. An adapter
runs the handler in a task and cancels it as soon as the caller has left.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from smalt.dispatch.relay import Writer
from smalt.errors import PayloadTooLarge, SmaltError
from smalt.gateway.load import Slots
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.paths import Asked

Headers = Sequence[tuple[bytes, bytes]]

LARGEST_BODY = 32 * 1024 * 1024


class Exchange(Writer, Protocol):
    """One request and its answer. `asked`: what its path asks for. Header names in lower case."""

    asked: Asked
    headers: Headers
    body: bytes

    @property
    def peer(self) -> str:
        """The address at the other end of the connection; empty on a unix socket."""
        ...

    def hold(self, count: int) -> None:
        """Count `count` more bytes in flight until the request has ended. Raises Overloaded."""
        ...

    def occupy(self, slots: Slots) -> None:
        """Take one of these until the request has ended, however it does. Raises RateLimited."""
        ...

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer."""
        ...

    def start(self, status: int, headers: Headers) -> None:
        """The head of a streamed answer; `write` and `end` follow."""
        ...


def refuse(exchange: Exchange, error: SmaltError, headers: Headers = ()) -> None:
    """Answer with `error`; `headers`: further ones."""
    exchange.respond(error.http_status or 500, [*error_headers(error), *headers], error_body(error))


def body_too_large() -> PayloadTooLarge:
    """The request's body is larger than LARGEST_BODY."""
    return PayloadTooLarge(f"the request body exceeds {LARGEST_BODY:,} bytes")


def inside_fault() -> SmaltError:
    """The handler failed before it answered."""
    return SmaltError("the gateway failed inside; its log says why")


Handler = Callable[[Exchange], Awaitable[None]]
