"""Token counts as upstreams report them, and what they call their answers."""

import json
from typing import Annotated, Any

import msgspec

from smalt.types import Usage

_Tokens = Annotated[int, msgspec.Meta(ge=0)]


class _InputDetails(msgspec.Struct):
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: _Tokens | None = None


_NO_INPUT_DETAILS = _InputDetails()
_NO_OUTPUT_DETAILS = _OutputDetails()


class ReportedUsage(msgspec.Struct):
    """The `usage` object, with the names of Responses or those of all other operations."""

    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: _Tokens | None = None
    output_tokens: _Tokens | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def as_usage(self, service_tier: object = None) -> Usage | None:
        """None if it does not say how long the input was. `service_tier`: as the answer tells it."""
        input_tokens = self.input_tokens if self.prompt_tokens is None else self.prompt_tokens
        if input_tokens is None:
            return None
        of_input = self.prompt_tokens_details or self.input_tokens_details or _NO_INPUT_DETAILS
        of_output = self.completion_tokens_details or self.output_tokens_details or _NO_OUTPUT_DETAILS
        return Usage(
            input_tokens=input_tokens,
            output_tokens=self.completion_tokens or self.output_tokens or 0,
            cached_tokens=of_input.cached_tokens or 0,
            reasoning_tokens=of_output.reasoning_tokens or 0,
            cache_write_tokens=of_input.cache_write_tokens or 0,
            service_tier=service_tier
            if isinstance(service_tier, str) and service_tier != "default"
            else None,
        )


class _Named(msgspec.Struct):
    id: str | None = None


_decode_name = msgspec.json.Decoder(_Named).decode


def read_id(body: bytes) -> str | None:
    """The id of a whole JSON answer, None if it has none."""
    try:
        return _decode_name(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Answer(msgspec.Struct):
    usage: ReportedUsage | None = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_Answer)


def read_usage(body: bytes) -> Usage | None:
    """Usage of a whole JSON answer, None if it reports none. Raises ValueError if it is no JSON object
    and RecursionError if it is nested too deeply."""
    try:
        answer = _decoder.decode(body)
    except msgspec.ValidationError:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return None
    except msgspec.DecodeError:
        lenient = _with_half_pairs(body)
        if lenient is None:
            raise
        answer = lenient
    return answer.usage.as_usage(answer.service_tier) if answer.usage else None


def _with_half_pairs(body: bytes) -> _Answer | None:
    """A half of a surrogate pair, which models write now and then, is JSON all the same (RFC 8259, section
    8.2). None if that is not the trouble."""
    try:
        told = json.loads(body) if rb"\ud" in body.lower() else None
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    try:
        return msgspec.convert({name: told.get(name) for name in ("usage", "service_tier")}, _Answer)
    except msgspec.ValidationError:
        return _Answer()
