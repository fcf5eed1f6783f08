import io
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.observe.test_call_lines import BEGUN, ENDED

from smalt.observe import background
from smalt.observe.writer import Form, LogWriter, log_of_process

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class Kept(io.RawIOBase):
    """Takes a few bytes at a time, as a pipe may."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: "Buffer", /) -> int:
        self._parts.append(bytes(data)[:100])
        return len(self._parts[-1])

    @property
    def said(self) -> str:
        return b"".join(self._parts).decode()


def written(form: Form, *, told: list[Any]) -> list[str]:
    stream = Kept()
    writer = LogWriter(form, stream)
    for one in told:
        if isinstance(one, logging.LogRecord):
            writer.handle(one)
        else:
            writer.put(one)
    writer.close()
    return stream.said.splitlines()


def record(text: str, *args: object, **attributes: object) -> logging.LogRecord:
    made = logging.LogRecord("smalt.calls", logging.WARNING, "", 0, text, args, None)
    made.created, made.msecs = 1_772_366_400.5, 500.0
    vars(made).update(attributes)
    return made


def test_json_lines() -> None:
    """One object each, with the attributes a record was given; the keys of calls once."""
    lines = written("json", told=[record("%s: slow", "east/a", quota=120_000), BEGUN, ENDED])
    trouble, begun, ended = map(json.loads, lines)
    assert trouble == {
        "time": "2026-03-01T12:00:00.500+00:00",
        "level": "warning",
        "logger": "smalt.calls",
        "message": "east/a: slow",
        "quota": 120_000,
    }
    assert (begun["logger"], begun["message"], begun["request_id"]) == (
        "smalt.requests",
        "call began",
        "id-1",
    )
    assert (ended["time"], ended["cost_usd"]) == ("2026-03-01T12:00:01.250+00:00", "0.00045")


def test_text_lines() -> None:
    """Time, level, words; of calls the keys."""
    trouble, begun = written("text", told=[record("east/a: slow"), BEGUN])
    assert trouble.endswith(",500 WARNING east/a: slow")
    assert " INFO call began: request_id=id-1 principal=ci " in begun


def test_an_exception_is_written_with_its_line() -> None:
    """In JSON on the same line; the record keeps it for other handlers."""
    try:
        raise ValueError("boom")
    except ValueError:
        failed = logging.LogRecord("x", logging.ERROR, "", 0, "it failed", None, sys.exc_info())
    (line,) = map(json.loads, written("json", told=[failed]))
    assert line["message"] == "it failed"
    assert line["exception"].endswith("ValueError: boom")
    assert failed.exc_info is not None
    assert written("text", told=[failed])[-1] == "ValueError: boom"


def test_arguments_are_those_of_the_moment() -> None:
    """Not those of when the line is written."""
    names, stream = ["east"], Kept()
    writer = LogWriter("text", stream)
    writer.handle(record("rests: %s", names))
    names.append("sweden")
    writer.close()
    assert stream.said.endswith("rests: ['east']\n")


def test_a_line_that_has_no_form_takes_no_other_along() -> None:
    """What a program gave as an attribute may be anything."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    lines = written("json", told=[record("one", what=Broken()), record("two")])
    assert [json.loads(line)["message"] for line in lines] == [
        "a line of the log has no form: RuntimeError",
        "two",
    ]


def test_a_stream_that_takes_nothing_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is lost, counted, and told once it can be."""
    go_on, stuck = threading.Event(), threading.Event()

    class Stuck(Kept):
        def write(self, data: "Buffer", /) -> int:
            stuck.set()
            assert go_on.wait(5)
            return super().write(data)

    monkeypatch.setattr(background.Background.__init__, "__kwdefaults__", {"most": 2})
    stream = Stuck()
    writer = LogWriter("text", stream)
    writer.put(BEGUN)
    assert stuck.wait(5)
    for _ in range(5):
        writer.put(BEGUN)
    assert writer.lost == 3
    go_on.set()
    writer.close()
    lines = stream.said.splitlines()
    assert len(lines) == 1 + 2 + 1
    assert lines[-1].endswith("WARNING 3 lines of the log were lost: they came faster than they are written")


def test_the_log_of_a_process(capfd: pytest.CaptureFixture[str]) -> None:
    """Every logger's lines go to stderr while it lasts, and are written at its end."""
    with log_of_process("json"):
        logging.getLogger("uvicorn.error").warning("of others, too")
    logging.getLogger("uvicorn.error").warning("too late")
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [json.loads(line)["message"] for line in lines] == ["of others, too"]


def test_a_full_stream_that_does_not_block_costs_lines() -> None:
    """They are counted."""

    class Full(io.RawIOBase):
        def write(self, _data: "Buffer", /) -> None:
            return None

    writer = LogWriter("text", Full())
    writer.put(BEGUN)
    writer.close()
    assert writer.lost == 1


def test_lines_of_several_processes_do_not_mix() -> None:
    """Each write is a number of whole lines that a pipe takes in one piece."""
    writes: list[bytes] = []

    class Pipe(io.RawIOBase):
        def write(self, data: "Buffer", /) -> int:
            writes.append(bytes(data))
            return len(writes[-1])

    writer = LogWriter("json", Pipe())
    told = [record("x" * size) for size in (100, 3_000, 3_000, 900, 9_000, 50)]
    for one in told:
        writer.handle(one)
    writer.close()
    assert all(write.endswith(b"\n") for write in writes)
    assert [write.count(b"\n") for write in writes if write] == [2, 2, 1, 1]
    assert [len(json.loads(line)["message"]) for line in b"".join(writes).splitlines()] == [
        100,
        3_000,
        3_000,
        900,
        9_000,
        50,
    ]
