"""The log of a process that serves: every line written by a thread of its own, as text or as JSON."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from io import FileIO, RawIOBase
from typing import Any, Final, Literal

import msgspec

from smalt.observe.background import Background
from smalt.observe.call_lines import Line, line_of
from smalt.types import CallBegun, CallRecord

Form = Literal["text", "json"]
Told = logging.LogRecord | CallBegun | CallRecord

STDERR: Final = 2
ATOMIC_BYTES: Final = 4_096  # that a pipe takes in one piece (POSIX: PIPE_BUF, of Linux)
CLOSES_WITHIN_S: Final = 2.0
LOST: Final = "{} lines of the log were lost: they came faster than they are written"
_OF_EVERY_RECORD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class TextFormatter(logging.Formatter):
    """`2026-11-21 23:40:00,123 INFO ...`, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def call(self, line: Line) -> str:
        """The line of a call, without a detour over a LogRecord."""
        at = line.at.astimezone()
        return f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} INFO {line.what}: {line.keys}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time` (UTC), `level`, `logger`, `message`, `exception` where there is one,
    and whatever attributes the record was given."""

    def format(self, record: logging.LogRecord) -> str:
        keys = {key: value for key, value in vars(record).items() if key not in _OF_EVERY_RECORD}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            keys["exception"] = record.exc_text
        at = datetime.fromtimestamp(record.created, UTC)
        return _json(at, record.levelname.lower(), record.name, record.getMessage(), keys)

    def call(self, line: Line) -> str:
        """The line of a call; its message does not say the keys once more."""
        return _json(line.at, "info", line.logger, line.what, line.keys)


def _json(at: datetime, level: str, logger: str, message: str, keys: Mapping[str, Any]) -> str:
    time = at.isoformat(timespec="milliseconds")
    told = {"time": time, "level": level, "logger": logger, "message": message, **keys}
    return msgspec.json.encode(told, enc_hook=str).decode()


class LogWriter(logging.Handler):
    """A handler that nobody waits for, not even while `stream` takes nothing: what does not fit into its
    queue is lost and counted. `put`: a sink of calls. Make it after a fork; close it to write what is left.
    `stream`: absent, standard error past Python's own buffer, whose lock would keep a process from ending
    while nobody reads.
    """

    def __init__(self, form: Form, stream: RawIOBase | None = None) -> None:
        super().__init__()
        self._form = JsonFormatter() if form == "json" else TextFormatter()
        self._stream = stream or FileIO(STDERR, "wb", closefd=False)
        self._background: Background[Told] = Background(self._write, "smalt-log")
        self._told_lost = 0

    @property
    def lost(self) -> int:
        """Lines, since the start."""
        return self._background.lost

    def put(self, told: CallBegun | CallRecord) -> None:
        """What is written of it is made up in the background, too."""
        self._background.put(told)

    def emit(self, record: logging.LogRecord) -> None:
        """Arguments may change until the line is written, and exceptions hold frames: both are text now."""
        record = copy(record)
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text, record.exc_info = self._form.formatException(record.exc_info), None
        self._background.put(record)

    def close(self) -> None:
        self._background.close(CLOSES_WITHIN_S)
        super().close()

    def _write(self, batch: Sequence[Told]) -> int:
        lines = [self._line(told) for told in batch]
        lost = self.lost
        if lost > self._told_lost:
            lines.append(self._form.format(_warning(LOST.format(lost - self._told_lost))))
            self._told_lost = lost
        return 0 if all(map(self._written, _pieces(lines))) else len(batch)

    def _written(self, data: bytes) -> bool:
        """Whether the stream took it; one that does not block may be full."""
        while data:
            taken = self._stream.write(data)
            if not taken:
                return False
            data = data[taken:]
        return True

    def _line(self, told: Told) -> str:
        """One that cannot be put into words does not take the others along."""
        try:
            if isinstance(told, logging.LogRecord):
                return self._form.format(told)
            return self._form.call(line_of(told))
        except Exception as error:  # noqa: BLE001  attributes are whatever a program gave
            return self._form.format(_warning(f"a line of the log has no form: {type(error).__name__}"))


def _pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Whole lines together: several workers may write to one pipe."""
    piece = b""
    for line in lines:
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if len(piece) + len(data) > ATOMIC_BYTES:
            yield piece
            piece = b""
        piece += data
    yield piece


def _warning(text: str) -> logging.LogRecord:
    return logging.LogRecord("smalt.log", logging.WARNING, "", 0, text, None, None)


@contextmanager
def log_of_process(form: Form) -> Iterator[LogWriter]:
    """Every line of this process goes to stderr in this form."""
    writer, root = LogWriter(form), logging.getLogger()
    root.addHandler(writer)
    try:
        yield writer
    finally:
        root.removeHandler(writer)
        writer.close()
