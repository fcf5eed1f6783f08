from typing import Any

import pytest

from smalt.emulator.refusals import Refusal
from smalt.emulator.schemas import check_strict


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def nested(levels: int) -> dict[str, Any]:
    return closed(inner=nested(levels - 1)) if levels > 1 else closed()


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        closed(a={"type": "string", "enum": ["x"]}, b=closed(c={"type": ["integer", "null"]})),
        closed(items={"type": "array", "items": {"$ref": "#/$defs/one"}}) | {"$defs": {"one": closed()}},
        nested(5),
    ],
)
def test_what_strict_mode_takes(schema: dict[str, Any]) -> None:
    """Closed objects with every property required, enums, references, five levels."""
    check_strict(schema, "response_format 'x'", "response_format")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array"}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."),
        ({"anyOf": [closed()]}, "schema must be a JSON Schema"),
        (
            {"type": "object"},
            "In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (closed(a={"type": "string"}) | {"required": []}, "Missing 'a'."),
        (
            closed(a={"type": "string", "minLength": 1}),
            "In context=('properties', 'a'), 'minLength' is not permitted.",
        ),
        (closed(a={"type": "array", "items": {"type": "object"}}), "In context=('properties', 'a', 'items')"),
        (closed(a={"anyOf": [{"type": "object"}]}), "In context=('properties', 'a', 'anyOf', '0')"),
        (closed() | {"$defs": {"one": {"type": "object"}}}, "In context=('$defs', 'one')"),
        (closed(a=7), "schema must be an object"),
        (nested(6), "exceeded the maximum of 5 nesting levels"),
        (closed(**{f"p{n}": {"type": "null"} for n in range(101)}), "exceeded the maximum of 100"),
    ],
)
def test_what_strict_mode_refuses(schema: dict[str, Any], words: str) -> None:
    """With the place and the rule."""
    with pytest.raises(Refusal) as caught:
        check_strict(schema, "response_format 'x'", "response_format")
    error = caught.value.canned.body["error"]
    assert error["param"] == "response_format"
    assert words in error["message"]
