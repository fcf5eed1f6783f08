"""What faults of HTTP and of the connection make of an answer, step by step."""

import gzip
import zlib
from typing import Any

import pytest

from smalt.emulator.faults.layers import Scene
from smalt.emulator.faults.wire import (
    CloseFault,
    ContentType,
    Delay,
    Gzip,
    GzipBomb,
    HangFault,
    HugeHead,
    OldHttp,
    Redirect,
    ResetFault,
    Split,
    TruncatedJson,
)
from smalt.emulator.steps import Close, Data, End, Hang, Head, Reset, Wait

Play = Any  # the one of conftest.py, which cannot be imported


def test_an_answer_stops_where_it_should(play: Play) -> None:
    """Before, in and after the head, or in the body; nothing follows."""
    head = play().head
    assert play(ResetFault(at="before_head")).without_waits == [Reset()]
    (broken, end) = play(ResetFault(at="in_head")).without_waits
    assert (broken.part, broken.headers, end) == (True, head.headers, Reset())
    assert play(HangFault(at="after_head")).without_waits == [head, Hang()]
    whole = play().body
    assert play(CloseFault(at="in_body")).without_waits == [head, Data(whole[: len(whole) // 2]), Close()]


@pytest.mark.parametrize("chunks", [0, 1, 4])
def test_a_stream_stops_after_its_chunks(play: Play, chunks: int) -> None:
    """The bill knows how many of its tokens went out."""
    stopped = play(ResetFault(at="in_body", chunks=chunks), stream=True)
    assert stopped.without_waits == [*play(stream=True).without_waits[: chunks + 1], Reset()]
    assert stopped.tokens == max(0, chunks - 2)


def test_delays_add_to_the_own_pace(play: Play) -> None:
    """One wait before the head, one after each chunk."""
    steps = play(Delay(before_head_ms=7, between_chunks_ms=3), stream=True).steps
    head = next(index for index, step in enumerate(steps) if isinstance(step, Head))
    assert steps[:head] == [Wait(5), Wait(7)]
    after = [steps[index + 1] for index, step in enumerate(steps) if isinstance(step, Data)]
    assert set(after) == {Wait(3)}
    assert steps.count(Wait(1)) == len(after)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_pieces_lose_nothing(play: Play, size: int, stream: bool) -> None:
    """Events and tokens are the same, and no piece is larger."""
    plain = play(stream=stream, messages=WIDE)
    split = play(Split(every_bytes=size), stream=stream, messages=WIDE)
    pieces = [step.data for step in split.steps if isinstance(step, Data | End)]
    assert max(map(len, pieces)) <= size
    assert (split.body.count(b"data: "), split.tokens) == (plain.body.count(b"data: "), plain.tokens)


WIDE = [{"role": "user", "content": "blåglas"}]


def test_gzip_is_correct_and_flows(play: Play) -> None:
    """Unpacked it is the answer; each event can be unpacked as soon as it is there."""
    packed = play(Gzip())
    assert packed.head.headers["content-encoding"] == "gzip"
    assert "content-length" not in packed.head.headers
    assert b'"object":"chat.completion"' in gzip.decompress(packed.body)
    assert packed.tokens == play().tokens
    unpacker = zlib.decompressobj(wbits=31)
    events = [step for step in play(Gzip(), stream=True).steps if isinstance(step, Data)]
    assert all(unpacker.decompress(event.data).endswith(b"\n\n") for event in events)


def test_a_bomb_is_valid_and_small(play: Play) -> None:
    """It unpacks to its size and is JSON; nothing is billed, since nothing was answered."""
    played = play(GzipBomb(mib=3))
    assert len(played.body) < 10_000
    assert played.head.headers["content-length"] == str(len(played.body))
    unpacked = gzip.decompress(played.body)
    assert len(unpacked) == 3 * 1024 * 1024 + 2
    assert unpacked.strip(b" ")[:1] + unpacked[-1:] == b"{}"
    assert (played.end.billed, played.tokens) == ("none", 0)


def test_a_redirect_names_another_host(play: Play) -> None:
    """Path and query stay; the port is that of the resource it leads to."""
    scene = Scene("east", "models", "/a?b=c", {"east": "http://127.0.0.1:1", "west": "https://127.0.0.1:2"})
    assert play(Redirect(), scene=scene).head.headers["location"] == "http://localhost:1/a?b=c"
    led = play(Redirect(to="west", status=308), scene=scene)
    assert led.head == Head(308, {"location": "https://localhost:2/a?b=c", "content-length": "0"})
    assert led.end == End(b"", "none")


def test_a_wrong_content_type_leaves_the_body(play: Play) -> None:
    """Only that one header differs."""
    played = play(ContentType())
    assert played.head.headers == play().head.headers | {"content-type": "text/html; charset=utf-8"}
    assert played.json["object"] == "chat.completion"


def test_truncated_json_is_good_http(play: Play) -> None:
    """The length is right for what there is of it."""
    played = play(TruncatedJson())
    assert int(played.head.headers["content-length"]) == len(played.body) == len(play().body) // 2
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        _ = played.json


def test_old_http_has_no_length(play: Play) -> None:
    """Only the end of the connection tells the end."""
    head = play(OldHttp()).head
    assert (head.version, "content-length" in head.headers) == ("1.0", False)


def test_a_huge_head_is_as_large_as_asked(play: Play) -> None:
    """Of many headers, none of them large in itself."""
    headers = play(HugeHead(kib=20)).head.headers
    assert 20 * 1024 <= sum(map(len, headers.values())) < 30 * 1024
    assert max(map(len, headers.values())) == 8_000


def test_layers_are_laid_in_their_own_order(play: Play) -> None:
    """However they are listed: compressed first, then cut in pieces."""
    one, other = play(Split(every_bytes=10), Gzip()), play(Gzip(), Split(every_bytes=10))
    assert one.without_waits[0] == other.without_waits[0]
    assert b'"chat.completion"' in gzip.decompress(one.body)
    assert max(len(step.data) for step in one.steps if isinstance(step, Data)) == 10
