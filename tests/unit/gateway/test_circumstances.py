import pytest

from smalt.dispatch.dispatcher import NO_CIRCUMSTANCES, Circumstances
from smalt.errors import InvalidRequest
from smalt.gateway.circumstances import LONGEST, MOST_TAGS, circumstances
from smalt.types import TraceParent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_nothing_said() -> None:
    """Every such request shares one value."""
    assert circumstances([(b"host", b"gateway"), (b"authorization", b"Bearer x")]) is NO_CIRCUMSTANCES


def test_tags_session_and_trace() -> None:
    """Each tag once, in order, from one header or several."""
    headers = [
        (b"x-smalt-tags", b"search, web,,search"),
        (b"x-smalt-session", b" chat-7 "),
        (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode()),
        (b"x-smalt-tags", "straße".encode()),
    ]
    trace = TraceParent(TRACE, SPAN, sampled=True)
    assert circumstances(headers) == Circumstances(("search", "web", "straße"), "chat-7", trace)


def test_a_malformed_trace_is_no_trace() -> None:
    """The call begins one of its own."""
    assert circumstances([(b"traceparent", b"00-x")]) == NO_CIRCUMSTANCES


def test_an_empty_session_is_none() -> None:
    """As if it had not been sent."""
    assert circumstances([(b"x-smalt-session", b" ")]).session is None


def test_the_most_there_may_be() -> None:
    """So many tags of that length pass."""
    tags = [f"{number:03}".ljust(LONGEST, "x") for number in range(MOST_TAGS)]
    assert circumstances([(b"x-smalt-tags", ",".join(tags).encode())]).tags == tuple(tags)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("x-smalt-tags", "a\tb", "a tag in x-smalt-tags"),
        ("x-smalt-tags", "x" * (LONGEST + 1), "a tag in x-smalt-tags"),
        ("x-smalt-tags", ",".join(str(number) for number in range(MOST_TAGS + 1)), "has 17 tags"),
        ("x-smalt-session", "a\u2028b", "the session in x-smalt-session"),
        ("x-smalt-session", "x" * (LONGEST + 1), "the session in x-smalt-session"),
        ("x-smalt-session", "\udcff", "the session in x-smalt-session"),
    ],
)
def test_what_cannot_be_taken_is_refused(name: str, value: str, told: str) -> None:
    """Silently left out, a tag would not be counted by its budget."""
    with pytest.raises(InvalidRequest, match=told):
        circumstances([(name.encode(), value.encode("utf-8", "surrogateescape"))])
