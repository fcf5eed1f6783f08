"""Faults on the wire, byte by byte, and the control plane that sets them up."""

import gzip
import http.client
import json
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from smalt.emulator.fleet import load_fleet
from smalt.emulator.testing import Handle, running

Until = Callable[[Callable[[], bool]], None]
Wire = Any  # the one of conftest.py, which cannot be imported

CLOSE = "connection: close"


def statuses(wire: Wire, count: int, **body: object) -> list[int]:
    return [int(wire.exchange(wire.request(CLOSE, **body)).split()[1]) for _ in range(count)]


def test_a_reset_is_a_reset(wire: Wire, emulator: Handle) -> None:
    """What went out before arrives, then the connection is reset, not closed."""
    emulator.fault("reset", at="in_body", chunks=4)
    read = b""
    with closing(wire.connect()) as sock:
        sock.sendall(wire.request(stream=True))
        while read.count(b"data: ") < 4:
            read += sock.recv(65_536)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert read.count(b"data: ") == 4
    assert emulator.log()[-1]["outcome"] == "cut"


@pytest.mark.parametrize(("at", "events"), [("before_head", 0), ("in_body", 4)])
def test_a_reset_reaches_through_tls(wire: Wire, at: str, events: int) -> None:
    """Without the farewell of TLS: the connection below it is gone."""
    with running(tls=True) as handle:
        handle.fault("reset", at=at, chunks=4)
        secure = type(wire)(handle)
        context = ssl.create_default_context(cafile=handle.ca_file)
        with context.wrap_socket(
            secure.connect(), server_hostname="localhost", suppress_ragged_eofs=False
        ) as sock:
            sock.sendall(secure.request(stream=True))
            read = b""
            while read.count(b"data: ") < events:
                read += sock.recv(65_536)
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                sock.recv(1)


def test_half_a_head_is_half_a_head(wire: Wire, emulator: Handle) -> None:
    """It begins well and never ends; the answer was generated, so it is billed."""
    emulator.fault("close", at="in_head")
    read = wire.exchange(wire.request())
    assert read.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in read
    (line,) = emulator.bill()["entries"]
    assert (line["output_tokens"] > 0, line["complete"]) == (True, False)


def test_what_ends_before_its_head_is_not_billed(wire: Wire, emulator: Handle) -> None:
    """The caller cannot know that; the bill does."""
    emulator.fault("close", at="before_head")
    assert wire.exchange(wire.request()) == b""
    (entry,) = emulator.log()
    assert (entry["outcome"], entry["status"]) == ("cut", None)
    assert emulator.bill()["entries"] == []


def test_an_answer_short_of_its_length(wire: Wire, emulator: Handle) -> None:
    """The head promises more than comes."""
    emulator.fault("close", at="in_body")
    head, _, body = wire.exchange(wire.request()).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    assert len(body) == length // 2


