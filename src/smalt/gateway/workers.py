"""`smalt serve --workers N`: a parent that owns the socket, and N workers that accept from it.

Workers are fresh interpreters, not forks: the parent has read settings and may have threads, keyrings and TLS
loaded, which do not all survive a fork (on macOS they abort the child), and one that is started again later
shall not begin with what the parent remembers of an older state. It costs half a second and their own memory.

What a worker needs to know comes as one line of JSON on its standard input, which stays open as long as the
parent lives. It names a pipe, on which the worker says that it serves: what modules print is no business of
the parent's, and comes on its standard error.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from smalt.config import Settings
from smalt.errors import SmaltError
from smalt.gateway.current import MadeKeys
from smalt.gateway.listening import listening, url
from smalt.gateway.server import Place, Serving
from smalt.gateway.siblings import Siblings

START_S = 120.0
FIRST_PAUSE_S = 0.1  # before a worker that died is started again; doubled each time
LONGEST_PAUSE_S = 30.0
CALM_S = 60.0  # a worker that has lived so long begins with the first pause again

STANDARD_ERROR: Final = 2
LONGEST_ANNOUNCEMENT: Final = 1 << 24  # bytes

logger = logging.getLogger("smalt.gateway")


def serve_workers(
    settings: Settings, announce: Callable[[Serving], None], command: Sequence[str], count: int
) -> None:
    """Serve until SIGINT or SIGTERM with `count` workers, started by `command`. Raises ConfigurationError if
    the address cannot be had, SmaltError if workers do not come up."""
    gateway, made = settings.gateway, MadeKeys.new()
    with (
        listening(gateway.address) as listener,
        tempfile.TemporaryDirectory(prefix="smalt-") as folder,
        asyncio.Runner() as runner,
    ):
        address = url(listener, tls=gateway.tls is not None)

        def serving(models: Sequence[str]) -> None:
            keys = None if gateway.keys else made.gateway, None if gateway.admin_key else made.admin
            announce(Serving(address, tuple(models), *keys))

        runner.run(_Parent(listener, Path(folder), made, command).run(count, serving))


def take_place(line: bytes) -> tuple[Place, int]:
    """What the parent tells a worker, and the pipe for `tell_parent`."""
    told = json.loads(line)
    os.set_inheritable(told["pipe"], False)  # noqa: FBT003  it takes no name
    place = Place(
        listener=socket.socket(fileno=told["listener"]),
        made=MadeKeys(told["gateway_key"], told["admin_key"]),
        siblings=Siblings(Path(told["folder"]), told["number"], told["count"]),
    )
    return place, told["pipe"]


def tell_parent(pipe: int, serving: Serving) -> None:
    """What a worker says when it serves."""
    with os.fdopen(pipe, "w") as parent:
        parent.write(json.dumps({"models": serving.models}) + "\n")


class _Parent:
    """`_serving`: the workers that do, by number. `_ending`: the signals of the end, once it has begun."""

    def __init__(self, listener: socket.socket, folder: Path, made: MadeKeys, command: Sequence[str]) -> None:
        self._listener = listener
        self._folder = folder
        self._made = made
        self._command = command
        self._processes: dict[int, Process] = {}
        self._serving: set[int] = set()
        self._announced = False
        self._ending = asyncio.Event()

    async def run(self, count: int, serving: Callable[[Sequence[str]], None]) -> None:
        """Until all workers have ended."""
        loop = asyncio.get_running_loop()
        for sent in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sent, self._end, sent)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)

        def ready(number: int, models: Sequence[str]) -> None:
            self._serving.add(number)
            if len(self._serving) == count and not self._announced:
                self._announced = True
                serving(models)

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, count + 1):
                    group.create_task(self._keep(number, count, ready))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _keep(self, number: int, count: int, ready: Callable[[int, Sequence[str]], None]) -> None:
        """One worker after the other in this place. Raises SmaltError where that is hopeless."""
        pause_s = FIRST_PAUSE_S
        while not self._ending.is_set():
            started_s = monotonic()
            served, how = await self._one(number, count, ready)
            if self._ending.is_set():
                return
            if not served and not (self._announced and self._serving):
                raise SmaltError(f"a worker ended at its start ({how}); what it said stands above")
            if monotonic() - started_s > CALM_S:
                pause_s = FIRST_PAUSE_S
            logger.warning("worker %d ended (%s); it is started again in %g s", number, how, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _one(
        self, number: int, count: int, ready: Callable[[int, Sequence[str]], None]
    ) -> tuple[bool, str]:
        """A worker from its start to its end: whether it served, and how it ended."""
        try:
            process, pipe = await self._start(number, count)
        except OSError as error:
            return False, f"it cannot be started: {error.strerror}"
        models = await _announced(process, pipe)
        if models is not None:
            ready(number, models)
        code = await process.wait()
        self._serving.discard(number)
        return models is not None, _how(code)

    async def _start(self, number: int, count: int) -> tuple[Process, int]:
        """With the end of the pipe on which it will say that it serves. Raises OSError."""
        listener = self._listener.fileno()
        pipe, its_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=STANDARD_ERROR,
                pass_fds=[listener, its_end],
                process_group=0,  # Ctrl-C reaches the parent alone, which passes it on
            )
        except BaseException:
            os.close(pipe)
            raise
        finally:
            os.close(its_end)
        self._processes[number] = process
        told = {
            "listener": listener,
            "pipe": its_end,
            "folder": str(self._folder),
            "number": number,
            "count": count,
            "gateway_key": self._made.gateway,
            "admin_key": self._made.admin,
        }
        assert process.stdin  # noqa: S101  narrows the type
        process.stdin.write(json.dumps(told).encode() + b"\n")
        if self._ending.is_set():
            process.terminate()
        return process, pipe

    def _end(self, sent: signal.Signals) -> None:
        """The workers still have the socket, and close it in time; without them nobody would accept."""
        self._ending.set()
        self._listener.close()
        self._pass_on(sent)

    def _pass_on(self, sent: signal.Signals) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(sent)


async def _announced(process: Process, pipe: int) -> Sequence[str] | None:
    """Its models, once it serves; None if it does not come to that."""
    reader = asyncio.StreamReader(LONGEST_ANNOUNCEMENT)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0)
    )
    try:
        line = await asyncio.wait_for(reader.readline(), START_S)
    except TimeoutError:
        process.kill()
        return None
    finally:
        transport.close()
    told: Mapping[str, Any] = json.loads(line) if line else {}
    return told.get("models")


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name
