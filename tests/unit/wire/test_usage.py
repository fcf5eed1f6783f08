from typing import Any

import msgspec
import pytest

from smalt.types import Usage
from smalt.wire.usage import read_id, read_usage


def reported(**usage: Any) -> Usage | None:
    return read_usage(msgspec.json.encode({"id": "1", "usage": usage}))


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
        (b'{"usage":{"prompt_tokens":9},"service_tier":5}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"completion_tokens_details":{"reasoning_tokens":null}}}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":null}}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":{}}}', Usage(9)),
        (b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":null}}}', Usage(9)),
        (b'{"usage":{"input_tokens":9,"output_tokens":2,"total_tokens":11}}', Usage(9, 2)),
        (b'{"usage":{"prompt_tokens":0,"completion_tokens":0}}', Usage(0)),
        (b'{"usage":{"prompt_tokens":0,"input_tokens":5}}', Usage(0)),
        (b'{"choices":[{"usage":{"prompt_tokens":1}}]}', None),
        (b'{"output":[{"usage":{"input_tokens":1}}]}', None),
        (b'{"usage":null}', None),
        (b"{}", None),
    ],
)
def test_what_an_answer_reports(body: bytes, expected: Usage | None) -> None:
    """Usage is read as reported; an answer that reports none has none."""
    assert read_usage(body) == expected


@pytest.mark.parametrize(
    ("of_input", "of_output", "tokens_in", "tokens_out"),
    [
        ("prompt_tokens_details", "completion_tokens_details", "prompt_tokens", "completion_tokens"),
        ("input_tokens_details", "output_tokens_details", "input_tokens", "output_tokens"),
    ],
)
def test_details(of_input: str, of_output: str, tokens_in: str, tokens_out: str) -> None:
    """Cached tokens, tokens written to the cache and reasoning tokens are told by both shapes."""
    counts = {tokens_in: 100, tokens_out: 30}
    details = {"cached_tokens": 64, "cache_write_tokens": 32, "audio_tokens": 5}
    thoughts = {"reasoning_tokens": 20, "accepted_prediction_tokens": 3}
    assert reported(**counts, **{of_input: details, of_output: thoughts}) == Usage(
        input_tokens=100, output_tokens=30, cached_tokens=64, reasoning_tokens=20, cache_write_tokens=32
    )
    assert reported(**counts, **{of_input: {"cached_tokens": 64}}) == Usage(100, 30, cached_tokens=64)
    assert reported(**counts, **{of_output: thoughts}) == Usage(100, 30, reasoning_tokens=20)
    nothing: list[dict[str, Any] | None] = [None, {}, dict.fromkeys([*details, *thoughts])]
    for none in nothing:
        assert reported(**counts, **{of_input: none, of_output: none}) == Usage(100, 30)


@pytest.mark.parametrize(
    "usage",
    [
        b"[]",
        b"5",
        b"{}",
        b'{"total_tokens":9}',
        b'{"completion_tokens":9}',
        b'{"prompt_tokens":"9"}',
        b'{"prompt_tokens":1.5}',
        b'{"prompt_tokens":-1}',
        b'{"input_tokens":9,"output_tokens":-1}',
        b'{"prompt_tokens":9,"prompt_tokens_details":[]}',
        b'{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":-4}}',
        b'{"prompt_tokens":9,"completion_tokens_details":{"reasoning_tokens":"4"}}',
    ],
)
def test_usage_in_a_strange_shape_is_none(usage: bytes) -> None:
    """A usage that cannot be read is not guessed; the answer itself is good."""
    assert read_usage(b'{"usage":' + usage + b"}") is None


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"", None),
        (b', "usage": {"prompt_tokens": 3, "completion_tokens": 2}', Usage(3, 2)),
        (b', "usage": {"prompt_tokens": "many"}', None),
    ],
)
def test_half_a_surrogate_pair_is_json(rest: bytes, expected: Usage | None) -> None:
    """Models write one now and then."""
    assert read_usage(rb'{"text": "\uD83D"%b}' % rest) == expected


@pytest.mark.parametrize("body", [rb'{"text": "\ud83d"', rb'["\ud83d"]', rb'"\ud83d"'])
def test_half_a_surrogate_pair_in_what_is_no_object(body: bytes) -> None:
    """It excuses nothing else."""
    with pytest.raises(msgspec.DecodeError):
        read_usage(body)


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


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"id":"resp_1","object":"response"}', "resp_1"),
        (b'{"object":"response"}', None),
        (b'{"id":1}', None),
        (b"[]", None),
        (b"{", None),
        (b'{"id":"\xff"}', None),
    ],
)
def test_what_an_answer_is_called(body: bytes, named: str | None) -> None:
    """None where it does not say."""
    assert read_id(body) == named
