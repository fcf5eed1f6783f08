"""Strict tools lose the keywords that Azure refuses and that only narrow values."""

import json
from typing import Any

import pytest

from smalt.emulator import schemas
from smalt.emulator.schemas import check_strict
from smalt.wire.strict_schemas import MOST_LEVELS, NARROWING, widen

DESCRIBED = {"type": "string", "description": "a name", "enum": ["a"]}


def dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def object_of(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def chat(parameters: object, *, strict: object = True) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"strict": strict, "parameters": parameters}}]}


def responses(parameters: object, *, strict: object = True) -> dict[str, Any]:
    return {"tools": [{"type": "function", "name": "f", "strict": strict, "parameters": parameters}]}


@pytest.mark.parametrize("offered", [chat, responses])
@pytest.mark.parametrize("keyword", sorted(NARROWING))
def test_a_narrowing_keyword_goes(offered: Any, keyword: str) -> None:
    """Wherever a schema may stand; what remains is what Azure takes."""
    narrow, wide = {**DESCRIBED, keyword: 1}, DESCRIBED
    before, after = (
        object_of(
            plain=part,
            items={"type": "array", "items": part},
            either={"anyOf": [part, {"type": "null"}]},
            inner=object_of(part=part),
        )
        | {"$defs": {"part": part}, "definitions": {"part": part}}
        for part in (narrow, wide)
    )
    assert json.loads(widen(dumped(offered({**before, keyword: 1})))) == offered(after)
    check_strict(after, "function 'f'", "tools")


def test_all_that_azure_refuses_is_known_but_what_carries_meaning() -> None:
    """patternProperties say which members there may be; without them those would be forbidden."""
    assert set(schemas._UNSUPPORTED) - NARROWING == {"patternProperties"}
    assert set(schemas._UNSUPPORTED) >= NARROWING


def test_everything_else_is_byte_true() -> None:
    """Numbers, escapes and the tools that are not strict."""
    body = (
        b'{"t":1.0e-5,"tools":[{"type":"function","function":{"strict":true,"name":"\\u00fc","parameters":'
        b'{"properties":{"a":{"minimum":1.50,"enum":[1.0, 1e5]}}}}},'
        b'{"type":"function","function":{"parameters":{"properties":{"a":{"minimum":1.50}}}}}],'
        b'"messages":[ {"content" : "\xff"} ]}'
    )
    assert widen(body) == body.replace(b'"minimum":1.50,', b"", 1)


@pytest.mark.parametrize(
    "asked",
    [
        chat(object_of(a={"minimum": 1}), strict=False),
        chat(object_of(a={"minimum": 1}), strict=None),
        chat(object_of(a={"minimum": 1}), strict="true"),
        {"tools": [{"type": "function", "function": {"parameters": object_of(a={"minimum": 1})}}]},
        chat(object_of(a=DESCRIBED)),
        chat(object_of(minimum=DESCRIBED, format=DESCRIBED)),  # members of these names
        chat(object_of(a={"enum": ["minimum"], "default": {"minimum": 1}, "const": {"format": 1}})),
        chat(object_of(a={"oneOf": [{"minimum": 1}]})),  # refused as a whole
        chat({"properties": [{"minimum": 1}], "items": True, "anyOf": {"minimum": {"minimum": 1}}}),
        chat(None),
        {"response_format": {"json_schema": {"strict": True, "schema": object_of(a={"minimum": 1})}}},
        {"tools": {"strict": True}},
    ],
)
def test_what_stays(asked: dict[str, Any]) -> None:
    """Tools that are not strict, other members of these names, what is no schema, and forms of answers."""
    body = dumped(asked)
    assert widen(body) is body


def test_a_schema_without_end_is_looked_into_so_far() -> None:
    """Azure takes five levels; the depth of a request must not decide how long it takes."""
    schema: dict[str, Any] = {"minimum": 1}
    for _ in range(MOST_LEVELS + 3):
        schema = {"items": schema, "minimum": 1}
    widened = json.loads(widen(dumped(chat(schema))))["tools"][0]["function"]["parameters"]
    levels = []
    while widened:
        levels.append("minimum" in widened)
        widened = widened.get("items")
    assert levels == [False] * MOST_LEVELS + [True] * 4
