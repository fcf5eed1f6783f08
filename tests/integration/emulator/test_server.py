"""HTTP itself, byte by byte."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from smalt.emulator.server import BODY_LIMIT, HEAD_LIMIT, Listener, Reply, Request
from smalt.emulator.testing import Handle

Wire = Any  # the one of conftest.py, which cannot be imported


def test_a_connection_serves_one_request_after_the_other(wire: Wire, emulator: Handle) -> None:
    """Pipelined requests are answered in their order, the last one closes the connection."""
    one, last = wire.request(), wire.request("connection: close")
    answers = wire.exchange(one + one + one + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert answers.count(b"connection: close") == 1
    assert [entry["outcome"] for entry in emulator.log()] == ["answered"] * 4


def test_a_body_may_come_in_chunks(wire: Wire) -> None:
    """Chunked bodies are put together, wherever they are split."""
    head = wire.head("transfer-encoding: chunked", "content-type: application/json", "connection: close")
    body = b'{"messages":[{"role":"user","content":"hi"}]}'
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:11], body[11:])]
    answer = wire.exchange(head, *chunks, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    """Nothing depends on how the network cuts a request."""
    request = wire.request("connection: close")
    assert wire.exchange(*(request[i : i + 1] for i in range(len(request)))).startswith(b"HTTP/1.1 200 OK")


def test_a_caller_may_ask_before_it_sends_the_body(wire: Wire) -> None:
    """Expect: 100-continue is answered as soon as the head is there."""
    head, _, body = wire.request("expect: 100-continue", "connection: close").partition(b"\r\n\r\n")
    with closing(wire.connect()) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_http_1_0_streams_end_with_the_connection(wire: Wire) -> None:
    """An old client gets no chunked framing; its connection closes after the answer."""
    head, _, body = wire.request(stream=True).partition(b"\r\n\r\n")
    answer = wire.exchange(head.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n\r\n" + body)
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")


def test_streams_are_chunked(wire: Wire) -> None:
    """A stream ends with an empty chunk and leaves the connection open."""
    answer = wire.exchange(wire.request(stream=True) + wire.request("connection: close"))
    assert b"transfer-encoding: chunked" in answer
    assert b"data: [DONE]\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK" in answer


def test_a_head_has_its_limit(wire: Wire) -> None:
    """A head that does not end, or is too long, is refused."""
    for head in (wire.head()[:-2] + b"x: " + b"y" * HEAD_LIMIT * 20, wire.head("x: " + "y" * HEAD_LIMIT)):
        assert wire.exchange(head).startswith(b"HTTP/1.1 431 Request Header Fields Too Large")


def test_a_body_has_its_limit(wire: Wire) -> None:
    """A body that is announced too long is refused before it is sent, another one when it gets there."""
    announced = wire.head(f"content-length: {BODY_LIMIT + 1}", "expect: 100-continue")
    assert wire.exchange(announced).startswith(b"HTTP/1.1 413 Request Entity Too Large")
    chunk = b"%x\r\n%b\r\n" % (2**20, b" " * 2**20)
    endless = [chunk] * (BODY_LIMIT // 2**20 + 1)
    answer = wire.exchange(wire.head("transfer-encoding: chunked"), *endless)
    assert answer.startswith(b"HTTP/1.1 413 Request Entity Too Large")


def test_what_is_no_http_is_refused(wire: Wire) -> None:
    """Garbage gets a 400 and the connection is closed."""
    assert wire.exchange(b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request")
    assert wire.exchange(wire.head("content-length: ten")).startswith(b"HTTP/1.1 400 Bad Request")


def test_an_upgrade_is_refused(wire: Wire) -> None:
    """Other protocols are not spoken here."""
    answer = wire.exchange(wire.request("connection: upgrade", "upgrade: websocket"))
    assert answer.startswith(b"HTTP/1.1 501 Not Implemented")


def test_a_head_request_gets_no_body(wire: Wire) -> None:
    """HEAD is answered with headers alone."""
    answer = wire.exchange(wire.head("connection: close", method="HEAD"))
    assert answer.startswith(b"HTTP/1.1 404 Not Found")
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_must_be_json(wire: Wire) -> None:
    """Broken JSON, a list and another media type are refused in Azure's words."""
    for body in (b"{", b"[]", b'"\xff"', b""):
        head = wire.head(f"content-length: {len(body)}", "connection: close")
        answer = wire.exchange(head + body)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"could not parse the JSON body" in answer
    answer = wire.exchange(wire.request("connection: close").replace(b"application/json", b"text/plain"))
    assert answer.startswith(b"HTTP/1.1 415 ")


def test_v1_needs_a_model(wire: Wire) -> None:
    """Without a deployment in the path the body must name one."""
    target = "/openai/v1/chat/completions"
    for body, status in ((b"{}", b"400"), (b'{"model": 1}', b"404")):
        head = wire.head(f"content-length: {len(body)}", "connection: close", target=target)
        assert wire.exchange(head + body).split()[1] == status


def test_a_log_entry_shows_the_request_as_sent(wire: Wire, emulator: Handle) -> None:
    """Case and order of headers, the raw path and the key can be read."""
    wire.exchange(wire.request("X-Custom: 1", "connection: close"))
    (entry,) = emulator.log("east")
    assert ["X-Custom", "1"] in entry["headers"]
    assert ["api-key", wire.key] in entry["headers"]
    assert entry["query"] == "api-version=2024-10-21"
    assert entry["body"] == {"messages": [{"role": "user", "content": "hi"}]}
    assert entry["arrived_s"] <= entry["head_s"] <= entry["finished_s"]
    assert (entry["status"], entry["operation"]) == (200, "chat/completions")


async def test_a_fault_of_the_emulator_is_not_dressed_as_an_answer() -> None:
    """The connection is cut, and the loop's exception handler hears of it."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))

    async def broken(_request: Request, _reply: Reply) -> None:
        raise ZeroDivisionError

    listener = Listener("a test", 0, broken)
    await listener.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await listener.close()
    assert [type(context["exception"]) for context in heard] == [ZeroDivisionError]


def test_answers_are_dated(wire: Wire) -> None:
    """By a clock that is right, in the form of HTTP; refusals too."""
    answers = wire.exchange(wire.request(), wire.head("connection: close", target="/nowhere", method="GET"))
    dates = [line.partition(b": ")[2] for line in answers.splitlines() if line.startswith(b"date: ")]
    assert len(dates) == 2
    for date in dates:
        age = datetime.now(UTC) - parsedate_to_datetime(date.decode())
        assert timedelta(seconds=-1) <= age <= timedelta(seconds=30)
