import pytest

from smalt.types import Usage
from smalt.wire.usage import read_usage


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}', Usage(9, 2)),
        (b'{"usage":{"prompt_tokens":9,"total_tokens":9}}', Usage(9)),
        (
            b'{"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}',
            Usage(9, 2, 4),
        ),
        (
            (
                b'{"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4,'
                b'"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":1}}}'
            ),
            Usage(9, 2, cached_tokens=4, cache_write_tokens=5, reasoning_tokens=1),
        ),
        (b'{"usage":{"prompt_tokens":9},"service_tier":"flex"}', Usage(9, service_tier="flex")),
        (b'{"usage":{"prompt_tokens":9},"service_tier":"default"}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9},"service_tier":null}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"completion_tokens_details":{"reasoning_tokens":null}}}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":null}}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":{}}}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":null}}}', Usage(9)),
        (b'{"choices":[{"usage":{"prompt_tokens":1}}]}', None),
        (b'{"usage":null}', None),
        (b"{}", None),
    ],
)
def test_what_an_answer_reports(body: bytes, expected: Usage | None) -> None:
    """Usage is read as reported; an answer that reports none has none."""
    assert read_usage(body) == expected


@pytest.mark.parametrize("usage", [b"[]", b"5", b"{}", b'{"prompt_tokens":"9"}', b'{"prompt_tokens":1.5}'])
def test_usage_in_a_strange_shape_is_none(usage: bytes) -> None:
    """A usage that cannot be read is not guessed; the answer itself is good."""
    assert read_usage(b'{"usage":' + usage + b"}") is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b'{"usage":',
        b'{"usage":{"prompt_tokens":9}',
        b'{"usage":5,"cut":"of',
        b"\xff",
    ],
)
def test_a_truncated_answer_is_told(body: bytes) -> None:
    """An answer that is no whole JSON object is an error, so that it can be tried elsewhere."""
    with pytest.raises(ValueError, match=r".+"):
        read_usage(body)
