"""Upstreams that answer with bytes of our choosing."""

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.contract.gateways import Adapter, Stage, gateway_process, needs_proc
from tests.integration.gateway.raw import ask, body, calling, request

from smalt.config import Settings

Upstream = Callable[..., dict[str, object]]


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says the same to every request; yields its address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                length = 0
                while line not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"content-length" else length
                    line = self.rfile.readline()
                self.rfile.read(length)
                try:
                    self.wfile.write(answer)
                except OSError:
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A configuration whose only upstream answers with these bytes."""
    with ExitStack() as stack:

        def config(content: bytes, *head: str, framed: bool = True) -> dict[str, object]:
            length = [f"content-length: {len(content)}"] if framed else ["transfer-encoding: chunked"]
            lines = "\r\n".join(["HTTP/1.1 200 OK", *head, *length, "", ""]).encode("latin-1")
            url = stack.enter_context(answering(lines + content))
            east = {"endpoint": url, "api_keys": ["k"], "deployments": {"d": {"model": "gpt-4o"}}}
            return {"resources": {"east": east}, "retry": {"max_attempts": 1}}

        yield config


ODD = (
    b'{ "id" : "x",\n\t"caf\\u00e9": "caf\xc3\xa9", "big": 12345678901234567890.10, "model": "m",\r\n'
    b'"usage": {"completion_tokens": 2, "prompt_tokens": 1, "new_field": null}, "choices": [] }\n'
)


@pytest.mark.parametrize("adapter", ["hot", "asgi"])
def test_an_answer_passes_byte_for_byte(
    stages: dict[Adapter, Stage], upstream: Upstream, adapter: Adapter
) -> None:
    """Spelling, spaces and unknown fields stay; of the headers only Azure's own pass."""
    stage = stages[adapter]
    extra = ("content-type: application/json", "Set-Cookie: a=b", "X-MS-Region: Mars", "server: secret/1.0")
    stage.play(Settings.model_validate(upstream(ODD, *extra)))
    answer = ask(stage.url, request())
    assert answer.body == ODD
    assert answer.headers["x-ms-region"] == "Mars"
    assert answer.headers["x-smalt-cost-usd"] == "0.0000225"
    assert not answer.headers.keys() & {"set-cookie", "server"}


@pytest.mark.parametrize("adapter", ["hot", "asgi"])
def test_a_stream_passes_byte_for_byte(
    stages: dict[Adapter, Stage], upstream: Upstream, adapter: Adapter
) -> None:
    """Comments, odd line ends and annotations of a stream stay; only the usage chunk is hidden."""
    kept = (
        b': keep-alive\r\n\r\ndata:{"choices":[{"delta":{"content":"caf\xc3\xa9"},"index":0}]}\r\n\r\n'
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"x":1}\n\n'
    )
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    said = kept + usage + b"data: [DONE]\n\n"
    pieces = [said[start : start + 11] for start in range(0, len(said), 11)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    stage = stages[adapter]
    stage.play(Settings.model_validate(upstream(chunked, "content-type: text/event-stream", framed=False)))
    answer = ask(stage.url, request(content=body(stream=True)))
    assert answer.body == kept + b"data: [DONE]\n\n"


@pytest.mark.parametrize("adapter", ["hot", "asgi"])
def test_a_fault_of_our_own(
    stages: dict[Adapter, Stage],
    upstream: Upstream,
    adapter: Adapter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """500 in OpenAI's shape without details; the log has them; the next request is served."""
    stage = stages[adapter]
    stage.play(Settings.model_validate(upstream(ODD)))
    with monkeypatch.context() as patch:
        patch.setattr("smalt.gateway.model_calls.answer_headers", lambda *_: 1 / 0)
        answer = ask(stage.url, request())
    assert (answer.status, answer.error["code"]) == (500, "smalt_error")
    assert "division" not in answer.body.decode()
    assert "ZeroDivisionError" in caplog.text
    assert ask(stage.url, request()).status == 200


@needs_proc
def test_a_large_answer_nobody_reads(upstream: Upstream, tmp_path: Path) -> None:
    """An answer too large to be taken whole waits at the upstream; the gateway's memory does not follow."""
    size = 100 << 20
    large = b'{"data": "' + b"x" * size + b'"}'
    with gateway_process(tmp_path, upstream(large, "content-type: application/json")) as process:
        with calling(process.url) as caller:
            caller.send(request())
            caller.until(b"\r\n\r\n")
            before_kb = process.memory_kb()
            time.sleep(0.5)
            assert process.memory_kb() - before_kb < 40 * 1024
        assert json.loads(ask(process.url, request()).body)["data"].count("x") == size
