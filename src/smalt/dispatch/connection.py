"""One connection to an upstream: HTTP/1.1 over httptools, whoever waits for it.

It knows what client libraries hide: whether a request's bytes left, whether a kept-alive connection died
before the answer began, and how to drop a request at once.

A connection is idle, busy with exactly one answer, or dead. It returns to the idle ones only when its answer
was read to the end, its request was written to the end and the upstream agrees to keep it; bytes that nobody
asked for kill it.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import DEBUG
from typing import Any, Final, Generic, TypeVar, cast

import httptools

from smalt.dispatch.dump import WIRE, Dump
from smalt.dispatch.inflate import ENCODING, Inflating, encodings, readable
from smalt.dispatch.proxy import NOT_LET_IN
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin
from smalt.errors import ConfigurationError
from smalt.types import FailureKind

KEEP_ALIVE_S: Final = 60  # TCP's own probes
IDLE_S: Final = 55.0  # load balancers close idle connections after a minute or more; ours close first
CLOSED: Final = "smalt is shutting down"
LARGEST_HEAD: Final = 64 * 1024  # bytes of headers, and of anything else between two pieces of a body
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", ENCODING})
MOST_HEADERS: Final = 256  # of one answer; whoever they are passed on to has a limit, too
TINY: Final = 32  # bytes of a piece that costs more than it brings; lines flushed one by one have some
MOST_TINY: Final = 100_000  # more than others
ReceivedT = TypeVar("ReceivedT", bound="Received")


class Received:
    """What has come of the answer to one request. `status` and `headers` hold once there is a head."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._connection = connection
        self._held: list[bytes] = []
        self._done = False
        self._failed: SendFailed | None = None

    @property
    def has_head(self) -> bool:
        return self.status != 0

    @property
    def failed(self) -> SendFailed | None:
        """Why it ended early, if it did."""
        return self._failed

    @property
    def is_event_stream(self) -> bool:
        """Of an answer that is no error."""
        return 200 <= self.status < 300 and self.header(b"content-type").startswith(b"text/event-stream")

    def header(self, name: bytes) -> bytes:
        """Its value in lower case; empty if there is none."""
        return next((value.lower() for known, value in self.headers if known == name), b"")

    def close(self) -> None:
        """Stop caring; an answer that has not ended takes its connection with it."""
        if not self._done:
            self._connection.kill()

    # what the connection calls

    def begun(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status, self.headers = status, headers

    def arrived(self, data: bytes) -> None:
        self._held.append(data)

    def ended(self, failed: SendFailed | None) -> None:
        """Only the first end counts."""
        if not self._done:
            self._done, self._failed = True, failed


class Connection(asyncio.Protocol, Generic[ReceivedT]):
    """One socket, for event loops and, with a transport of our own, for threads. See the module's text.

    `receive`: makes what gathers an answer. `put_back`: told when the connection is idle again, `forget` when
    it is dead.
    """

    def __init__(
        self,
        origin: Origin,
        receive: Callable[["Connection[ReceivedT]"], ReceivedT],
        put_back: Callable[["Connection[ReceivedT]", float], None],
        forget: Callable[["Connection[ReceivedT]"], None],
    ) -> None:
        self.origin = origin
        self._receive = receive
        self._put_back = put_back
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: ReceivedT | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._bare_bytes = 0  # arrived since the request or the last piece of a body
        self._tiny = 0  # pieces of the body, less those that are not
        self._interim = False
        self._until_eof = False
        self._reused = False
        self._surplus = False
        self._complete = self._may_stay = False  # the answer; and whether the upstream keeps the connection
        self._killed = False
        self.idle_since_s = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def usable(self, now: float) -> bool:
        return self.is_open and now - self.idle_since_s < IDLE_S

    def request(self, head: bytes, body: bytes) -> ReceivedT:
        """Write a request; the connection is busy until its answer has ended."""
        if self._transport is None or self._response is not None:
            raise RuntimeError("this connection cannot take a request")
        self._bare_bytes = self._tiny = 0
        self._until_eof = False
        response = self._response = self._receive(self)
        if WIRE.isEnabledFor(DEBUG):
            self._response = cast("ReceivedT", Dump(response, self.origin, head, body))
        self._transport.write(head + body)
        return response

    def pause(self) -> None:
        if self._transport is not None and self.is_open:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self.is_open:
            self._transport.resume_reading()

    def kill(self) -> None:
        self._killed = True
        if self._transport is not None:
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            self.kill()  # nobody asked
            return
        self._bare_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._go_wrong(f"the answer is not HTTP: {error}")
        except httptools.HttpParserUpgrade:
            self._go_wrong("the upstream wants to change the protocol")
        if self._complete:  # only now that the parser has returned: another thread may take the connection
            self._finish()
        elif self._surplus:
            self.kill()
        elif self._bare_bytes > LARGEST_HEAD:  # a head or a trailer without end
            self._fail("the answer's head is too large")

    def eof_received(self) -> None:
        if self._transport is not None:
            self._transport.abort()  # a rest of the request to write would keep it for ever

    def connection_lost(self, exc: Exception | None) -> None:
        response, self._response = self._response, None
        self._transport = None
        self._forget(self)
        if response is None:
            return
        if response.has_head and self._until_eof and exc is None and not self._killed:
            response.ended(None)
        elif response.has_head:
            response.ended(SendFailed(FailureKind.TRUNCATED, "the connection broke in the answer"))
        elif self._reused and self._bare_bytes == 0:
            response.ended(SendFailed(FailureKind.STALE, "the kept-alive connection was closed"))
        else:
            response.ended(SendFailed(FailureKind.RESET, "the connection broke before the answer"))

    # what httptools calls

    def on_message_begin(self) -> None:
        self._surplus = self._surplus or self._response is None or self._complete
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._response is None or self._surplus:
            return
        headers, self._headers = self._headers, []  # a new list: trailers must not pass for headers
        if len(headers) > MOST_HEADERS or (self._bare_bytes > LARGEST_HEAD and _size(headers) > LARGEST_HEAD):
            self._fail("the answer's head is too large")
            return
        if status < 100:
            self._fail(f"the answer is not HTTP: status {status}")
            return
        self._interim = status < 200  # 100 Continue, 103 Early Hints
        if self._interim:
            return
        self._until_eof, encoded, coded = True, False, False
        for name, value in headers:
            if name in _FRAMING:
                if name == ENCODING:
                    encoded = True
                else:
                    self._until_eof = False
                    coded |= name == b"transfer-encoding" and value.lower() != b"chunked"
        if encoded:
            self._begin_encoded(self._response, status, headers)
        else:
            self._response.begun(status, headers)
        if coded:
            self._fail("the answer's transfer-encoding is not understood")

    def on_body(self, data: bytes) -> None:
        self._bare_bytes = 0
        if len(data) < TINY:
            self._tiny += 1
            if self._tiny > MOST_TINY:
                self._fail("the answer comes in too many tiny pieces")
        elif self._tiny:
            self._tiny -= 1
        if self._response is not None and not self._surplus:
            self._response.arrived(data)

    def on_message_complete(self) -> None:
        if not self._interim and self._response is not None and not self._surplus:
            self._complete, self._may_stay = True, self._parser.should_keep_alive()

    def _begin_encoded(self, response: ReceivedT, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Some servers compress although they were asked not to."""
        told = encodings(headers)
        response.begun(status, [header for header in headers if header[0] != ENCODING])
        if told and not readable(told):
            shown = b", ".join(told).decode("latin-1")
            self._fail(f"the answer is encoded by {shown[:40]!r}, although it was asked for as it is")
        elif told:
            self._response = cast("ReceivedT", Inflating(response, self._fail))

    def _finish(self) -> None:
        """The answer is whole. Putting back comes last."""
        response, self._response, self._complete = self._response, None, False
        stays = self._may_stay and not self._surplus and self._written()
        if stays:
            self.resume()
            self._reused, self.idle_since_s = True, time.monotonic()
        else:
            self.kill()
        if response is not None:
            response.ended(None)
        if stays:
            self._put_back(self, self.idle_since_s)

    def _go_wrong(self, text: str) -> None:
        """Of what comes after a whole answer nobody wants to know."""
        if self._complete:
            self._surplus = True
        else:
            self._fail(text)

    def _written(self) -> bool:
        """Nothing of the request is left to send: an early answer must not hold up the next request."""
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def _fail(self, text: str) -> None:
        response, self._response = self._response, None
        self.kill()
        if response is not None:
            kind = FailureKind.TRUNCATED if response.has_head else FailureKind.RESET
            response.ended(SendFailed(kind, text))


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def keep_alive(sock: socket.socket | None) -> None:
    """Long answers stay silent for minutes; what lies between drops such connections without a word."""
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # not on macOS
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)


@contextmanager
def connecting(origin: Origin, connect_s: float) -> Iterator[None]:
    """What goes wrong inside was before anything was sent. Raises SendFailed."""
    try:
        yield
    except TimeoutError:
        text = f"connecting to {origin} took longer than {connect_s:g} s"
        raise SendFailed(FailureKind.CONNECT, text) from None
    except (OSError, UnicodeError) as error:  # refused, unreachable, TLS; a host that is no name
        raise not_connected(origin, _reason(error)) from None


def not_connected(origin: Origin, reason: str) -> SendFailed:
    return SendFailed(FailureKind.CONNECT, f"cannot connect to {origin}: {reason}")


def forwarded(origin: Origin, status: int) -> None:
    """Raises SendFailed if a request was read by a proxy that did not pass it on."""
    if status == 407 and origin.forwarder is not None:
        raise not_connected(origin, NOT_LET_IN)


def trust(make: Callable[[], ssl.SSLContext], ca_pem: str) -> ssl.SSLContext:
    """With these certificates, too. Raises ConfigurationError if they cannot be read."""
    try:
        context = make()
        if ca_pem:
            context.load_verify_locations(cadata=ca_pem)
    except OSError as error:
        raise ConfigurationError(f"the trusted certificates cannot be read: {error}") from None
    return context


def _reason(error: Exception) -> str:
    """In the system's words where it is the system's error: event loops have their own."""
    if not isinstance(error, OSError):
        return str(error)
    if isinstance(error, (ssl.SSLError, socket.gaierror)) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)
