import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from pydantic import SecretStr
from tests.unit.dispatch.fakes import Office, Taker, Wired, failure_of, make_facts

from smalt.auth.credentials import ApiKey
from smalt.auth.kept import Fixed
from smalt.dispatch import upstreams as module
from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.run import Answer, SendFailed
from smalt.dispatch.target import Origin, Target, Timeouts
from smalt.dispatch.upstreams import Upstreams
from smalt.types import Facts, FailureKind

BODY = b'{"model":"gpt-4o"}'
ROLE = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
TEXT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
JSON = b'{"usage":{"prompt_tokens":1}}'


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Sending:
    """`Upstreams` whose connections are fake; plays an answer for each request."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: bytes, **timeouts: float) -> None:
        target = Target(
            Origin("127.0.0.1", 8000, tls=False), (ApiKey(Fixed(SecretStr("k3y"))),), "classic", "2024-10-21"
        )
        self.upstreams = Upstreams({"east": target}, Timeouts(**timeouts))
        self.wired: list[Wired] = []
        self.limits: list[float] = []
        self._answers = list(answers)

        async def send(
            _pool: Connections, _origin: Origin, head: bytes, body: bytes, *, connect_s: float, limit_s: float
        ) -> Response:
            self.limits.append(limit_s)
            wired = Wired()
            self.wired.append(wired)
            response = wired.connection.request(head, body)
            wired.receive(self._answers.pop(0))
            await response.head()
            return response

        monkeypatch.setattr(Connections, "send", send)

    def send(self, facts: Facts | None = None) -> Awaitable[Answer[Response]]:
        call = Office().answered(facts)
        return self.upstreams.send("east/gpt-4o", call, BODY)

    @property
    def written(self) -> bytes:
        return self.wired[-1].transport.written


async def test_the_request_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """One head, the resource's own key, the body untouched."""
    sending = Sending(monkeypatch, http(JSON))
    await sending.send()
    head, _, body = sending.written.partition(b"\r\n\r\n")
    assert body == BODY
    assert head.split(b"\r\n") == [
        b"POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 HTTP/1.1",
        b"x-ms-client-request-id: id-1",
        b"content-length: %d" % len(BODY),
        b"host: 127.0.0.1:8000",
        b"api-key: k3y",
        b"content-type: application/json",
        b"accept-encoding: identity",
        b"user-agent: smalt",
    ]


async def test_an_answer_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, headers and body, so that a truncated one can still fail over."""
    answer = await Sending(monkeypatch, http(JSON, b"X-MS-Region: East")).send()
    assert (answer.status, answer.body, answer.stream) == (200, JSON, None)
    assert (b"x-ms-region", b"East") in answer.headers


@pytest.mark.parametrize("kind", [b"text/event-stream", b"Text/Event-Stream; charset=utf-8"])
async def test_a_stream_stays_a_stream(monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    """It comes back once it has begun, with what was rewritten."""
    sending = Sending(monkeypatch, http(TEXT, b"content-type: " + kind))
    answer = await sending.send(make_facts(stream=True))
    assert answer.stream is not None
    assert answer.watched is not None
    assert answer.watched.held() == TEXT
    assert answer.rewrites == ("stream_options",)
    assert b'"include_usage":true' in sending.written


@pytest.mark.parametrize(
    ("begins", "kind"),
    [
        (b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n', FailureKind.CAPACITY),
        (b"", FailureKind.TRUNCATED),
    ],
)
async def test_a_stream_that_does_not_begin_is_a_failed_attempt(
    monkeypatch: pytest.MonkeyPatch, begins: bytes, kind: FailureKind
) -> None:
    """An error or the end in place of content: another upstream may do better."""
    sending = Sending(monkeypatch, http(begins, b"content-type: text/event-stream"))
    assert (await failure_of(sending.send(make_facts(stream=True))))[0] is kind


async def test_a_stream_that_takes_its_time_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held is held for a moment only."""
    monkeypatch.setattr(module, "PREAMBLE_S", 0)
    sending = Sending(monkeypatch, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + ROLE)
    answer = await sending.send(make_facts(stream=True))
    assert answer.stream is not None
    assert answer.watched is not None
    sending.wired[0].receive(TEXT)
    assert answer.watched.held() + Taker(answer.stream).body == ROLE + TEXT


async def test_leaving_before_a_stream_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes with the caller."""
    sending = Sending(monkeypatch, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + ROLE)
    task = asyncio.ensure_future(sending.send(make_facts(stream=True)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sending.wired[0].transport.closing


async def test_an_error_is_taken_whole_even_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text decides what happens next."""
    reply = http(b"data: no\n\n", b"content-type: text/event-stream", status=b"429 Too Many")
    answer = await Sending(monkeypatch, reply).send(make_facts(stream=True))
    assert (answer.status, answer.body, answer.stream) == (429, b"data: no\n\n", None)


async def test_a_large_answer_becomes_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit it is relayed as it comes."""
    monkeypatch.setattr(module, "LARGEST_WHOLE", 10)
    answer = await Sending(monkeypatch, http(b"x" * 11)).send()
    assert (answer.status, answer.body) == (200, b"")
    assert answer.stream is not None


async def test_an_endless_error_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error body beyond measure is no error to show; its connection goes."""
    monkeypatch.setattr(module, "LARGEST_ERROR", 10)
    reply = b"HTTP/1.1 500 Error\r\ncontent-length: 99\r\n\r\n" + b"x" * 20
    sending = Sending(monkeypatch, reply)
    kind, text = await failure_of(sending.send())
    assert (kind, text) == (FailureKind.TRUNCATED, "HTTP 500 with an error body beyond measure")
    assert sending.wired[0].transport.closing


@pytest.mark.parametrize("stream", [True, False])
async def test_the_limit_for_streams_and_for_others(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """A stream's first byte has its own limit."""
    sending = Sending(monkeypatch, http(JSON), total_s=60, stream_first_byte_s=30)
    await sending.send(make_facts(stream=stream))
    assert sending.limits == [30 if stream else 60]


async def test_leaving_while_the_body_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes with the caller."""
    sending = Sending(monkeypatch, b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf")
    task = asyncio.ensure_future(sending.send())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sending.wired[0].transport.closing


async def test_a_body_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told as a failed attempt."""
    sending = Sending(monkeypatch, b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf")
    task: Any = asyncio.ensure_future(sending.send())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sending.wired[0].lose(ConnectionResetError())
    with pytest.raises(SendFailed) as caught:
        await task
    assert caught.value.failure.kind is FailureKind.TRUNCATED


def test_closing_closes_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, all of them."""
    closed: list[Connections] = []
    upstreams = Upstreams({}, Timeouts())

    def close(pool: Connections) -> None:
        closed.append(pool)

    monkeypatch.setattr(Connections, "close", close)
    upstreams.close()
    assert closed == [upstreams._connections]
