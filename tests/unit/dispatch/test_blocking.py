import socket
import threading
from collections.abc import Iterator

import pytest
from tests.unit.dispatch.fakes import OK, ORIGIN

from smalt.dispatch.blocking import BlockingResponse, Plug
from smalt.dispatch.connection import IDLE_S
from smalt.dispatch.run import SendFailed
from smalt.types import FailureKind

LIMIT_S = 5.0  # nothing here takes longer
STREAM = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"


class Plugged:
    """A connection to `peer`. `idle`, `forgotten`: what it told."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        self.peer.settimeout(LIMIT_S)
        self.idle: list[Plug] = []
        self.forgotten: list[Plug] = []
        self.plug = Plug(ours, ORIGIN, self.idle.append, self.forgotten.append)
        self.plug.allow(LIMIT_S)

    def request(self) -> BlockingResponse:
        response = self.plug.connection.request(b"HEAD", b"BODY")
        assert self.peer.recv(100) == b"HEADBODY"
        return response

    def used(self) -> "Plugged":
        """After one answer."""
        response = self.request()
        self.peer.sendall(OK)
        response.head()
        assert response.whole() == b"ok"
        return self


@pytest.fixture
def plugged() -> Iterator[Plugged]:
    made = Plugged()
    yield made
    made.peer.close()
    made.plug.abort()


def failure_of(response: BlockingResponse) -> tuple[FailureKind, str]:
    with pytest.raises(SendFailed) as caught:
        _ = response.head(), response.whole()  # type: ignore[func-returns-value]
    return caught.value.failure.kind, caught.value.failure.text


def test_an_answer_is_read_by_who_waits_for_it(plugged: Plugged) -> None:
    """Head and body; then the connection is idle."""
    response = plugged.request()
    plugged.peer.sendall(OK)
    response.head()
    assert (response.status, response.headers[0]) == (200, (b"x-region", b"East"))
    assert response.whole() == b"ok"
    assert (plugged.idle, plugged.forgotten) == ([plugged.plug], [])


def test_pieces_come_as_they_are_sent(plugged: Plugged) -> None:
    """Whoever goes on iterating later goes on where the first stopped."""
    response = plugged.request()
    plugged.peer.sendall(STREAM + b"abc")
    response.head()
    pieces = response.pieces()
    assert next(pieces) == b"abc"
    plugged.peer.sendall(b"defghi")
    assert list(response.pieces()) == [b"defghi"]
    assert list(pieces) == []


def test_a_body_may_end_with_the_connection(plugged: Plugged) -> None:
    """Of answers without a length."""
    response = plugged.request()
    plugged.peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
    plugged.peer.close()
    response.head()
    assert response.whole() == b"abc"
    assert (plugged.idle, plugged.forgotten) == ([], [plugged.plug])


@pytest.mark.parametrize(
    ("sent", "kind"),
    [(b"", FailureKind.RESET), (b"HTTP/1.1 2", FailureKind.RESET), (STREAM + b"abc", FailureKind.TRUNCATED)],
)
def test_a_connection_that_breaks(plugged: Plugged, sent: bytes, kind: FailureKind) -> None:
    """Before its answer, or in it: what was held is lost, and nobody uses it again."""
    response = plugged.request()
    plugged.peer.sendall(sent)
    plugged.peer.close()
    assert failure_of(response)[0] is kind
    assert (plugged.idle, plugged.forgotten) == ([], [plugged.plug])


def test_a_kept_connection_that_was_closed_is_stale(plugged: Plugged) -> None:
    """The other side cannot have seen the request; whether by a write or by a read, it is found out."""
    plugged.used().peer.close()
    response = plugged.plug.connection.request(b"HEAD", b"BODY")
    assert failure_of(response) == (FailureKind.STALE, "the kept-alive connection was closed")


def test_silence_is_limited(plugged: Plugged) -> None:
    """In the head and in the body; the connection is not used again."""
    plugged.plug.allow(0.01)
    response = plugged.request()
    assert failure_of(response) == (FailureKind.TIMEOUT, "no answer within 0.01 s")
    assert plugged.forgotten == [plugged.plug]


def test_what_is_no_http(plugged: Plugged) -> None:
    """Fails at once."""
    response = plugged.request()
    plugged.peer.sendall(b"220 smtp ready\r\n\r\n")
    assert failure_of(response)[1].startswith("the answer is not HTTP")


def test_leaving_drops_the_connection(plugged: Plugged) -> None:
    """An answer that has not ended cannot be used by anybody else."""
    response = plugged.request()
    plugged.peer.sendall(STREAM + b"abc")
    response.head()
    response.close()
    assert plugged.peer.recv(1) == b""
    assert plugged.forgotten == [plugged.plug]


def test_closing_wakes_who_reads(plugged: Plugged) -> None:
    """From another thread."""
    response = plugged.request()
    plugged.peer.sendall(STREAM)
    response.head()
    closing = threading.Timer(0.01, response.close)
    closing.start()
    with pytest.raises(SendFailed):
        response.whole()
    closing.join()


def test_only_a_quiet_connection_is_used_again(plugged: Plugged) -> None:
    """Neither one the other side has closed nor one with bytes that nobody asked for."""
    assert plugged.used().plug.is_quiet()
    plugged.peer.sendall(b"x")
    assert not plugged.plug.is_quiet()
    plugged.peer.close()
    assert not plugged.plug.is_quiet()


def test_an_old_connection_is_not_used_again(plugged: Plugged) -> None:
    """Something between here and there may have forgotten it."""
    connection = plugged.used().plug.connection
    since_s = connection.idle_since_s
    assert connection.usable(since_s + IDLE_S - 1)
    assert not connection.usable(since_s + IDLE_S)
