"""Reads from a request body only what decisions need. The body itself stays bytes."""

import re

import msgspec

from smalt.errors import InvalidRequest
from smalt.types import Facts
from smalt.wire.paths import Asked, Surface

MOST_TOKENS = 1_000_000_000  # beyond any model; a caller's larger number would only break sums
_DATA_URL = re.compile(rb'"data:[^";,]{1,100};base64,[^"]*"')  # images, files: no text, however long


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stream_options: _StreamOptions | None = None


_decoder = msgspec.json.Decoder(_Body)


def read_facts(asked: Asked, body: bytes) -> Facts:
    """Facts of one request. Raises InvalidRequest for a body that is no JSON object or names no model."""
    try:
        fields = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request body cannot be read: {error}") from None
    model = asked.deployment or fields.model
    if not model:
        raise InvalidRequest("the request body names no model", resolution=('Add "model" to the body.',))
    max_tokens = (fields.max_completion_tokens or fields.max_tokens or 0) * max(1, fields.n or 1)
    return Facts(
        operation=asked.operation,
        model=model,
        stream=bool(fields.stream),
        prompt_bytes=_text_bytes(body),
        max_tokens=min(max_tokens, MOST_TOKENS) if max_tokens > 0 else None,
        asks_usage=bool(fields.stream_options and fields.stream_options.include_usage),
        names_deployment=asked.surface is not Surface.OPENAI,
    )


def _text_bytes(body: bytes) -> int:
    if b";base64," not in body:
        return len(body)
    return len(body) - sum(len(match[0]) for match in _DATA_URL.finditer(body))
