import asyncio
from collections.abc import Callable

import pytest
from tests.unit.dispatch.fakes import Office, Wired, make_facts

from smalt.dispatch.connections import Response
from smalt.dispatch.relay import relay_bytes, relay_events
from smalt.dispatch.watched import WatchedStream
from smalt.errors import StreamInterrupted
from smalt.types import Usage

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
ROLE = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
TEXT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Caller:
    """A writer that notes what it was told. `on_write` is called with every piece."""

    def __init__(self, on_write: Callable[[bytes], None] = lambda _data: None) -> None:
        self.got = b""
        self.ends: list[str] = []
        self.source: Response | None = None
        self._on_write = on_write

    def write(self, data: bytes) -> None:
        if data:
            self._on_write(data)
            self.got += data

    def end(self) -> None:
        self.ends.append("end")

    def abort(self) -> None:
        self.ends.append("abort")

    def throttle(self, source: Response) -> None:
        self.source = source


class Relaying:
    """A relay that has begun. `first`: events that came before it. `held`: bytes nobody has taken yet."""

    def __init__(self, caller: Caller, *, events: bool = True, first: bytes = b"", held: bytes = b"") -> None:
        self.caller, self.wired, self.office = caller, Wired(), Office()
        self.source = self.wired.request()
        self.wired.receive(HEAD + held)
        call = self.office.answered(make_facts(stream=events))
        if events:
            watched = WatchedStream(call)
            watched.begin(first)
            relay = relay_events(self.source, watched, caller, idle_s=10)
        else:
            relay = relay_bytes(self.source, call, caller, idle_s=10)
        self.task = asyncio.ensure_future(relay)

    async def begun(self) -> "Relaying":
        await asyncio.sleep(0)
        return self

    async def failed(self) -> BaseException:
        (error,) = await asyncio.gather(self.task, return_exceptions=True)
        assert isinstance(error, BaseException)
        return error


async def test_events_pass_and_the_call_is_finished() -> None:
    """All of it once, the usage for the record."""
    relaying = await Relaying(Caller(), held=chunk(TEXT)).begun()
    assert relaying.caller.source is relaying.source
    assert relaying.caller.got == TEXT
    relaying.wired.receive(chunk(STOP + USAGE), chunk(DONE) + END)
    await relaying.task
    assert (relaying.caller.got, relaying.caller.ends) == (TEXT + STOP + DONE, ["end"])
    (record,) = relaying.office.records
    assert (record.usage, record.error) == (Usage(9, 4), None)
    assert relaying.wired.idle
    assert relaying.office.in_flight == 0


async def test_what_came_before_goes_first() -> None:
    """The preamble that was held, then what follows."""
    relaying = await Relaying(Caller(), first=ROLE, held=chunk(TEXT)).begun()
    assert relaying.caller.got == ROLE + TEXT
    relaying.wired.receive(chunk(STOP + DONE) + END)
    await relaying.task
    assert relaying.caller.got == ROLE + TEXT + STOP + DONE


async def test_a_stream_that_breaks_gets_an_error_event() -> None:
    """Whole events, the error event, the end."""
    relaying = await Relaying(Caller()).begun()
    relaying.wired.receive(chunk(TEXT + b'data: {"cho'))
    relaying.wired.lose(ConnectionResetError())
    await relaying.task
    assert relaying.caller.got.startswith(TEXT + b'data: {"error":')
    assert relaying.caller.ends == ["end"]
    assert relaying.office.records[0].error == StreamInterrupted.code


@pytest.mark.parametrize("events", [True, False])
async def test_a_caller_who_leaves_takes_the_upstream_along(events: bool) -> None:
    """Cancelled: the connection dies, the call is abandoned with an estimate, the writer left alone."""
    relaying = await Relaying(Caller(), events=events).begun()
    relaying.wired.receive(chunk(TEXT))
    relaying.task.cancel()
    assert isinstance(await relaying.failed(), asyncio.CancelledError)
    assert relaying.wired.transport.closing
    assert relaying.caller.ends == []
    (record,) = relaying.office.records
    assert (record.error, record.usage, record.estimated) == ("abandoned", Usage(84, int(events)), True)
    assert relaying.office.in_flight == 0


@pytest.mark.parametrize("events", [True, False])
@pytest.mark.parametrize("when", ["first", "held", "arriving"])
async def test_a_writer_that_breaks_is_not_the_upstreams_failure(events: bool, when: str) -> None:
    """Its error goes to whoever runs the relay; the upstream is dropped and nothing more is written."""
    pieces: list[bytes] = []

    def refuse(data: bytes) -> None:
        pieces.append(data)
        raise ValueError("the caller's end is broken")

    first = TEXT if events and when == "first" else b""
    relaying = Relaying(
        Caller(refuse), events=events, first=first, held=b"" if when == "arriving" else chunk(TEXT)
    )
    await relaying.begun()
    if when == "arriving":
        relaying.wired.receive(chunk(TEXT), chunk(STOP))
    assert isinstance(await relaying.failed(), ValueError)
    assert pieces == [TEXT]
    assert relaying.wired.transport.closing
    (record,) = relaying.office.records
    assert record.error == "abandoned"
    assert relaying.office.in_flight == 0


async def test_bytes_pass_whole() -> None:
    """An answer too large to hold: forwarded as it is, charged by estimate."""
    relaying = await Relaying(Caller(), events=False, held=chunk(b"{")).begun()
    relaying.wired.receive(chunk(b"}") + END)
    await relaying.task
    assert (relaying.caller.got, relaying.caller.ends) == (b"{}", ["end"])
    (record,) = relaying.office.records
    assert (record.usage, record.estimated, record.error) == (Usage(84), True, None)


async def test_bytes_that_break_break_the_callers_connection() -> None:
    """There is no other way to say that the rest is missing."""
    relaying = await Relaying(Caller(), events=False).begun()
    relaying.wired.receive(chunk(b"{"))
    relaying.wired.lose(ConnectionResetError())
    await relaying.task
    assert relaying.caller.ends == ["abort"]
    (record,) = relaying.office.records
    assert record.error == StreamInterrupted.code
    assert relaying.office.in_flight == 0


async def test_a_stream_that_falls_silent_ends() -> None:
    """The limit between two pieces holds."""
    relaying = await Relaying(Caller()).begun()
    relaying.wired.clock.move(10)
    await relaying.task
    assert b"the stream was silent for 10 s" in relaying.caller.got
    assert relaying.caller.ends == ["end"]
    assert relaying.wired.clock.pending == 0