def test_old_http_ends_with_its_connection(wire: Wire, emulator: Handle) -> None:
    """No length and no chunks, for whole answers and for streams."""
    emulator.fault("http_1_0")
    for stream in (False, True):
        head, _, body = wire.exchange(wire.request(stream=stream)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK")
        assert b"connection: close" in head
        assert b"content-length" not in head
        assert b"transfer-encoding" not in head
        assert body.startswith(b"data: {" if stream else b'{"id"')


def test_refusals_are_struck_as_well(wire: Wire, emulator: Handle) -> None:
    """A 404 can come compressed; what only changes what is said leaves it alone."""
    emulator.fault("gzip")
    emulator.fault("filtered")
    emulator.fault("clean_cut")
    address = urlsplit(emulator.url("east")).netloc
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        path = "/openai/deployments/none/chat/completions?api-version=2024-10-21"
        connection.request("POST", path, json.dumps({"stream": True}), {"api-key": wire.key})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-encoding"]) == (404, "gzip")
        assert json.loads(gzip.decompress(answer.read()))["error"]["code"] == "DeploymentNotFound"


@pytest.mark.parametrize("sent", ["at once", "by and by"])
def test_a_body_is_read_slowly(wire: Wire, emulator: Handle, sent: str) -> None:
    """The answer waits until the body would have come; the log has the whole of it."""
    emulator.fault("slow_read", bytes_per_s=20_000)
    request = wire.request(CLOSE, user="u" * 4_000)
    started = time.monotonic()
    if sent == "at once":
        answer = wire.exchange(request)
    else:
        answer = wire.exchange(*(request[at : at + 500] for at in range(0, len(request), 500)))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert 0.2 <= time.monotonic() - started < 2
    assert emulator.log()[-1]["body"]["user"] == "u" * 4_000


def test_a_slow_reader_holds_the_writer_back(wire: Wire, emulator: Handle) -> None:
    """More than the buffers between take is not taken."""
    emulator.fault("slow_read", bytes_per_s=1_000)
    with closing(wire.connect()) as sock:
        sock.setsockopt(1, 7, struct.pack("i", 4_096))  # SOL_SOCKET, SO_SNDBUF
        sock.sendall(wire.head("content-length: 4000000"))
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.sendall(b"x" * 4_000_000)


def test_an_idle_connection_closes_as_a_request_arrives(wire: Wire, emulator: Handle) -> None:
    """First come, first served; the next gets the end of the connection, and was never logged."""
    emulator.fault("close_idle")
    with closing(wire.connect()) as sock:
        sock.sendall(wire.request())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        sock.sendall(wire.request())
        while sock.recv(65_536):
            pass
    assert len(emulator.log()) == 1


def test_a_fault_finds_the_deployment_in_path_or_body(wire: Wire, emulator: Handle) -> None:
    """On v1 the body names it; other deployments are spared."""
    emulator.fault("error", error="server_error", deployment="gpt-4o-mini-prod", operation="chat/completions")
    mini = json.dumps({"model": "gpt-4o-mini-prod", "messages": [{"role": "user", "content": "hi"}]}).encode()
    for target in ("/openai/v1/chat/completions", CHAT_MINI):
        head = wire.head(f"content-length: {len(mini)}", CLOSE, target=target)
        assert wire.exchange(head + mini).split()[1] == b"500"
    assert statuses(wire, 1) == [200]


CHAT_MINI = "/openai/deployments/gpt-4o-mini-prod/chat/completions?api-version=2024-10-21"


def test_faults_strike_by_count(wire: Wire, emulator: Handle) -> None:
    """The first is spared, two are struck."""
    emulator.fault("error", error="model_overloaded", skip=1, times=2)
    assert statuses(wire, 5) == [200, 503, 503, 200, 200]
    (fault,) = emulator.faults()
    assert (fault["seen"], fault["hits"]) == (5, 2)


def test_the_switch_comes_before_the_script(wire: Wire, emulator: Handle) -> None:
    """While a resource's own error lasts, no fault is used up."""
    emulator.fault("error", error="model_overloaded", times=1)
    emulator.set("east", "error", error="server_error", count=1)
    assert statuses(wire, 3) == [500, 503, 200]


def test_faults_are_listed_and_dropped(wire: Wire, emulator: Handle) -> None:
    """One by one, or all; a reset drops them, too."""
    first = emulator.fault("gzip", resource="east")
    second = emulator.fault("error", error="server_error")
    told = [(fault["id"], fault["kind"]) for fault in emulator.faults()]
    assert told == [
        (first, "gzip"),
        (second, "error"),
    ]
    assert statuses(wire, 1) == [500]
    emulator.drop_faults(second)
    assert statuses(wire, 1) == [200]
    with pytest.raises(ValueError, match=f"there is no fault {second}"):
        emulator.drop_faults(second)
    emulator.drop_faults()
    assert emulator.faults() == []
    emulator.fault("gzip")
    emulator.reset()
    assert emulator.faults() == []


def test_a_list_of_faults_is_taken_whole_or_not_at_all(emulator: Handle) -> None:
    """One wrong entry, and nothing is set up."""
    address = urlsplit(emulator.control_url).netloc

    def post(body: bytes) -> tuple[int, dict[str, Any]]:
        with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
            connection.request("POST", "/_emulator/faults", body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    status, told = post(b'[{"kind": "gzip"}, {"kind": "gzap"}]')
    assert (status, "got kind 'gzap'" in told["error"], emulator.faults()) == (400, True, [])
    assert post(b"{")[0] == 400
    status, told = post(b'[{"kind": "gzip"}, {"kind": "hang"}]')
    assert (status, [fault["kind"] for fault in told["faults"]]) == (200, ["gzip", "hang"])


FLEET = """
control_port: 0
latency_ms: 0
token_ms: 0
speed: 100
resources:
  east:
    port: 0
    region: eastus
    keys: [east-key]
    faults:
      - {kind: error, error: gateway_timeout, after_s: 30, for_s: 30}
    deployments:
      gpt-4o-prod: {model: gpt-4o, capacity: 100, faults: [{kind: error, error: server_error, times: 1}]}
      ptu: {model: gpt-4o, sku: ProvisionedManaged, ptu: 50, spillover: gpt-4o-prod}
      late: {model: gpt-4o, capacity: 100, content_filter: async}
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Handle]:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET, encoding="utf-8")
    with running(load_fleet(path)) as handle:
        yield handle


def ask(emulator: Handle, deployment: str, **body: object) -> tuple[http.client.HTTPMessage, int, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(emulator.url("east")).netloc, timeout=10)) as connection:
        path = f"/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
        content = json.dumps({"messages": [{"role": "user", "content": "hi"}], **body})
        connection.request("POST", path, content, {"api-key": "east-key"})
        answer = connection.getresponse()
        return answer.headers, answer.status, answer.read()


def test_the_fleet_file_s_faults_come_back_with_a_reset(scripted: Handle) -> None:
    """Each at its place; a window counts in seconds of the emulator's clock, here a hundredth of ours."""
    for _ in range(2):
        assert [ask(scripted, "gpt-4o-prod")[1] for _ in range(2)] == [500, 200]
        time.sleep(0.35)
        assert ask(scripted, "gpt-4o-prod")[1] == 504
        time.sleep(0.35)
        assert ask(scripted, "gpt-4o-prod")[1] == 200
        scripted.reset()


def test_a_fault_of_the_spillover_deployment_strikes_there(scripted: Handle) -> None:
    """The provisioned side's own error comes back, with the status of the other."""
    scripted.fault("error", error="service_unavailable", deployment="ptu")
    headers, status, _ = ask(scripted, "ptu")
    assert (status, headers["x-ms-spillover-error"]) == (503, "500")
    headers, status, _ = ask(scripted, "ptu")
    assert (status, headers["x-ms-spillover-from-deployment"]) == (200, "ptu")


def test_a_deployment_may_filter_asynchronously(scripted: Handle) -> None:
    """Offsets count from the start of the prompt; whole answers are as ever."""
    frames = [
        json.loads(line[6:]) for line in ask(scripted, "late", stream=True)[2].splitlines() if b"{" in line
    ]
    spans = [
        choice["content_filter_offsets"]
        for frame in frames
        for choice in frame["choices"]
        if "content_filter_offsets" in choice
    ]
    assert spans[0]["start_offset"] == len("hi")
    (choice,) = json.loads(ask(scripted, "late")[2])["choices"]
    assert spans[-1]["end_offset"] == len("hi") + len(choice["message"]["content"])
    assert choice["content_filter_results"]["hate"]["severity"] == "safe"
