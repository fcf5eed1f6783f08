"""One attempt to one upstream, over the connection pool beneath httpx or httpx2.

The pool (httpcore, httpcore2) is used without the client library around it: what the SDK hands us is already
taken apart, and building it anew for every attempt would cost more than all of smalt's decisions.
"""

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from smalt.dispatch.run import Answer, SendFailed
from smalt.dispatch.target import Origin, Outgoing
from smalt.types import FailureKind

if TYPE_CHECKING:
    import httpcore2

MOST_CONNECTIONS: Final = 1_000
MOST_IDLE_CONNECTIONS: Final = 100
IDLE_S: Final = 30.0
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS

Headers = list[tuple[bytes, bytes]]
StreamT = TypeVar("StreamT")


class Libraries(NamedTuple):
    """A client library and the connection pool beneath it: httpx and httpcore, or httpx2 and httpcore2."""

    http: ModuleType
    core: ModuleType


class Outbound(Struct, frozen=True):
    """A request as it leaves. `timeout`: seconds by phase, as httpx names them."""

    origin: Origin
    headers: Headers
    outgoing: Outgoing
    timeout: dict[str, float | None]


class Stream:
    """A streamed answer. Iterating gives the pieces as they come, from wherever the last one stopped. Raises
    SendFailed."""

    def __init__(self, core: ModuleType, response: "httpcore2.Response") -> None:
        self._response = response
        self._pieces = self._read(core)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._response.close()

    def _read(self, core: ModuleType) -> Iterator[bytes]:
        plain = _plain_piece(self._response)
        try:
            for piece in self._response.iter_stream():
                yield plain(piece)
        except _errors(core) as error:
            raise send_failed(core, error) from None


class AsyncStream:
    """The same for an event loop."""

    def __init__(self, core: ModuleType, response: "httpcore2.Response") -> None:
        self._response = response
        self._pieces = self._read(core)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        await self._response.aclose()

    async def _read(self, core: ModuleType) -> AsyncIterator[bytes]:
        plain = _plain_piece(self._response)
        try:
            async for piece in self._response.aiter_stream():
                yield plain(piece)
        except _errors(core) as error:
            raise send_failed(core, error) from None


class Hop:
    """Sends. Safe for threads."""

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries
        self._pool: httpcore2.ConnectionPool = libraries.core.ConnectionPool(**_pool_options(libraries))

    def send(self, outbound: Outbound) -> "Answer[Stream]":
        """The answer: a stream of events open, anything else whole. Raises SendFailed."""
        core = self._libraries.core
        try:
            response: httpcore2.Response = self._pool.handle_request(_request(core, outbound))
            if _is_event_stream(response):
                return _answer(response, outbound, stream=Stream(core, response))
            try:
                content = response.read()
            finally:
                response.close()
        except _errors(core) as error:
            raise send_failed(core, error) from None
        return _answer(response, outbound, _plain(self._libraries, response, content))

    def close(self) -> None:
        self._pool.close()


class AsyncHop:
    """Sends. For one event loop."""

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries
        self._pool: httpcore2.AsyncConnectionPool = libraries.core.AsyncConnectionPool(
            **_pool_options(libraries)
        )

    async def send(self, outbound: Outbound) -> "Answer[AsyncStream]":
        """The answer: a stream of events open, anything else whole. Raises SendFailed."""
        core = self._libraries.core
        try:
            response: httpcore2.Response = await self._pool.handle_async_request(_request(core, outbound))
            if _is_event_stream(response):
                return _answer(response, outbound, stream=AsyncStream(core, response))
            try:
                content = await response.aread()
            finally:
                await response.aclose()
        except _errors(core) as error:
            raise send_failed(core, error) from None
        return _answer(response, outbound, _plain(self._libraries, response, content))

    async def aclose(self) -> None:
        await self._pool.aclose()


def send_failed(core: ModuleType, error: Exception) -> SendFailed:
    """What an exception of the pool means: connecting and queueing come before the request, all else leaves
    open whether it was received."""
    text = str(error) or type(error).__name__
    if isinstance(error, core.ConnectError | core.ConnectTimeout | core.PoolTimeout):
        return SendFailed(FailureKind.CONNECT, text)
    if isinstance(error, core.TimeoutException):
        return SendFailed(FailureKind.TIMEOUT, text)
    if isinstance(error, zlib.error):
        return SendFailed(FailureKind.TRUNCATED, f"the answer cannot be decompressed: {text}")
    return SendFailed(FailureKind.RESET, text)


def _pool_options(libraries: Libraries) -> dict[str, Any]:
    return {
        "ssl_context": libraries.http.create_ssl_context(),
        "max_connections": MOST_CONNECTIONS,
        "max_keepalive_connections": MOST_IDLE_CONNECTIONS,
        "keepalive_expiry": IDLE_S,
    }


def _errors(core: ModuleType) -> tuple[type[Exception], ...]:
    return core.TimeoutException, core.NetworkError, core.ProtocolError, zlib.error


@lru_cache(maxsize=4_096)
def _url(core: ModuleType, origin: Origin, path: str) -> "httpcore2.URL":
    scheme = b"https" if origin.tls else b"http"
    url: httpcore2.URL = core.URL(
        scheme=scheme, host=origin.host.encode(), port=origin.port, target=path.encode()
    )
    return url


def _request(core: ModuleType, outbound: Outbound) -> "httpcore2.Request":
    url = _url(core, outbound.origin, outbound.outgoing.path)
    extensions = {"timeout": outbound.timeout}
    request: httpcore2.Request = core.Request(
        b"POST", url, headers=outbound.headers, content=outbound.outgoing.body, extensions=extensions
    )
    return request


def _answer(
    response: "httpcore2.Response", outbound: Outbound, body: bytes = b"", stream: StreamT | None = None
) -> Answer[StreamT]:
    headers = [(name.lower(), value) for name, value in response.headers]
    rewrites, renamed = outbound.outgoing.rewrites, outbound.outgoing.renamed
    return Answer(response.status, headers, body, stream, rewrites, renamed=renamed)


def _plain(libraries: Libraries, response: "httpcore2.Response", content: bytes) -> bytes:
    """Some servers compress although they were asked not to."""
    if not _header(response, b"content-encoding"):
        return content
    try:
        decoded: bytes = libraries.http.Response(200, headers=response.headers, content=content).content
    except libraries.http.DecodingError as error:
        raise SendFailed(FailureKind.TRUNCATED, f"the answer cannot be decompressed: {error}") from None
    return decoded


def _plain_piece(response: "httpcore2.Response") -> Callable[[bytes], bytes]:
    """The same for the pieces of a stream, one after the other; gzip and deflate only."""
    if not _header(response, b"content-encoding"):
        return bytes
    return zlib.decompressobj(_GZIP_OR_ZLIB).decompress


def _is_event_stream(response: "httpcore2.Response") -> bool:
    return response.status < 300 and _header(response, b"content-type").startswith(b"text/event-stream")


def _header(response: "httpcore2.Response", name: bytes) -> bytes:
    return next((value.lower() for key, value in response.headers if key.lower() == name), b"")
