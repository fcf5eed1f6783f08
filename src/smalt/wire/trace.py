"""The trace that a caller's request belongs to. Source: W3C Trace Context, section 3.2."""

import re

from smalt.types import TraceParent

_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1


def read_traceparent(value: bytes) -> TraceParent | None:
    """What the header says; None if it is malformed, which stands for no header at all. Later versions than
    00 may add to it."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None or (found[1] == b"00" and found[5]):
        return None
    return TraceParent(found[2].decode(), found[3].decode(), sampled=bool(int(found[4], 16) & _SAMPLED))
