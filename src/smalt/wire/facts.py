"""Reads from a request body only what decisions need. The body itself stays bytes."""

import re
import zlib
from collections.abc import Callable

import msgspec

from smalt.errors import InvalidRequest
from smalt.types import Facts, Operation
from smalt.wire.paths import Asked, Surface

LONGEST_NAME = 512  # characters of a model: names are remembered, and come from callers
MOST_TOKENS = 1_000_000_000  # beyond any model; a caller's larger number would only break sums
CACHED_BYTES = 4_096  # Azure caches prompts of 1,024 tokens or more, by their beginning; about 4 bytes each

# Parts of a message: an image, a file, a call of a tool. Inside a JSON text the quotes would be escaped.
_PART = re.compile(
    rb'"type"\s*:\s*"'
    rb"(image_url|input_image|input_audio|file|input_file|computer_screenshot|image_generation_call"
    rb'|function|custom|function_call|custom_tool_call|item_reference)"'
)
_IMAGES = {b"image_url", b"input_image"}
_CALLS = {b"function", b"custom", b"function_call", b"custom_tool_call"}
_REFERENCE = b"item_reference"  # to something a stored response holds
_NO_FILES = {*_CALLS, _REFERENCE}
# Where base64 begins: in a data URL or `data` of audio; in `result` of an image made before. A pattern with a
# fixed beginning searches ten times as fast as one that joins both.
_FILE_STARTS = (re.compile(rb'"data(?::[^",]{1,100};base64,|"\s*:\s*")'), re.compile(rb'"result"\s*:\s*"'))
_NEEDS = {
    (False, False): frozenset[str](),
    (True, False): frozenset({"tools"}),
    (False, True): frozenset({"vision"}),
    (True, True): frozenset({"tools", "vision"}),
}
_NOTHING = msgspec.Raw()
_NULL = msgspec.Raw(b"null")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    """What is read of every body, and all that is read of one for embeddings. `prompt`: the JSON as it
    stands there; embeddings have none, for theirs is never cached."""

    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    prompt: msgspec.Raw = _NOTHING
    instructions: msgspec.Raw = _NOTHING
    prompt_cache_key: str | None = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None

    def most_tokens(self) -> int:
        """The cap on output, 0 if there is none."""
        return 0

    def repeatable(self) -> bool:
        return True

    def bound(self) -> bool:
        """Builds on what the service keeps."""
        return False

    def builds_on(self) -> str | None:
        """The response before this one."""
        return None


class _Chat(_Body):
    prompt: msgspec.Raw = msgspec.field(default=_NOTHING, name="messages")
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None

    def most_tokens(self) -> int:
        return (self.max_completion_tokens or self.max_tokens or 0) * max(1, self.n or 1)


class _Completions(_Body):
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None

    def most_tokens(self) -> int:
        """Of one prompt; there may be many."""
        return (self.max_tokens or 0) * max(1, self.n or 1, self.best_of or 1)


class _Responses(_Body):
    prompt: msgspec.Raw = msgspec.field(default=_NOTHING, name="input")
    max_output_tokens: int | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: msgspec.Raw = _NULL

    def most_tokens(self) -> int:
        return self.max_output_tokens or 0

    def repeatable(self) -> bool:
        """The service keeps a response unless told otherwise."""
        return self.store is False and not self.background

    def bound(self) -> bool:
        return bool(self.previous_response_id) or self.conversation != _NULL

    def builds_on(self) -> str | None:
        return self.previous_response_id or None


_DECODE: dict[Operation, Callable[[bytes], _Body]] = {
    Operation.CHAT: msgspec.json.Decoder(_Chat).decode,
    Operation.COMPLETIONS: msgspec.json.Decoder(_Completions).decode,
    Operation.EMBEDDINGS: msgspec.json.Decoder(_Body).decode,
    Operation.RESPONSES: msgspec.json.Decoder(_Responses).decode,
}


def read_facts(asked: Asked, body: bytes) -> Facts:
    """Facts of one request. Raises InvalidRequest for a body that is no JSON object or names no model."""
    try:
        fields = _DECODE[asked.operation](body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request body cannot be read: {error}") from None
    model = asked.deployment or fields.model
    if not model:
        raise InvalidRequest("the request body names no model", resolution=('Add "model" to the body.',))
    if len(model) > LONGEST_NAME:
        raise InvalidRequest(f"the model's name is longer than {LONGEST_NAME} characters")
    most_tokens = fields.most_tokens()
    parts = set(_PART.findall(fields.prompt))
    offers_tools = bool(fields.tools or fields.functions)
    return Facts(
        operation=asked.operation,
        model=model,
        stream=bool(fields.stream),
        prompt_bytes=len(body) - _file_bytes(bytes(fields.prompt)) if parts - _NO_FILES else len(body),
        max_tokens=min(most_tokens, MOST_TOKENS) if most_tokens > 0 else None,
        asks_usage=bool(fields.stream_options and fields.stream_options.include_usage),
        names_deployment=asked.surface is not Surface.OPENAI,
        needs=_NEEDS[offers_tools, not parts.isdisjoint(_IMAGES)],
        names_tools=offers_tools or not parts.isdisjoint(_CALLS),
        affinity=_affinity(fields),
        bound=fields.bound() or _REFERENCE in parts,
        builds_on=fields.builds_on(),
        repeatable=fields.repeatable(),
    )


def _file_bytes(prompt: bytes) -> int:
    """Length of the embedded base64: no text, however long."""
    starts = [match.end() for start in _FILE_STARTS for match in start.finditer(prompt)]
    return sum(prompt.find(b'"', start) - start for start in starts)


def _affinity(fields: _Body) -> int | None:
    if fields.prompt_cache_key:
        return zlib.crc32(fields.prompt_cache_key.encode())
    if len(fields.instructions) + len(fields.prompt) < CACHED_BYTES:
        return None
    start = b"".join([memoryview(part)[:CACHED_BYTES] for part in (fields.instructions, fields.prompt)])
    return zlib.crc32(start[:CACHED_BYTES])
