"""What a test can make go wrong, and what is recorded and billed when it does."""

import http.client
import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from smalt.emulator.refusals import catalogue
from smalt.emulator.testing import Handle

Until = Callable[[Callable[[], bool]], None]
Wire = Any  # the one of conftest.py, which cannot be imported


def read_events(sock: socket.socket, count: int) -> bytes:
    """Read until `count` events of a stream are there."""
    read = b""
    while read.count(b"data: ") < count:
        read += sock.recv(65_536)
    return read


def finished(emulator: Handle) -> bool:
    return emulator.log()[-1]["finished_s"] is not None


def test_a_cancelled_stream_is_noticed_and_billed_at_once(wire: Wire, emulator: Handle, until: Until) -> None:
    """The caller hangs up: what was generated so far is billed, and the stream stops within milliseconds."""
    emulator.set("east", token_ms=20)
    with closing(wire.connect()) as sock:
        sock.sendall(wire.request(stream=True))
        read_events(sock, 6)
        hung_up_s = emulator.state()["uptime_s"]
    until(lambda: finished(emulator))
    (entry,) = emulator.log()
    assert (entry["outcome"], entry["status"]) == ("cancelled", 200)
    assert entry["finished_s"] - hung_up_s < 0.1
    assert entry["output_tokens"] == entry["chunks"] - 2 >= 4
    (line,) = emulator.bill()["entries"]
    assert (line["output_tokens"], line["complete"]) == (entry["output_tokens"], False)
    assert line["input_tokens"] == entry["input_tokens"] > 0


def test_a_caller_that_leaves_before_the_answer_pays_nothing(
    wire: Wire, emulator: Handle, until: Until
) -> None:
    """A request cut before an answer was generated is recorded, not billed."""
    emulator.set("east", latency_ms=60_000)
    with closing(wire.connect()) as sock:
        sock.sendall(wire.request())
        until(lambda: len(emulator.log()) == 1)
    until(lambda: finished(emulator))
    (entry,) = emulator.log()
    assert (entry["outcome"], entry["status"], entry["head_s"]) == ("cancelled", None, None)
    assert emulator.bill()["totals"]["requests"] == 0


def test_a_slow_reader_slows_the_stream(wire: Wire, emulator: Handle, until: Until) -> None:
    """No more is generated than the caller and the buffers between take; nothing is lost of it."""
    long = [{"role": "user", "content": "word " * 1_000}]  # a long prompt gets long answers
    with closing(wire.connect(buffer_bytes=65_536)) as sock:
        sock.sendall(wire.request("connection: close", stream=True, n=128, messages=long))
        until(lambda: emulator.log()[-1]["chunks"] > 1_000 if emulator.log() else False)
        held = emulator.log()[-1]
        until(lambda: _stands_still(emulator))
        assert held["outcome"] == "streaming"
        assert emulator.log()[-1]["finished_s"] is None
        events = b"".join(iter(lambda: sock.recv(1_000_000), b""))
    assert events.count(b"data: ") == emulator.log()[-1]["chunks"]
    assert emulator.log()[-1]["outcome"] == "answered"


def _stands_still(emulator: Handle) -> bool:
    chunks = emulator.log()[-1]["chunks"]
    return all(emulator.log()[-1]["chunks"] == chunks for _ in range(20))


def test_down_cuts_every_connection_at_once(wire: Wire, emulator: Handle, until: Until) -> None:
    """Waiting requests die unanswered and unbilled, idle connections close, new ones are refused."""
    emulator.set("east", latency_ms=60_000)
    with closing(wire.connect()) as busy, closing(wire.connect()) as idle:
        busy.sendall(wire.request())
        until(lambda: len(emulator.log()) == 1)
        emulator.set("east", "down")
        assert busy.recv(100) == b""
        assert idle.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        wire.connect()
    assert emulator.log()[0]["outcome"] == "cut"
    assert emulator.bill()["totals"]["requests"] == 0
    assert not emulator.state()["resources"]["east"]["listening"]
    assert emulator.state()["resources"]["sweden"]["listening"]


def test_down_bills_the_part_of_a_stream_that_was_sent(wire: Wire, emulator: Handle) -> None:
    """The stream breaks off without its end, and its tokens so far are on the bill."""
    emulator.set("east", token_ms=20)
    with closing(wire.connect()) as sock:
        sock.sendall(wire.request(stream=True))
        read = read_events(sock, 5)
        emulator.set("east", "down")
        read += b"".join(iter(lambda: sock.recv(65_536), b""))
    assert b"[DONE]" not in read
    (entry,) = emulator.log()
    assert (entry["outcome"], entry["chunks"]) == ("cut", read.count(b"data: "))
    assert emulator.bill()["totals"]["output_tokens"] == entry["output_tokens"] == entry["chunks"] - 2


def test_up_listens_on_the_same_port(wire: Wire, emulator: Handle) -> None:
    """After an outage the resource answers where it did before."""
    for _ in range(3):
        emulator.set("east", "down")
        emulator.set("east", "up")
    assert wire.exchange(wire.request("connection: close")).startswith(b"HTTP/1.1 200 OK")


