import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest

from smalt.emulator import embeddings
from smalt.emulator.answers import Answer, Call
from smalt.emulator.embeddings import vector
from smalt.emulator.refusals import Refusal

Make = Callable[..., Call]


def data_of(answer: Answer) -> list[dict[str, Any]]:
    assert answer.body
    data: list[dict[str, Any]] = answer.body["data"]
    return data


@pytest.mark.parametrize("size", [1, 7, 256, 1_536])
def test_a_vector_has_unit_length(size: int) -> None:
    """Whatever its size, an embedding is one long."""
    values = vector(b"alpha", 0, size)
    assert len(values) == size
    assert math.hypot(*values) == pytest.approx(1)


def test_a_vector_follows_from_its_text() -> None:
    """Equal texts are equal, different texts are far apart."""
    one, other = vector(b"alpha", 0, 1_536), vector(b"beta", 0, 1_536)
    assert one == vector(b"alpha", 0, 1_536)
    assert abs(sum(a * b for a, b in zip(one, other, strict=True))) < 0.2


def test_base64_and_floats_say_the_same(embeddings_call: Make) -> None:
    """Base64 is the little-endian float32 form of the same numbers."""
    floats = data_of(embeddings.answer(embeddings_call(input="alpha", dimensions=8)))[0]["embedding"]
    text = data_of(embeddings.answer(embeddings_call(input="alpha", dimensions=8, encoding_format="base64")))
    assert struct.unpack("<8f", base64.b64decode(text[0]["embedding"])) == pytest.approx(floats)


@pytest.mark.parametrize(
    ("given", "items", "tokens"),
    [("one two", 1, 2), (["one", "two three"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
def test_input_takes_four_forms(embeddings_call: Make, given: object, items: int, tokens: int) -> None:
    """Texts and token ids, one or many, with their usage and in their order."""
    answer = embeddings.answer(embeddings_call(input=given))
    assert [entry["index"] for entry in data_of(answer)] == list(range(items))
    assert answer.body
    assert answer.body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert (answer.input_tokens, answer.output_tokens) == (tokens, 0)


def test_the_size_is_the_models(embeddings_call: Make) -> None:
    """Without dimensions a vector is as long as the model makes it."""
    call = embeddings_call(model="text-embedding-3-large", input="x")
    assert len(data_of(embeddings.answer(call))[0]["embedding"]) == 3_072


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing required parameter: 'input'"),
        ({"input": 5}, "Invalid type for 'input'"),
        ({"input": ""}, "input' is invalid"),
        ({"input": []}, "input' is invalid"),
        ({"input": ["a", ""]}, "input' is invalid"),
        ({"input": ["a", 1]}, "input' is invalid"),
        ({"input": [[1], []]}, "input' is invalid"),
        ({"input": ["a"] * 2_049}, "maximum length 2048, but got an array with length 2049"),
        ({"input": " word" * 8_193}, "maximum context length is 8192 tokens, however you requested 8193"),
        ({"input": "a", "encoding_format": "hex"}, "Supported values are: 'float', 'base64'"),
        ({"input": "a", "dimensions": 1_537}, "less than or equal to 1536"),
        ({"input": "a", "dimensions": 0}, "below minimum"),
        ({"input": "a", "messages": []}, "Unrecognized request argument supplied: messages"),
    ],
)
def test_a_faulty_body_is_refused(embeddings_call: Make, body: dict[str, Any], message: str) -> None:
    """One faulty item or parameter refuses the whole request."""
    with pytest.raises(Refusal, match=message) as caught:
        embeddings.answer(embeddings_call(**body))
    assert caught.value.canned.status == 400


def test_only_newer_models_choose_dimensions(embeddings_call: Make) -> None:
    """text-embedding-ada-002 knows one length only."""
    with pytest.raises(Refusal, match="does not support specifying dimensions"):
        embeddings.answer(embeddings_call(model="text-embedding-ada-002", input="a", dimensions=10))
