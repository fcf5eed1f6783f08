"""Answers that were compressed although they were asked for as they are."""

import gzip
import random
import zlib

import pytest
from tests.unit.dispatch.fakes import Wired, failure_of

from smalt.dispatch.inflate import MOST_AT_ONCE, encodings, readable
from smalt.types import FailureKind

TEXT = b'{"usage":{"prompt_tokens":1},"x":"' + b"some words, " * 2_000 + b'"}'
NOISE = random.Random(0).randbytes(100_000)


def head(encoding: bytes, length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (encoding, length)


def bomb(size: int, before: bytes = b"") -> bytes:
    return gzip.compress(before + bytes(size), 9)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        (b"gzip", gzip.compress(TEXT)),
        (b"X-GZip", gzip.compress(TEXT)),
        (b"deflate", zlib.compress(TEXT)),
        (b"identity", TEXT),
        (b"", TEXT),
        (b"gzip, identity", gzip.compress(TEXT)),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
async def test_an_answer_is_read_as_it_was_meant(encoding: bytes, content: bytes, piece: int) -> None:
    """However it arrives; nothing tells any more that it was compressed, and the connection is kept."""
    wired = Wired()
    response = wired.request()
    wired.receive(head(encoding, len(content)))
    wired.receive(*(content[start : start + piece] for start in range(0, len(content), piece)))
    assert await response.whole(1 << 20) == TEXT
    assert response.header(b"content-encoding") == b""
    assert wired.idle


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"compress", b"gzip, gzip", b"gzip, br", b"\xff"])
async def test_another_encoding(encoding: bytes) -> None:
    """The attempt fails, and says why; what comes is not read."""
    wired = Wired()
    response = wired.request()
    wired.receive(head(encoding, len(TEXT)) + TEXT)
    await response.head()
    kind, text = await failure_of(response.whole(1 << 20))
    assert kind is FailureKind.TRUNCATED
    assert text.startswith("the answer is encoded by ")
    assert wired.transport.closing


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (TEXT, "cannot be decompressed"),
        (gzip.compress(TEXT)[:-9], "does not end"),
        (gzip.compress(TEXT)[:-8] + bytes(8), "cannot be decompressed"),
        (gzip.compress(TEXT) + b"x", "something follows"),
        (gzip.compress(TEXT) * 2, "something follows"),
        (bomb(2 * MOST_AT_ONCE), "becomes too large"),
    ],
)
async def test_what_cannot_be_read(content: bytes, says: str) -> None:
    """Counts as an answer that broke off."""
    wired = Wired()
    response = wired.request()
    wired.receive(head(b"gzip", len(content)) + content)
    kind, text = await failure_of(response.whole(1 << 40))
    assert (kind, says in text) == (FailureKind.TRUNCATED, True)
    assert not wired.idle or says == "does not end"


async def test_a_bomb_in_drips() -> None:
    """It is not the single piece that counts, but what all of it becomes."""
    content = bomb(3 * MOST_AT_ONCE)
    wired = Wired()
    response = wired.request()
    wired.receive(head(b"gzip", len(content)))
    came = 0
    while not wired.transport.closing:
        wired.receive(content[came : came + 100])
        came += 100
    kind, text = await failure_of(response.whole(1 << 40))
    assert (kind, text) == (FailureKind.TRUNCATED, "the compressed answer becomes too large")
    assert response._held_bytes <= MOST_AT_ONCE


async def test_a_bomb_behind_what_is_none() -> None:
    """What came before it buys it no more than the usual at once."""
    content = bomb(3 * MOST_AT_ONCE, NOISE * 3)
    wired = Wired()
    response = wired.request()
    wired.receive(head(b"gzip", len(content)) + content[:300_000], content[300_000:])
    _, text = await failure_of(response.whole(1 << 40))
    assert text == "the compressed answer becomes too large"
    assert response._held_bytes <= 300_000 + MOST_AT_ONCE


async def test_an_answer_without_a_body() -> None:
    """Nothing is missing."""
    wired = Wired()
    response = wired.request()
    wired.receive(head(b"gzip", 0))
    assert await response.whole(100) == b""
    assert wired.idle


def test_how_an_answer_is_encoded() -> None:
    """By all headers of that name."""
    told = [(b"content-encoding", b"GZIP , identity"), (b"x", b"br"), (b"content-encoding", b"Br")]
    assert encodings(told) == [b"gzip", b"br"]
    assert not readable(encodings(told))
    assert readable(encodings(told[:1]))
