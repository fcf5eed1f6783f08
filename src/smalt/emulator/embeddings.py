"""The embeddings operation.

A vector is a pattern of signs that follows from the text, each component 1/sqrt(length) in size: unit length
whatever the length asked for, and a shorter vector is the beginning of the longer one, renormalised.
"""

import base64
import hashlib
import struct

import msgspec

from smalt.emulator.answers import Answer, Call, Operation
from smalt.emulator.params import Rule, check_all, require, wrong_type
from smalt.emulator.refusals import Refusal, invalid_request, named
from smalt.emulator.tokens import count

MAX_ITEMS = 2_048

_RULES = {
    "dimensions": Rule("integer", low=1),
    "encoding_format": Rule("string", choices=("float", "base64")),
    "input": Rule("any"),
    "input_type": Rule("string"),
    "model": Rule("string"),
    "user": Rule("string"),
}
_SIGNS = tuple(tuple(1.0 if byte >> bit & 1 else -1.0 for bit in range(8)) for byte in range(256))

Item = str | list[int]


def vector(text: bytes, seed: int, size: int) -> list[float]:
    """The embedding of `text`, `size` components long."""
    digest = hashlib.shake_256(str(seed).encode() + b"\0" + text).digest((size + 7) // 8)
    scale = 1 / size**0.5
    return [scale * sign for byte in digest for sign in _SIGNS[byte]][:size]


def answer(call: Call) -> Answer:
    body = call.body
    check_all(body, _RULES, call.version)
    items = _items(require(body, "input"))
    size = _size(call)
    counts = [count(item) if isinstance(item, str) else len(item) for item in items]
    if max(counts) > call.model.window:
        raise invalid_request(
            f"This model's maximum context length is {call.model.window} tokens, however you requested "
            f"{max(counts)} tokens ({max(counts)} in your prompt; 0 for the completion). Please reduce your "
            "prompt; or completion length."
        )
    encoded = body.get("encoding_format") == "base64"
    total = sum(counts)
    return Answer(
        input_tokens=total,
        output_tokens=0,
        body={
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": _embed(item, call.seed, size, encoded=encoded),
                }
                for index, item in enumerate(items)
            ],
            "model": call.model.served,
            "usage": {"prompt_tokens": total, "total_tokens": total},
        },
    )


OPERATION = Operation(
    api="embeddings",
    azure_name="Embeddings_Create",
    verb="embeddings",
    prompt="input",
    max_output=lambda _: 0,
    answer=answer,
)


def _embed(item: Item, seed: int, size: int, *, encoded: bool) -> str | list[float]:
    text = item.encode() if isinstance(item, str) else msgspec.json.encode(item)
    values = vector(text, seed, size)
    return base64.b64encode(struct.pack(f"<{size}f", *values)).decode() if encoded else values


def _items(given: object) -> list[Item]:
    """The single inputs: a string or a list of token ids is one, a list of either is many."""
    if isinstance(given, str):
        items: list[object] = [given]
    elif not isinstance(given, list):
        raise wrong_type("input", given, expected="string")
    else:
        items = [given] if given and _is_token(given[0]) else given
    if len(items) > MAX_ITEMS:
        raise named(
            "embeddings_too_many_inputs",
            message=f"Invalid 'input': array too long. Expected an array with maximum length {MAX_ITEMS}, "
            f"but got an array with length {len(items)} instead.",
        )
    if not items:
        raise _unfit()
    return [_item(item) for item in items]


def _item(item: object) -> Item:
    if isinstance(item, str) and item:
        return item
    if isinstance(item, list) and item and all(map(_is_token, item)):
        return item
    raise _unfit()


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _unfit() -> Refusal:
    return invalid_request(
        "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
    )


def _size(call: Call) -> int:
    """Components of each vector."""
    asked: int | None = call.body.get("dimensions")
    longest = call.model.dimensions
    if asked is None:
        return longest
    if not call.model.shortens:
        raise named("embeddings_dimensions_unsupported")
    if asked > longest:
        raise invalid_request(
            f"Invalid value for 'dimensions' = {asked}. Must be less than or equal to {longest}.",
            param="dimensions",
        )
    return asked
