"""A server whose streams say exactly what a test wants, when it wants."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

Send = Callable[[bytes], None]
Script = Callable[[Send], None]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n%b\r\n"
DONE = b"data: [DONE]\n\n"


@contextmanager
def serving(script: Script, header: bytes = b"") -> Iterator[dict[str, Any]]:
    """Settings that lead there. `script` answers every request: what it sends are pieces of the stream, which
    ends when it returns. `header`: one line more of every answer's head."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                while self._read_request():
                    self.wfile.write(HEAD % header)
                    script(lambda piece: _write(self.wfile.write, piece))
                    self.wfile.write(b"0\r\n\r\n")

        def _read_request(self) -> bool:
            """False if there is none: the caller has closed."""
            length = 0
            while line := self.rfile.readline().strip():
                name, _, value = line.partition(b": ")
                length = int(value) if name == b"content-length" else length
            return bool(length and self.rfile.read(length))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        resource = {
            "endpoint": f"http://127.0.0.1:{server.server_address[1]}",
            "api_keys": ["key"],
            "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
        }
        try:
            yield {"resources": {"raw": resource}}
        finally:
            server.shutdown()
            thread.join()


def _write(write: Callable[[bytes], object], piece: bytes) -> None:
    write(b"%x\r\n%b\r\n" % (len(piece), piece))


def says(text: str, finish_reason: str | None = None) -> bytes:
    """One event of a chat answer."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish_reason}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_763_700_000,
        "model": "gpt-4o-2024-11-20",
        "system_fingerprint": "fp_1",
        "choices": [choice],
        "usage": None,
    }
    return b"data: %b\n\n" % msgspec.json.encode(chunk)
