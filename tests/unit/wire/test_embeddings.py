"""Requests for embeddings taken apart, their answers put together."""

import json
from typing import Any

import msgspec
import pytest

from smalt.errors import InvalidRequest, UpstreamError
from smalt.wire.embeddings import MOST_INPUTS, MOST_TOKENS, Part, fits, inputs, merge, split


def asking(given: Any, **members: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "input": given, "encoding_format": "base64", **members})


def given(body: bytes) -> list[Any]:
    return [json.loads(bytes(item)) for item in inputs(body)]


def answered(*vectors: str, first: int = 0, tokens: int = 5) -> bytes:
    """As an upstream answers; vectors as they are written."""
    items = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{vector}}}'
        for index, vector in enumerate(vectors, first)
    )
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
    return f'{{"object":"list","data":[{items}],"model":"served","usage":{usage}}}'.encode()


def test_a_small_request_needs_no_look_inside() -> None:
    """Neither its length nor its commas can be too many."""
    assert fits(asking(["alpha", "beta"]), MOST_TOKENS)
    assert fits(asking(["x"] * (MOST_INPUTS - 5)), MOST_TOKENS)


@pytest.mark.parametrize(("most_tokens", "fitting"), [(100, True), (50, False)])
def test_tokens_are_estimated_by_length(most_tokens: int, fitting: bool) -> None:
    """A token for two bytes."""
    assert fits(b"x" * 150, most_tokens) is fitting


def test_many_inputs_need_a_look() -> None:
    """Also where it finds that the commas stood in a text."""
    assert not fits(asking(["x"] * (MOST_INPUTS + 1)), MOST_TOKENS)
    commas = asking(["," * MOST_INPUTS])
    assert not fits(commas, MOST_TOKENS)
    assert split(commas, MOST_TOKENS) == [Part(commas, 1)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("alpha", ["alpha"]),
        (["alpha", "b, [c]"], ["alpha", "b, [c]"]),
        ([15, 339], [[15, 339]]),
        ([[15, 339], [7]], [[15, 339], [7]]),
        (["alpha", [7]], ["alpha", [7]]),
        ([], []),
        (None, [None]),
    ],
)
def test_what_counts_as_an_input(written: Any, expected: list[Any]) -> None:
    """A text or a list of token ids, in a list or alone; what is neither is left to the upstream."""
    assert given(asking(written)) == expected


def test_a_request_without_inputs_is_one_part() -> None:
    """The upstream says what is missing."""
    assert split(b'{"model":"m"}', 1) == [Part(b'{"model":"m"}', 1)]
    empty = asking([])
    assert split(empty, 1) == [Part(empty, 0)]


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (1, [1]),
        (2_048, [2_048]),
        (2_049, [2_048, 1]),
        (5_000, [2_048, 2_048, 904]),
    ],
)
def test_no_part_has_more_inputs_than_allowed(count: int, parts: list[int]) -> None:
    """Each is as full as it may be; together they are the request."""
    texts = [f"text {number}" for number in range(count)]
    made = split(asking(texts), MOST_TOKENS)
    assert [part.inputs for part in made] == parts
    assert [text for part in made for text in given(part.body)] == texts


def test_no_part_has_more_tokens_than_allowed() -> None:
    """By the estimate: 8 bytes and a comma are less than 5 tokens, two of them more."""
    made = split(asking(["123456", "abcdef", "ABCDEF"]), 5)
    assert [given(part.body) for part in made] == [["123456"], ["abcdef"], ["ABCDEF"]]
    made = split(asking(["123456", "abcdef", "ABCDEF"]), 9)
    assert [part.inputs for part in made] == [2, 1]


def test_an_input_is_never_divided() -> None:
    """One that is too long goes alone, and the upstream says so."""
    made = split(asking(["a", "b" * 100, "c"]), 10)
    assert [given(part.body) for part in made] == [["a"], ["b" * 100], ["c"]]


