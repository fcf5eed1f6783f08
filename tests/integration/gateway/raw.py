"""HTTP by hand, for what no client library would send."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.contract.gateways import KEY

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def body(**fields: object) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": HELLO, **fields}).encode()


def head(
    *lines: str, target: str = CHAT, method: str = "POST", version: str = "1.1", key: str | None = KEY
) -> bytes:
    auth = [f"authorization: Bearer {key}"] if key is not None else []
    start = [f"{method} {target} HTTP/{version}", "host: gateway", *auth]
    return "\r\n".join([*start, *lines, "", ""]).encode("latin-1")


def request(*lines: str, content: bytes | None = None, **start: Any) -> bytes:
    """A whole request with its length told."""
    content = body() if content is None else content
    return (
        head("content-type: application/json", f"content-length: {len(content)}", *lines, **start) + content
    )


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)["error"]
        return told


class Caller:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._read = b""

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.sock.sendall(part)

    def answer(self, method: str = "POST") -> Answer:
        """The next answer, whole. Chunks are put together; an answer without a length ends the connection;
        one to HEAD is only a head."""
        start, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header came twice"
        content = b"" if method == "HEAD" else self._body(headers)
        return Answer(int(start.split()[1]), headers, content)

    def until(self, mark: bytes) -> bytes:
        """Up to and with `mark`."""
        while mark not in self._read:
            self._more()
        end = self._read.index(mark) + len(mark)
        taken, self._read = self._read[:end], self._read[end:]
        return taken

    def closed(self) -> bool:
        """Wait for the other side to close; false if it says something instead."""
        try:
            return not self._read and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(self._chunks())
        while data := self.sock.recv(65_536):
            self._read += data
        return self._read

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.until(b"\r\n"), 16):
            yield self._exactly(size + 2)[:-2]
        self._exactly(2)

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _more(self) -> None:
        data = self.sock.recv(65_536)
        assert data, f"closed after {self._read!r}"
        self._read += data


@contextmanager
def calling(url: str) -> Iterator[Caller]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as sock:
        yield Caller(sock)


def ask(url: str, *parts: bytes, method: str = "POST") -> Answer:
    """One exchange on a connection of its own."""
    with calling(url) as caller:
        caller.send(*parts)
        return caller.answer(method)
