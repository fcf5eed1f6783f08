"""Runs `smalt` as a person or a script does: as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

COMMAND_S = 60
GONE_S = 10


def smalt(*arguments: str, cwd: Path, code: int = 0) -> str:
    """Standard output of a command that must end with `code`; with another code than 0, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "smalt", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it is told to end; what it complains about comes on standard output."""
    with subprocess.Popen(
        [sys.executable, "-m", "smalt", *arguments],
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(cwd)},  # what a killed process leaves behind stays here
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout
    return process.stdout


def announced(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = output(process).readline()
    assert line.startswith("{"), line + output(process).read()
    told: dict[str, Any] = json.loads(line)
    return told


def read_until(word: str, process: subprocess.Popen[str]) -> str:
    """Its output up to the line that holds `word`."""
    lines = []
    for line in output(process):
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError(f"never said {word!r}: {''.join(lines)}")


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    """Its exit code and last words."""
    process.send_signal(number)
    rest = output(process).read()
    return process.wait(COMMAND_S), rest


def gone(pid: int) -> bool:
    """Whether the process ends within some seconds; one that only waits to be collected has ended."""
    until = time.monotonic() + GONE_S
    while time.monotonic() < until:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        if state.stdout.strip()[:1] in {"", "Z"}:
            return True
        time.sleep(0.05)
    return False