def test_lists_of_token_ids_are_split_between_lists() -> None:
    """Their numbers stay together."""
    made = split(asking([[1, 2, 3], [4, 5, 6], [7]]), 6)
    assert [given(part.body) for part in made] == [[[1, 2, 3]], [[4, 5, 6], [7]]]


def test_every_other_member_keeps_its_bytes() -> None:
    """In its place, as does every input."""
    body = b'{"dimensions": 8, "input": ["\\u00e9", "b"], "user":"a\\u0062", "x": 1.0}'
    assert [part.body for part in split(body, 1)] == [
        b'{"dimensions":8,"input":["\\u00e9"],"user":"a\\u0062","x":1.0}',
        b'{"dimensions":8,"input":["b"],"user":"a\\u0062","x":1.0}',
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"input":[1,}', b'{"\xff":1}'])
def test_a_body_that_cannot_be_taken_apart_is_refused(body: bytes) -> None:
    """With the word for it."""
    with pytest.raises(InvalidRequest, match="the request body cannot be read"):
        split(body, 1)


def test_answers_are_put_together_in_order() -> None:
    """Numbered through; base64 and floats keep their bytes."""
    merged = merge([(answered('"AAA="', "[0.10,1e-3]"), 2), (answered('"BBB="'), 1)])
    assert merged == answered('"AAA="', "[0.10,1e-3]", '"BBB="', tokens=10)


def test_the_upstreams_own_order_does_not_count() -> None:
    """Its numbers do."""
    items = b'{"index":1,"embedding":"B"},{"index":0,"embedding":"A"}'
    merged = json.loads(merge([(b'{"data":[' + items + b"]}", 2), (b'{"data":[' + items + b"]}", 2)]))
    assert [(item["index"], item["embedding"]) for item in merged["data"]] == [
        (0, "A"),
        (1, "B"),
        (2, "A"),
        (3, "B"),
    ]


def test_the_rest_is_that_of_the_first_answer() -> None:
    """Whatever else it says."""
    first = b'{"id":"e-1","data":[{"index":0}],"model":"a"}'
    second = b'{"id":"e-2","data":[{"index":0}],"model":"b"}'
    assert json.loads(merge([(first, 1), (second, 1)])) == {
        "id": "e-1",
        "data": [{"index": 0}, {"index": 1}],
        "model": "a",
        "usage": None,
    }


@pytest.mark.parametrize("usage", [b"null", b"[]", b'"much"', b"7"])
def test_usage_is_unknown_if_one_part_does_not_report_it(usage: bytes) -> None:
    """A sum over the others would be too small."""
    silent = b'{"data":[{"index":0}],"usage":' + usage + b"}"
    assert json.loads(merge([(answered('"A"'), 1), (silent, 1)]))["usage"] is None


def test_only_numbers_are_summed() -> None:
    """Details that are none are left out."""
    told = b'{"data":[{"index":0}],"usage":{"prompt_tokens":3,"prompt_tokens_details":null}}'
    assert json.loads(merge([(told, 1), (told, 1)]))["usage"] == {"prompt_tokens": 6}


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"data":null}',
        b'{"data":[1,2]}',
        b'{"data":[]}',
        b'{"data":[{"index":0}]}',
        b'{"data":[{"index":0},{"index":0}]}',
        b'{"data":[{"index":0},{"index":2}]}',
        b'{"data":[{"index":0},{"index":1},{"index":2}]}',
        b'{"data":[{"index":0},{"embedding":"A"}]}',
        b'{"data":[{"index":0},{"index":"one"}]}',
    ],
)
def test_a_vector_is_never_given_to_the_wrong_text(answer: bytes) -> None:
    """An answer that does not have one for each input is no answer."""
    with pytest.raises(UpstreamError, match="a part of 2 inputs was not answered with an embedding for each"):
        merge([(answered('"A"', '"B"'), 2), (answer, 2)])
