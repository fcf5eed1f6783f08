"""wrk as the load: so many requests at once over kept connections, and how long each took."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench import debian, nginx

TIMEOUT = "60s"
PACKAGES = ("wrk", "libluajit-5.1-2")
SCRIPT = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency)
    local told = '{{"requests": %d, "failed": %d, "bytes": %d, "p50_us": %d, "p99_us": %d}}'
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write("\\n", told:format(
        summary.requests, failed, summary.bytes, latency:percentile(50), latency:percentile(99)), "\\n")
end
"""


class Load(NamedTuple):
    """What came of it; times of a request in microseconds."""

    requests: int
    failed: int
    bytes: int
    p50_us: int
    p99_us: int


class Wrk:
    def __init__(self, program: Path) -> None:
        self._program = program
        self._env = debian.libraries(program)

    def run(self, port: int, *, connections: int, seconds: int, request: bytes) -> Load:
        """Send `request` over and over. All are answered well, or the program ends."""
        head, _, body = request.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        url = f"http://127.0.0.1:{port}{first.split()[1]}"
        headers = (line.split(": ", 1) for line in lines if not line.startswith(("host", "content-length")))
        told = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers)
        with tempfile.NamedTemporaryFile("w", suffix=".lua", prefix="smalt-bench-") as script:
            script.write(SCRIPT.format(body=body, headers=told))
            script.flush()
            words = [str(self._program), "-t1", f"-c{connections}", f"-d{seconds}s"]
            words += ["--timeout", TIMEOUT, "-s", script.name, url]
            done = subprocess.run(words, env=self._env, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
        load = Load(**json.loads(done.stdout.splitlines()[-1]))
        if load.failed or not load.requests or load.bytes < load.requests * nginx.ANSWER_BYTES // 2:
            raise SystemExit(f"not answered well: {load}")
        return load


class Sockets:
    """What takes wrk's place where it cannot be had."""

    def run(self, port: int, *, connections: int, seconds: int, request: bytes) -> Load:
        taken_us: list[float] = []
        until_s = time.perf_counter() + seconds
        with nginx.connected(port, connections) as peers:
            while (sent_s := time.perf_counter()) < until_s:
                nginx.load(peers, len(peers), request)
                taken_us += [1e6 * (time.perf_counter() - sent_s)] * len(peers)
        taken_us.sort()
        count = len(taken_us)
        p50_us, p99_us = int(taken_us[count // 2]), int(taken_us[count * 99 // 100])
        return Load(count, 0, count * nginx.ANSWER_BYTES, p50_us, p99_us)


def found() -> Wrk | Sockets:
    try:
        return Wrk(debian.find("wrk", PACKAGES))
    except debian.Missing as missing:
        sys.stderr.write(f"{missing}; this program makes the load itself\n")
        return Sockets()
