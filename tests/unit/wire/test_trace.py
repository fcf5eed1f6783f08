import pytest

from smalt.types import TraceParent
from smalt.wire.trace import read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_a_traceparent(flags: str, sampled: bool) -> None:
    """Of the flags the lowest bit says whether the trace is kept."""
    assert read_traceparent(f"00-{TRACE}-{SPAN}-{flags}".encode()) == TraceParent(TRACE, SPAN, sampled)


def test_a_later_version_may_say_more() -> None:
    """What it adds is not read."""
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-holds".encode()) == TraceParent(
        TRACE, SPAN, sampled=True
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
    ],
)
def test_a_malformed_one_is_none(value: str) -> None:
    """Whoever sent it gets a new trace."""
    assert read_traceparent(value.encode()) is None
