"""Reads from a request body only what decisions need. The body itself stays bytes."""

import msgspec

from smalt.errors import InvalidRequest
from smalt.types import Facts
from smalt.wire.paths import Asked, Surface

BYTES_PER_TOKEN = 4  # Azure's own estimate on arrival counts characters, about 4 to a token


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
    max_tokens = fields.max_completion_tokens or fields.max_tokens
    return Facts(
        operation=asked.operation,
        model=model,
        stream=bool(fields.stream),
        prompt_tokens=len(body) // BYTES_PER_TOKEN + 1,
        max_tokens=max_tokens * max(1, fields.n or 1) if max_tokens and max_tokens > 0 else None,
        asks_usage=bool(fields.stream_options and fields.stream_options.include_usage),
        names_deployment=asked.surface is not Surface.OPENAI,
    )
