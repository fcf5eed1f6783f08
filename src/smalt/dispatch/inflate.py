"""Answers that come compressed, although they are asked for as they are: gzip, deflate (RFC 9110, 8.4.1)."""

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from smalt.dispatch.run import SendFailed
from smalt.types import FailureKind

if TYPE_CHECKING:
    from smalt.dispatch.connection import Received

ENCODING: Final = b"content-encoding"
MOST_AT_ONCE: Final = (
    8 * 1024 * 1024
)  # bytes out of one piece that came; between two of them reading may pause
MOST_TIMES: Final = 100  # as much as came; text becomes some ten times as large, a bomb a thousand times
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS  # told apart by how the data begins
_KNOWN: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})


def encodings(headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """How an answer is encoded, in lower case; empty if it is as it is."""
    told = b",".join(value for name, value in headers if name == ENCODING).lower().split(b",")
    return [one for one in map(bytes.strip, told) if one not in {b"", b"identity"}]


def readable(told: Sequence[bytes]) -> bool:
    """Whether `Inflating` undoes it."""
    return len(told) == 1 and told[0] in _KNOWN


class Inflating:
    """Stands between a connection and what gathers the answer, and passes it on as it was meant. `fail`: ends
    the answer for a reason."""

    def __init__(self, response: "Received", fail: Callable[[str], None]) -> None:
        self._response = response
        self._fail = fail
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._came = self._went = 0

    @property
    def has_head(self) -> bool:
        return self._response.has_head

    def arrived(self, data: bytes) -> None:
        inflater = self._inflater
        self._came += len(data)
        room = min(MOST_AT_ONCE, max(MOST_AT_ONCE, MOST_TIMES * self._came) - self._went)
        try:
            plain = inflater.decompress(data, room + 1)
        except zlib.error as error:
            self._fail(f"the answer cannot be decompressed: {error}")
            return
        if len(plain) > room or inflater.unconsumed_tail:
            self._fail("the compressed answer becomes too large")
        elif inflater.unused_data:
            self._fail("something follows the compressed answer")
        elif plain:
            self._went += len(plain)
            self._response.arrived(plain)

    def ended(self, failed: "SendFailed | None") -> None:
        if failed is None and self._came and not self._inflater.eof:
            failed = SendFailed(FailureKind.TRUNCATED, "the compressed answer does not end")
        self._response.ended(failed)