def test_a_reset_brings_a_resource_back(wire: Wire, emulator: Handle) -> None:
    """Switches, log and bill are as at the start."""
    wire.exchange(wire.request("connection: close"))
    emulator.set("east", "down", latency_ms=5)
    emulator.reset()
    state = emulator.state()["resources"]["east"]
    assert (state["mode"], state["listening"], state["latency_ms"], state["requests"]) == ("up", True, 0, 0)
    assert (emulator.log(), emulator.bill()["entries"]) == ([], [])
    assert wire.exchange(wire.request("connection: close")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_named_answer_can_be_given(wire: Wire, emulator: Handle, name: str) -> None:
    """Status, headers and body are those of the catalogue; ids and region are the resource's."""
    canned = catalogue()[name]
    emulator.set("east", "error", error=name, count=1)
    answer = wire.exchange(wire.request("connection: close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == canned.status
    told = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    own = {"apim-request-id", "x-request-id", "x-ms-region"}
    assert {k: told[k] for k in canned.headers if k not in own} == {
        k: v for k, v in canned.headers.items() if k not in own
    }
    assert canned.headers.keys() <= told.keys()
    assert canned.payload in body
    assert body.endswith(b"\r\n0\r\n\r\n") == (canned.stream is not None and not canned.cut)
    assert emulator.log()[-1]["outcome"] == ("cut" if canned.cut else "answered")
    lines = [(line["complete"], line["filtered"]) for line in emulator.bill()["entries"]]
    expected = {"none": [], "prompt": [(True, True)], "partial": [(False, False)], "full": [(True, False)]}
    assert lines == expected[canned.billed]


def test_an_error_lasts_for_its_count(wire: Wire, emulator: Handle) -> None:
    """The next requests fail, then all is well again."""
    emulator.set("east", "error", error="server_error", count=2)
    statuses = [wire.exchange(wire.request("connection: close")).split()[1] for _ in range(3)]
    assert statuses == [b"500", b"500", b"200"]
    assert emulator.state()["resources"]["east"]["mode"] == "up"


def test_a_hanging_resource_accepts_and_is_silent(wire: Wire, emulator: Handle, until: Until) -> None:
    """Nothing comes back until the caller gives up."""
    emulator.set("east", "hang")
    with closing(wire.connect()) as sock:
        sock.settimeout(0.1)
        sock.sendall(wire.request())
        with pytest.raises(TimeoutError):
            sock.recv(1)
    until(lambda: finished(emulator))
    assert emulator.log()[0]["outcome"] == "cancelled"


def test_latency_and_pace_can_be_set(wire: Wire, emulator: Handle) -> None:
    """The head waits for the latency, each chunk for the pace."""
    emulator.set("east", latency_ms=50, token_ms=10)
    wire.exchange(wire.request("connection: close", stream=True, max_tokens=5))
    (entry,) = emulator.log()
    assert entry["head_s"] - entry["arrived_s"] >= 0.05
    assert entry["finished_s"] - entry["head_s"] >= 0.01 * 5


def test_the_peak_of_concurrency_is_counted(wire: Wire, emulator: Handle, until: Until) -> None:
    """The state tells how many requests were in flight at once."""
    emulator.set("east", "hang")
    socks = [wire.connect() for _ in range(5)]
    for sock in socks:
        sock.sendall(wire.request())
    until(lambda: emulator.state()["resources"]["east"]["in_flight"] == 5)
    for sock in socks:
        sock.close()
    until(lambda: emulator.state()["resources"]["east"]["in_flight"] == 0)
    assert emulator.state()["resources"]["east"]["peak_in_flight"] == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "sideways"}, "Invalid enum value 'sideways'"),
        ({"mode": "error"}, "go together"),
        ({"error": "server_error"}, "go together"),
        ({"mode": "error", "error": "nope"}, "there is no error 'nope'; use one of invalid_api_key, "),
        ({"mode": "down", "count": 3}, "count goes with"),
        ({"mode": "hang", "count": 0}, "Expected `int` >= 1"),
        ({"latency_ms": -1}, "Expected `float` >= 0"),
        ({"speed": 1}, "unknown field `speed`"),
        ({"pressure": 1.5}, "Expected `float` <= 1"),
        ({"limit_share": 0}, "Expected `float` > 0"),
    ],
)
def test_a_wrong_switch_is_refused(emulator: Handle, change: dict[str, object], message: str) -> None:
    """The refusal is one clear message, and nothing is changed."""
    before = emulator.state()["resources"]["east"]
    with pytest.raises(ValueError, match=message):
        emulator.set("east", **change)  # type: ignore[arg-type]
    assert emulator.state()["resources"]["east"] == before


def test_the_control_plane_refuses_what_it_does_not_know(emulator: Handle) -> None:
    """Unknown resources, paths and limits are told clearly; the data plane's port has no control paths."""
    with pytest.raises(ValueError, match="there is no resource 'west'; the fleet has east, sweden, japan"):
        emulator.set("west", "down")
    with pytest.raises(ValueError, match="there is no resource 'west'"):
        emulator.log("west")

    def status(url: str, path: str) -> tuple[int, object]:
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())["error"]

    assert status(emulator.control_url, "/_emulator/log?limit=x") == (
        400,
        "limit must be a whole number from 0, got 'x'",
    )
    assert status(emulator.control_url, "/_emulator/nope")[0] == 404
    assert status(emulator.control_url, "/openai/v1/models")[0] == 404
    assert status(emulator.url("east"), "/_emulator/state")[0] == 401
