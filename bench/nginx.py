"""nginx as the yardstick of speed: what one proxied request costs it in CPU, on this machine, right now.

Absolute figures drift by a third from machine to machine and from hour to hour; ratios to a measure taken in
the same run hardly do. nginx runs as one process and forwards over kept connections to a second nginx, which
answers from memory; only the first one's CPU time counts. The load comes from the calling process. Whoever
calls holds all of them on one core, so that no round has more of the machine to itself than another.
"""

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import asked, debian
from bench.cpu import LINUX, cpu_s
from bench.debian import Missing

CONNECTIONS = 32
ANSWER_BYTES = 1_024
START_S = 10.0

REQUEST = asked.whole(asked.AZURE)
CHAT = json.dumps(
    {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-4o-2024-11-20",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "%s"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700},
    }
)
ANSWER = CHAT % ("word " * ANSWER_BYTES)[: ANSWER_BYTES - len(CHAT % "")]

CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 1000000000;
    client_header_buffer_size 8k;
    default_type application/json;
    {backends}
    server {{
        listen 127.0.0.1:{port};
        {rules}
    }}
}}
"""
BACKEND = """
    upstream {name} {{
        server 127.0.0.1:{port};
        keepalive {connections};
        keepalive_requests 1000000000;
    }}
"""
ANSWERS = f"location / {{ return 200 '{ANSWER}'; }}"
TO = 'proxy_pass http://{name}; proxy_http_version 1.1; proxy_set_header Connection "";'
FORWARDS = f"location / {{ {TO.format(name='backend')} }}"
STREAMS = f"location ~ {asked.STREAMED} {{ {TO.format(name='streams')} proxy_buffering off; }}"


class Nginx:
    """A running yardstick."""

    def __init__(self, process: "subprocess.Popen[bytes]", peers: list[socket.socket]) -> None:
        self._process = process
        self._peers = peers

    def cpu_s(self, requests: int) -> float:
        """CPU time nginx takes to forward so many; a multiple of CONNECTIONS."""
        before_s = cpu_s(self._process.pid)
        load(self._peers, requests)
        return cpu_s(self._process.pid) - before_s


@contextmanager
def running() -> Iterator[Nginx]:
    """An nginx and its backend, stopped in the end. Raises Missing."""
    program = find()
    backend_port, port = free_port(), free_port()
    with (
        started(program, backend_port, ANSWERS),
        started(program, port, FORWARDS, {"backend": backend_port}) as process,
        connected(port) as peers,
    ):
        yield Nginx(process, peers)


def find() -> Path:
    """Raises Missing."""
    if not LINUX:
        raise Missing("nginx is measured on Linux only: elsewhere the CPU time of a process is not told")
    return debian.find("nginx", ["nginx"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def started(
    program: Path, port: int, rules: str, backends: Mapping[str, int] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """`rules`: what to do with requests; `backends`: ports by the names that rules forward to."""
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as name:
        folder = Path(name)
        behind = "".join(
            BACKEND.format(name=backend, port=number, connections=CONNECTIONS)
            for backend, number in (backends or {}).items()
        )
        config = CONFIG.format(folder=folder, port=port, rules=rules, backends=behind)
        (folder / "nginx.conf").write_text(config)
        with (folder / "errors").open("wb") as errors:
            words = [str(program), "-p", name, "-c", f"{name}/nginx.conf", "-e", "stderr"]
            process = subprocess.Popen(words, stderr=errors)  # noqa: S603  ours
        try:
            if not listens(process, port):
                raise Missing(f"{program} did not start: {(folder / 'errors').read_text().strip()}")
            yield process
        finally:
            process.terminate()
            process.wait()


def listens(process: "subprocess.Popen[bytes]", port: int, within_s: float = START_S) -> bool:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return True
    return False


@contextmanager
def connected(port: int, connections: int = CONNECTIONS) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(connections)]


def load(peers: list[socket.socket], requests: int, request: bytes = REQUEST) -> None:
    """Send so many, one at a time on each connection."""
    for _ in range(requests // len(peers)):
        for peer in peers:
            peer.sendall(request)
        for peer in peers:
            take_answer(peer)


def take_answer(peer: socket.socket) -> None:
    answer = b""
    while not (answer.startswith(b"HTTP/1.1 200 ") and answer.partition(b"\r\n\r\n")[2] == ANSWER.encode()):
        more = peer.recv(65_536)
        answer += more
        if not more or not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not answered: {answer.decode(errors='replace')[:200]}")
