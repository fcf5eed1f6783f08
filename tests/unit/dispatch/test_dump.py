"""What the dump for debugging says of requests and answers."""

import gzip
import logging
import sys
from collections.abc import Iterator

import pytest
from tests.unit.dispatch.fakes import OK, Wired

from smalt.dispatch.connection import Connection
from smalt.dispatch.dump import LARGEST_SHOWN, WIRE, dump_if_asked

pytestmark = pytest.mark.security

KEY = b"k3y-that-nobody-may-see"
HEAD = (
    b"POST /openai/deployments/d/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n"
    b"x-ms-client-request-id: id-1\r\nhost: east.example\r\napi-key: " + KEY + b"\r\n\r\n"
)
BODY = b'{"messages":[]}'
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger=WIRE.name)
    return caplog


def texts(told: pytest.LogCaptureFixture) -> list[str]:
    """Without the number of the attempt."""
    return [record.getMessage().partition(" ")[2] for record in told.records]


def dumped(answer: bytes, told: pytest.LogCaptureFixture, *, lost: bool = False) -> list[str]:
    wired = Wired()
    wired.connection.request(HEAD, BODY)
    wired.receive(answer)
    if lost:
        wired.lose()
    return texts(told)


async def test_a_request_and_its_answer(told: pytest.LogCaptureFixture) -> None:
    """All of both, but for the key."""
    assert dumped(JSON % (8, b'{"a": 1}'), told) == [
        (
            "> POST http://127.0.0.1/openai/deployments/d/chat/completions?api-version=2024-10-21\n"
            "x-ms-client-request-id: id-1\nhost: east.example\napi-key: **********\n"
            '{"messages":[]}'
        ),
        "< 200\ncontent-type: application/json\ncontent-length: 8",
        '< body\n{"a": 1}',
        "< end",
    ]


async def test_requests_are_told_apart(told: pytest.LogCaptureFixture) -> None:
    """Each attempt has a number of its own, which all its lines begin with."""
    for _ in range(2):
        dumped(OK, told)
    numbers = [record.getMessage().partition(" ")[0] for record in told.records]
    assert len(set(numbers)) == 2
    assert numbers == sorted(numbers)


async def test_a_stream_is_shown_as_it_passes(told: pytest.LogCaptureFixture) -> None:
    """Piece by piece, and how it ended."""
    shown = dumped(STREAM + b"8\r\ndata: 1\n\r\n", told, lost=True)
    assert shown[1:] == [
        "< 200\ncontent-type: text/event-stream\ntransfer-encoding: chunked",
        "< piece of 8 bytes\ndata: 1\n",
        "< ended early: the connection broke in the answer",
    ]


async def test_an_upstream_that_repeats_the_key(told: pytest.LogCaptureFixture) -> None:
    """It is not shown, wherever it stands."""
    body = b"you sent " + KEY
    shown = dumped(JSON % (len(body), body), told)
    assert shown[2] == "< body\nyou sent **********"
    assert KEY.decode() not in told.text


async def test_no_body_is_shown_beyond_measure(told: pytest.LogCaptureFixture) -> None:
    """Nor what is no text; control characters do not reach the terminal."""
    body = b"x" * (LARGEST_SHOWN + 5)
    assert dumped(JSON % (len(body), body), told)[2].endswith("x\n(5 bytes more)")
    told.clear()
    audio = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 3\r\n\r\n\x00\x01\x02"
    assert dumped(audio, told)[2] == "< body\n(3 bytes of audio/mpeg)"
    told.clear()
    zipped = gzip.compress(b"{}")
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
    )
    assert dumped(head % len(zipped) + zipped, told)[2] == "< body\n{}"
    told.clear()
    assert "\x1b" not in dumped(JSON % (4, b"\x1b[0m"), told)[2]


async def test_nothing_is_made_where_nobody_looks(caplog: pytest.LogCaptureFixture) -> None:
    """Unless this very logger is asked to tell: others at DEBUG do not mean prompts."""
    caplog.set_level(logging.WARNING, logger=WIRE.name)
    caplog.set_level(logging.DEBUG)
    wired = Wired()
    response = wired.connection.request(HEAD, BODY)
    assert wired.connection._response is response
    assert isinstance(wired.connection, Connection)


@pytest.fixture
def quiet() -> Iterator[None]:
    """The logger as it was."""
    yield
    for handler in WIRE.handlers:
        WIRE.removeHandler(handler)
    WIRE.setLevel(logging.WARNING)
    WIRE.propagate = True


@pytest.mark.usefixtures("quiet")
def test_a_variable_sends_it_to_stderr() -> None:
    """Once, however many fleets there are; `0` is no."""
    for value in ("", "0"):
        dump_if_asked({"SMALT_DEBUG": value})
    assert not WIRE.handlers
    for _ in range(2):
        dump_if_asked({"SMALT_DEBUG": "1"})
    (handler,) = WIRE.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
    assert WIRE.isEnabledFor(logging.DEBUG)
