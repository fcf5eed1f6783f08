"""Commands that run until they are told to end, and commands that run other commands."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

from smalt.errors import MissingExtra, SmaltError

START_S = 30.0
END_S = 5.0


@contextmanager
def needs(what: str, extra: str) -> Iterator[None]:
    """Around imports: a package that is not installed becomes one line with the command."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "smalt":
            raise
        raise MissingExtra(what, extra) from None


def exit_on(*signals: signal.Signals, code: int = 0) -> None:
    """Let these signals end the process by SystemExit, so that everything is put away."""

    def end(_number: int, _frame: object) -> NoReturn:
        sys.exit(code)

    for number in signals:
        signal.signal(number, end)


def end_with_stdin() -> None:
    """End as if by Ctrl-C when standard input closes: however the parent dies, this process follows."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, name="smalt-parent", daemon=True).start()


@contextmanager
def child(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run `smalt ARGUMENTS` beside this process; yields the one line of JSON it announces itself with.

    The child has a process group of its own, so that Ctrl-C reaches this process first and the children
    end in order. Raises SmaltError, in the child's own words, if it does not start.
    """
    command = [sys.executable, "-P", "-m", "smalt", *arguments, "--json", "--end-with-stdin"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603  this very program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, process_group=0
        ) as process,
    ):
        try:
            yield _announced(arguments[0], process, complaints)
        finally:
            _end(process)


def _announced(name: str, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> dict[str, Any]:
    assert process.stdout  # noqa: S101  narrows the type
    patience = threading.Timer(START_S, process.kill)
    patience.start()
    try:
        line = process.stdout.readline()
    finally:
        patience.cancel()
    if not line:
        process.wait()
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()
        raise SmaltError(f"smalt {name} did not start: {said.removeprefix('smalt: ') or 'it said nothing'}")
    announced: dict[str, Any] = json.loads(line)
    return {**announced, "pid": process.pid}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # a gateway takes its time to end by SIGTERM
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
