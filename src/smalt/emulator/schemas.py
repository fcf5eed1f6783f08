"""What `strict` asks of a JSON schema. Source: "Structured outputs", supported schemas and limitations."""

from collections.abc import Mapping
from typing import Any

from smalt.emulator.refusals import Refusal, invalid_request

MAX_PROPERTIES = 100
MAX_DEPTH = 5

_UNSUPPORTED = (
    *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf", "patternProperties"),
    *("unevaluatedProperties", "propertyNames", "minProperties", "maxProperties", "unevaluatedItems"),
    *("contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems"),
)

Context = tuple[str, ...]


def check_strict(schema: Mapping[str, Any], owner: str, param: str) -> None:
    """Raises `Refusal` for the first thing strict mode does not take. `owner`: as in `function 'look'`."""
    _Checker(owner, param).root(schema)


class _Checker:
    def __init__(self, owner: str, param: str) -> None:
        self._owner = owner
        self._param = param
        self._properties = 0

    def root(self, schema: Mapping[str, Any]) -> None:
        if "anyOf" in schema or schema.get("type") != "object":
            raise self._refusal(
                f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
            )
        self._check(schema, (), 1)

    def _check(self, schema: object, context: Context, depth: int) -> None:
        if not isinstance(schema, dict):
            raise self._refusal(f"In context={context}, schema must be an object.")
        if depth > MAX_DEPTH:
            raise self._refusal(f"In context={context}, exceeded the maximum of {MAX_DEPTH} nesting levels.")
        for name in _UNSUPPORTED:
            if name in schema:
                raise self._refusal(f"In context={context}, '{name}' is not permitted.")
        if schema.get("type") == "object" or "properties" in schema:
            self._check_object(schema, context, depth)
        if "items" in schema:
            self._check(schema["items"], (*context, "items"), depth + 1)
        for index, choice in enumerate(_list(schema.get("anyOf"))):
            self._check(choice, (*context, "anyOf", str(index)), depth)
        for name in ("$defs", "definitions"):
            for key, value in _dict(schema.get(name)).items():
                self._check(value, (*context, name, key), 1)

    def _check_object(self, schema: Mapping[str, Any], context: Context, depth: int) -> None:
        if schema.get("additionalProperties") is not False:
            raise self._refusal(
                f"In context={context}, 'additionalProperties' is required to be supplied and to be false."
            )
        properties = _dict(schema.get("properties"))
        self._properties += len(properties)
        if self._properties > MAX_PROPERTIES:
            raise self._refusal(f"exceeded the maximum of {MAX_PROPERTIES} object properties.")
        missing = [name for name in properties if name not in _list(schema.get("required"))]
        if missing:
            raise self._refusal(
                f"In context={context}, 'required' is required to be supplied and to be an array including "
                f"every key in properties. Missing '{missing[0]}'."
            )
        for name, value in properties.items():
            self._check(value, (*context, "properties", name), depth + 1)

    def _refusal(self, what: str) -> Refusal:
        code = "invalid_function_parameters" if self._owner.startswith("function") else None
        return invalid_request(f"Invalid schema for {self._owner}: {what}", param=self._param, code=code)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
