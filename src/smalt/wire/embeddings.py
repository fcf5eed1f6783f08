"""Embeddings of any number: a request taken apart into smaller ones, their answers put together again.

Texts, token ids and vectors keep their bytes. Sources: API references of Azure OpenAI and OpenAI, embeddings:
2,048 inputs in a request, at OpenAI 300,000 tokens in all of them; Azure's documents name no such sum.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from smalt.errors import InvalidRequest, UpstreamError

MOST_INPUTS: Final = 2_048
MOST_TOKENS: Final = 300_000
BYTES_PER_TOKEN: Final = 2  # the fewest, of text as of token ids; prose has twice as many

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_data = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_NULL: Final = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Part:
    """A request for `inputs` of the inputs."""

    body: bytes
    inputs: int


def fits(body: bytes, most_tokens: float) -> bool:
    """Whether it is plain without reading the body that it need not be split."""
    return len(body) <= BYTES_PER_TOKEN * most_tokens and body.count(b",") < MOST_INPUTS


def inputs(body: bytes) -> list[msgspec.Raw]:
    """Every text or list of token ids as it stands there. Raises InvalidRequest."""
    return _inputs(_members(body))


def split(body: bytes, most_tokens: float) -> list[Part]:
    """The same request as several, in order, each of at most 2,048 inputs and `most_tokens` tokens by a rough
    estimate; an input is never divided. A single part is the request as it was. Raises InvalidRequest."""
    members = _members(body)
    groups = list(_groups(_inputs(members), BYTES_PER_TOKEN * most_tokens))
    if len(groups) == 1:
        return [Part(body, len(groups[0]))]
    parts = []
    for group in groups:
        members["input"] = msgspec.Raw(b"[" + b",".join(group) + b"]")
        parts.append(Part(msgspec.json.encode(members), len(group)))
    return parts


def merge(answers: Sequence[tuple[bytes, int]]) -> bytes:
    """The answer to the whole request. `answers`: to its parts in order, JSON objects, each with the number
    of its inputs. Raises UpstreamError if one does not hold an embedding for each input."""
    whole = _decode_members(answers[0][0])
    data: list[dict[str, msgspec.Raw]] = []
    usages = []
    for body, count in answers:
        members = _decode_members(body)
        data += _renumbered(members.get("data", _NULL), count, first=len(data))
        usages.append(msgspec.json.decode(members.get("usage", _NULL)))
    return msgspec.json.encode({**whole, "data": data, "usage": _summed(usages)})


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _decode_members(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request body cannot be read: {error}") from None


def _inputs(members: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    """A text or a list of token ids may stand for itself, without a list around it."""
    given = members.get("input", _NULL)
    try:
        items = _decode_list(given)
    except msgspec.ValidationError:
        return [given]
    stands_alone = items and memoryview(items[0])[0] not in b'"['
    return [given] if stands_alone else items


def _groups(items: list[msgspec.Raw], most_bytes: float) -> Iterator[list[msgspec.Raw]]:
    group: list[msgspec.Raw] = []
    size = 0
    for item in items:
        if group and (len(group) == MOST_INPUTS or size + len(item) > most_bytes):
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item) + 1
    yield group


def _renumbered(data: msgspec.Raw, count: int, *, first: int) -> list[dict[str, msgspec.Raw]]:
    """In the order of the inputs; `index` counts from `first`."""
    try:
        items = {int(bytes(item["index"])): item for item in _decode_data(data)}
    except (msgspec.DecodeError, KeyError, ValueError):
        items = {}
    if items.keys() != set(range(count)):
        raise UpstreamError(f"a part of {count:,} inputs was not answered with an embedding for each")
    for index, item in items.items():
        item["index"] = msgspec.Raw(str(first + index).encode())
    return [items[index] for index in range(count)]


def _summed(usages: Sequence[object]) -> dict[str, int] | None:
    """Of all parts; None if one reports nothing."""
    sums = Counter[str]()
    for usage in usages:
        if not isinstance(usage, dict):
            return None
        sums.update({name: tokens for name, tokens in usage.items() if isinstance(tokens, int)})
    return sums
