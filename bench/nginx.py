"""nginx as the yardstick of speed: what one proxied request costs it in CPU, on this machine, right now.

Absolute figures drift by a third from machine to machine and from hour to hour; ratios to a measure taken in
the same run hardly do. nginx runs as one process and forwards over kept connections to a second nginx, which
answers from memory; only the first one's CPU time counts. The load comes from the calling process. Whoever
calls holds all of them on one core, so that no round has more of the machine to itself than another.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.cpu import LINUX, cpu_s

CONNECTIONS = 32
REQUEST_BYTES = 2_048
ANSWER_BYTES = 1_024
START_S = 10.0
UNPACKED = Path(sys.prefix, "nginx")  # in the project's environment: nothing is installed on the machine

HEAD = (
    "POST /openai/deployments/chat/chat/completions?api-version=2024-10-21 HTTP/1.1\r\nhost: east\r\n"
    f"api-key: east-key\r\ncontent-type: application/json\r\ncontent-length: {REQUEST_BYTES}\r\n\r\n"
)
BODY = '{"messages": [{"role": "user", "content": "%s"}]}'
REQUEST = (HEAD + BODY % ("word " * REQUEST_BYTES)[: REQUEST_BYTES - len(BODY % "")]).encode()
CHAT = '{"choices": [{"message": {"role": "assistant", "content": "%s"}}], "usage": {"total_tokens": 700}}'
ANSWER = CHAT % ("word " * ANSWER_BYTES)[: ANSWER_BYTES - len(CHAT % "")]

CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ }}
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
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive {connections};
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ {rule} }}
    }}
}}
"""
ANSWERS = f"return 200 '{ANSWER}';"
FORWARDS = 'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'


class NoNginx(Exception):
    """There is no nginx to compare with; the text says why and what to do."""


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
    """An nginx and its backend, stopped in the end. Raises NoNginx."""
    program = find()
    backend_port, port = free_port(), free_port()
    with (
        started(program, port=backend_port, rule=ANSWERS),
        started(program, port=port, backend=backend_port, rule=FORWARDS) as process,
        connected(port) as peers,
    ):
        yield Nginx(process, peers)


def find() -> Path:
    """The machine's nginx, or Debian's package unpacked into the project's environment."""
    if not LINUX:
        raise NoNginx("nginx is measured on Linux only: elsewhere the CPU time of a process is not told")
    if found := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return Path(found)
    program = UNPACKED / "usr" / "sbin" / "nginx"
    if not program.exists():
        unpack()
    return program


def unpack() -> None:
    if shutil.which("apt-get") is None:
        raise NoNginx("there is no nginx here, and no apt-get to fetch Debian's; install nginx")
    sys.stderr.write(f"unpacking Debian's nginx into {UNPACKED}\n")
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as folder:
        if os.geteuid() == 0:  # images of Debian come without package lists
            command("apt-get", "update", "-q", cwd=folder)
        command("apt-get", "download", "-q", "nginx", cwd=folder)
        (package,) = Path(folder).glob("nginx_*.deb")
        command("dpkg-deb", "--extract", str(package), str(UNPACKED), cwd=folder)


def command(*words: str, cwd: str) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  ours
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoNginx(f"there is no nginx here, and {words[0]} could not fetch it ({reason}); install nginx")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def started(program: Path, *, port: int, rule: str, backend: int = 1) -> Iterator["subprocess.Popen[bytes]"]:
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as name:
        folder = Path(name)
        config = CONFIG.format(folder=folder, port=port, backend=backend, connections=CONNECTIONS, rule=rule)
        (folder / "nginx.conf").write_text(config)
        with (folder / "errors").open("wb") as errors:
            words = [str(program), "-p", name, "-c", f"{name}/nginx.conf", "-e", "stderr"]
            process = subprocess.Popen(words, stderr=errors)  # noqa: S603  ours
        try:
            if not listens(process, port):
                raise NoNginx(f"{program} did not start: {(folder / 'errors').read_text().strip()}")
            yield process
        finally:
            process.terminate()
            process.wait()


def listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return True
    return False


@contextmanager
def connected(port: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)]


def load(peers: list[socket.socket], requests: int) -> None:
    """Send so many, one at a time on each connection."""
    for _ in range(requests // len(peers)):
        for peer in peers:
            peer.sendall(REQUEST)
        for peer in peers:
            take_answer(peer)


def take_answer(peer: socket.socket) -> None:
    answer = b""
    while not (answer.startswith(b"HTTP/1.1 200 ") and answer.partition(b"\r\n\r\n")[2] == ANSWER.encode()):
        more = peer.recv(65_536)
        answer += more
        if not more or not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not answered: {answer.decode(errors='replace')[:200]}")
