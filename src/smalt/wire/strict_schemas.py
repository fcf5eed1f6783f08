"""Schemas of strict tools as Azure takes them.

Strict mode knows a part of JSON Schema. Some of what it refuses only narrows the values of what is described
besides: without it everything that was valid stays valid. What else is refused, or missing, cannot be mended
without another meaning and is left to Azure's error.

Source: Azure OpenAI, "Structured outputs", supported schemas and limitations.
"""

import re
from typing import Final

from smalt.wire.edit import Edit, apply, each, every_member, in_turn, members, when, without

NARROWING: Final = {
    *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf"),
    *("propertyNames", "minProperties", "maxProperties", "unevaluatedProperties"),
    *("contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"),
}
MOST_LEVELS: Final = 12  # that are looked into; Azure takes five
_STRICT = re.compile(rb'"strict"\s*:\s*true')


def widen(body: bytes) -> bytes:
    """`body` of a chat or Responses request whose strict tools have no keyword of NARROWING; the same object
    if they had none."""
    return apply(_STRICT_TOOLS, body) if _STRICT.search(body) else body


def _schema(levels: int) -> Edit:
    if levels == 0:
        return lambda schema: schema
    inner = _schema(levels - 1)
    named = every_member(inner)
    parts = {"properties": named, "$defs": named, "definitions": named, "items": inner, "anyOf": each(inner)}
    return in_turn(without(NARROWING), members(parts))


_FUNCTION = when("strict", (b"true",), members({"parameters": _schema(MOST_LEVELS)}))
_STRICT_TOOLS = members({"tools": each(in_turn(_FUNCTION, members({"function": _FUNCTION})))})
