"""Upstreams that answer to do harm: another one serves the call, or there is a clean error; memory stays
bounded, nothing of theirs gets through, and the next request is served."""

import gzip
import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateways import Stage, eventually, gateway_process, needs_proc
from tests.integration.gateway.raw import Answer, ask, body, calling, request

from smalt.config import Settings

MB = 1 << 20
WELL = b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
TWICE = b'{"usage":{"prompt_tokens":9999},' + WELL[1:]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
Say = Callable[[bytes], None]
Script = Callable[[Say], None]


def whole(content: bytes, *lines: bytes, start: bytes = OK) -> bytes:
    return start + b"".join(b"%b\r\n" % line for line in lines) + _length(content) + b"\r\n" + content


def _length(content: bytes) -> bytes:
    return b"content-length: %d\r\n" % len(content)


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


@contextmanager
def saying(script: Script) -> Iterator[str]:
    """A server that plays `script` after each request; yields its address."""
    stopped = threading.Event()

    def serve(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            while not stopped.is_set() and _request(sock):
                script(sock.sendall)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        threads: list[threading.Thread] = []

        def accept() -> None:
            while not stopped.is_set():
                with suppress(TimeoutError):
                    sock, _ = listener.accept()
                    sock.settimeout(10)
                    threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            accepting.join()


def _request(sock: socket.socket) -> bool:
    """Whether a whole one came."""
    came = b""
    while b"\r\n\r\n" not in came:
        data = sock.recv(65_536)
        if not data:
            return False
        came += data
    head, _, rest = came.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(rest) < length:
        rest += sock.recv(65_536)
    return True


@contextmanager
def upstreams(*scripts: Script) -> Iterator[dict[str, Any]]:
    """Settings with a resource for each, asked in this order."""
    if not scripts:
        yield {"resources": {}, "models": {"gpt-4o": {"route": []}}}
        return
    *before, last = scripts
    with upstreams(*before) as told, saying(last) as url:
        name = f"r{len(before)}"
        deployment = {"endpoint": url, "api_keys": ["key-of-ours"], "deployments": {"d": {"model": "gpt-4o"}}}
        route = [*told["models"]["gpt-4o"]["route"], f"{name}/d"]
        yield {
            "resources": {**told["resources"], name: deployment},
            "models": {"gpt-4o": {"route": route}},
            "retry": {"max_attempts": 2, "base_s": 0.01, "cap_s": 0.01, "jitter_s": 0},
            "timeouts": {"connect_s": 2, "total_s": 5, "stream_first_byte_s": 5, "stream_idle_s": 1},
        }


def well(say: Say) -> None:
    say(whole(WELL))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No traceback, and no key of ours."""
    yield
    for record in caplog.records:
        assert not record.exc_info, record.getMessage()
        assert record.levelno < logging.ERROR
        assert "key-of-ours" not in record.getMessage()


@dataclass(frozen=True, slots=True)
class Hostile:
    name: str
    said: bytes


HOSTILE = (
    Hostile("a negative length", OK + b"content-length: -1\r\n\r\n" + WELL),
    Hostile("two lengths", whole(WELL, b"content-length: 3")),
    Hostile("two equal lengths", whole(WELL, _length(WELL).strip())),
    Hostile("length and chunks", whole(chunk(WELL) + b"0\r\n\r\n", b"transfer-encoding: chunked")),
    Hostile("a coding before the chunks", OK + b"transfer-encoding: gzip, chunked\r\n\r\n" + chunk(WELL)),
    Hostile("a head without end", OK + b"x: " + b"y" * 200_000),
    Hostile("10,000 headers", whole(WELL, *[b"x: y"] * 10_000)),
    Hostile("thousands of headers that would go on", whole(WELL, *[b"x-ms-a: b"] * 3_000)),
    Hostile("a huge extension of a chunk", OK + b"transfer-encoding: chunked\r\n\r\n5;" + b"x" * 200_000),
    Hostile("trailers without end", OK + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 40_000),
    Hostile("a flood of 1xx", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000),
    Hostile("another protocol", b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + WELL),
    Hostile("a line end in a header", whole(WELL, b"x-ms-a: b\rSet-Cookie: evil")),
    Hostile("a NUL in a header", whole(WELL, b"x-ms-a: b\0c")),
    Hostile("a folded header", whole(WELL, b"x-ms-a: b\r\n evil: c")),
    Hostile("an answer that is none", b"220 mail.example ESMTP\r\n"),
    Hostile("nothing but its end", b""),
    Hostile(
        "a redirect", b"HTTP/1.1 307 X\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    ),
    Hostile("a redirect that stays", whole(WELL, b"location: http://evil/", start=b"HTTP/1.1 301 X\r\n")),
    Hostile("an error without end", b"HTTP/1.1 500 X\r\ncontent-length: 9999999\r\n\r\n" + b"x" * 9_999_999),
    Hostile("a bomb", whole(gzip.compress(bytes(50 * MB)), b"content-encoding: gzip")),
    Hostile("gzip that is none", whole(WELL, b"content-encoding: gzip")),
    Hostile("another encoding", whole(WELL, b"content-encoding: br")),
    Hostile("twice", whole(gzip.compress(gzip.compress(WELL)), b"content-encoding: gzip, gzip")),
    Hostile("a page", whole(b"<html>log in</html>")),
    Hostile("nested 100,000 deep", whole(b'{"usage":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001)),
    Hostile("lists 100,000 deep", whole(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    Hostile("NaN", whole(b'{"usage":{"prompt_tokens":NaN}}')),
    Hostile("an id in invalid UTF-8", whole(b'{"service_tier":"\xff\xfe"}')),
    Hostile("two values", whole(WELL + WELL)),
    Hostile("half an answer", OK + b"content-length: 999\r\n\r\n" + WELL),
)


def once(hostile: Hostile) -> Script:
    """Says it, and ends the connection."""

    def script(say: Say) -> None:
        say(hostile.said)
        raise OSError

    return script


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_another_upstream_serves(stage: Stage, hostile: Hostile) -> None:
    """The caller sees nothing of it; neither does the call after."""
    with upstreams(once(hostile), well) as told:
        stage.play(Settings.model_validate(told))
        for _ in range(2):
            answer = ask(stage.url, request())
            assert (answer.status, answer.body) == (200, WELL)
            assert answer.headers["x-smalt-upstream"] == "r1/d"
            clean(answer)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_nobody_else_is_left(stage: Stage, hostile: Hostile) -> None:
    """A 5xx in our shape; on the same connection the next request gets its own answer."""
    with upstreams(once(hostile)) as told:
        told["retry"]["max_attempts"] = 1
        stage.play(Settings.model_validate(told))
        with calling(stage.url) as caller:
            for _ in range(2):
                caller.send(request())
                answer = caller.answer()
                assert 500 <= answer.status < 600, answer.body
                assert answer.error["message"]
                clean(answer)


def clean(answer: Answer) -> None:
    assert not {"location", "set-cookie", "evil", "content-encoding"} & set(answer.headers)
    assert b"key-of-ours" not in answer.body
    assert sum(map(len, answer.headers.values())) < 4_000


TINY = b"".join(chunk(WELL[start : start + 1]) for start in range(len(WELL)))
ODD: Mapping[str, tuple[bytes, bytes]] = {
    "gzip": (whole(gzip.compress(WELL), b"content-encoding: gzip"), WELL),
    "deflate": (whole(zlib.compress(WELL), b"content-encoding: deflate"), WELL),
    "a body that ends with the connection": (OK + b"\r\n" + WELL, WELL),
    "tiny chunks": (
        OK
        + b"transfer-encoding: chunked\r\n\r\n"
        + b"".join(map(chunk, map(bytes, zip(WELL))))
        + b"0\r\n\r\n",
        WELL,
    ),
    "duplicate keys": (whole(TWICE), TWICE),
    "an answer and another one": (whole(WELL) + whole(b'{"evil":1}'), WELL),
    "nonsense of quotas": (
        whole(
            WELL,
            b"retry-after: 99999999999999999999",
            b"x-ratelimit-remaining-tokens: -9e99",
            b"x-ratelimit-limit-requests: " + b"9" * 5_000,
            b"azure-openai-deployment-utilization: NaN%",
        ),
        WELL,
    ),
}


@pytest.mark.parametrize(("said", "content"), ODD.values(), ids=ODD)
def test_odd_and_right(stage: Stage, said: bytes, content: bytes) -> None:
    """What can be read is read, with its usage; the next request gets its own answer."""
    with upstreams(once(Hostile("", said))) as told:
        stage.play(Settings.model_validate(told))
        for _ in range(2):
            answer = ask(stage.url, request())
            assert (answer.status, answer.body) == (200, content)
            assert answer.headers["x-smalt-cost-usd"] == "0.0000125"
            assert "content-encoding" not in answer.headers


def test_a_compressed_stream(stage: Stage) -> None:
    """Passed on as it was meant, with its usage left out as ever."""
    said = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    packed = gzip.compress(said + usage + b"data: [DONE]\n\n")
    head = EVENTS + b"content-encoding: gzip\r\n\r\n"
    with upstreams(lambda say: say(head + chunk(packed[:20]) + chunk(packed[20:]) + b"0\r\n\r\n")) as told:
        stage.play(Settings.model_validate(told))
        answer = ask(stage.url, request(content=body(stream=True)))
    assert answer.body == said + b"data: [DONE]\n\n"


@pytest.mark.parametrize("retry_after", [b"999999999", b"1e999", b"-5", b"Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_huge_retry_after(stage: Stage, retry_after: bytes) -> None:
    """It is nobody's to say that all others wait for years: the caller gets an answer at once."""
    limited = b"HTTP/1.1 429 X\r\nretry-after: %b\r\ncontent-length: 0\r\n\r\n" % retry_after
    with upstreams(lambda say: say(limited), well) as told:
        stage.play(Settings.model_validate(told))
        assert ask(stage.url, request()).body == WELL


def test_an_answer_that_comes_before_it_is_asked_for(stage: Stage) -> None:
    """A server that speaks first has no connection; the request is not answered by it."""
    spoken = threading.Event()

    def script(say: Say) -> None:
        say(whole(WELL))
        say(whole(b'{"evil":1}'))  # for whoever comes next
        spoken.set()

    with upstreams(script) as told:
        stage.play(Settings.model_validate(told))
        for _ in range(5):
            spoken.clear()
            assert ask(stage.url, request()).body == WELL
            assert spoken.wait(5)
            time.sleep(0.05)  # what is said after the next request was sent can only be its answer


@pytest.mark.parametrize(
    "piece", [b"data: x", b": c\n\n", b'data: {"choices":[]}\n\n', b"\n\n", b"data:\n" * 1_000]
)
def test_a_stream_that_falls_silent(stage: Stage, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some of it: its caller is told in time."""
    monkeypatch.setattr("smalt.dispatch.upstreams.PREAMBLE_S", 0.2)
    waiting = threading.Event()

    def script(say: Say) -> None:
        say(EVENTS + b"\r\n" + chunk(piece))
        waiting.wait(8)

    with upstreams(script) as told:
        told["timeouts"]["stream_idle_s"] = 0.2
        stage.play(Settings.model_validate(told))
        answer = ask(stage.url, request(content=body(stream=True)))
        waiting.set()
    assert b"stream_interrupted" in answer.body or answer.status >= 500


def endless(head: bytes, piece: bytes, times: int) -> Script:
    def script(say: Say) -> None:
        say(head)
        for _ in range(times):
            say(piece)
        raise OSError

    return script


JSON_CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
SILENT = b'data: {"choices":[]}\n\n'
FLOODS: Mapping[str, tuple[Script, bool]] = {
    "JSON of 200 MB": (endless(JSON_CHUNKED, chunk(b"x" * MB), 200), False),
    "JSON in tiny chunks": (endless(JSON_CHUNKED, chunk(b"xy") * 100_000, 35), False),
    "an event of 200 MB": (endless(EVENTS + b"\r\n", chunk(b"x" * MB), 200), True),
    "events without content": (
        endless(EVENTS + b"\r\n", chunk(SILENT * 40_000), 60),
        True,
    ),
}


@needs_proc
@pytest.mark.parametrize(("script", "stream"), FLOODS.values(), ids=FLOODS)
def test_memory_stays_bounded(tmp_path: Path, script: Script, stream: bool) -> None:
    """Nobody reads the answer: what the gateway holds of it stays small. Read or not, it serves the next."""
    with upstreams(script, well) as told:
        told["models"]["good"] = {"route": ["r1/d"]}
        told["resources"]["r1"]["deployments"]["d"]["model"] = "good"
        told["models"]["gpt-4o"]["route"] = ["r0/d"]
        with gateway_process(tmp_path, told) as process:
            good = request(content=body(model="good"))
            assert ask(process.url, good).status == 200
            before_kb = process.memory_kb()
            with calling(process.url) as caller, calling(process.url) as other:
                caller.send(request(content=body(stream=stream)))
                most_kb = 0
                for _ in range(30):
                    other.send(good)
                    assert other.answer().body == WELL
                    most_kb = max(most_kb, process.memory_kb() - before_kb)
                    threading.Event().wait(0.05)
                assert most_kb < 50 * 1024
            eventually(lambda: ask(process.url, good).status == 200)
            assert "Traceback" not in process.said
