"""One emulator for all tests of a process, as new before each; and bare HTTP over a socket."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from smalt.emulator.testing import Handle, running

CHAT = "/openai/deployments/gpt-4o-prod/chat/completions?api-version=2024-10-21"


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[Handle]:
    with running() as handle:
        yield handle


@pytest.fixture
def emulator(shared_emulator: Handle) -> Handle:
    shared_emulator.reset()
    return shared_emulator


class Wire:
    """Bare requests to the resource `east`."""

    def __init__(self, emulator: Handle) -> None:
        address = urlsplit(emulator.url("east"))
        self._address = (address.hostname or "", address.port or 0)
        self.key = emulator.key("east")

    def connect(self, *, buffer_bytes: int = 0) -> socket.socket:
        """`buffer_bytes`: of the receiving side; 0: the system's own choice."""
        sock = socket.socket()
        if buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.settimeout(10)
        try:
            sock.connect(self._address)
        except OSError:
            sock.close()
            raise
        return sock

    def head(self, *headers: str, target: str = CHAT, version: str = "1.1", method: str = "POST") -> bytes:
        lines = [f"{method} {target} HTTP/{version}", "host: east", f"api-key: {self.key}", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def request(self, *headers: str, **body: object) -> bytes:
        """A whole chat request."""
        content = json.dumps({"messages": [{"role": "user", "content": "hi"}], **body}).encode()
        return (
            self.head(f"content-length: {len(content)}", "content-type: application/json", *headers) + content
        )

    def exchange(self, *parts: bytes) -> bytes:
        """Send `parts` and read until the emulator closes the connection."""
        with closing(self.connect()) as sock:
            for part in parts:
                sock.sendall(part)
            return b"".join(iter(lambda: sock.recv(65_536), b""))


@pytest.fixture
def wire(emulator: Handle) -> Wire:
    return Wire(emulator)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds, 5 s at most."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)

    return wait
