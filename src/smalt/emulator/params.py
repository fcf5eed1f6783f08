"""Checks of a request body, worded as the model backend words them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smalt.emulator.refusals import Refusal, invalid_request, named

Body = dict[str, Any]
Kind = Literal["any", "array", "boolean", "decimal", "integer", "object", "string"]

_TYPES: dict[Kind, tuple[type, ...]] = {
    "any": (object,),
    "array": (list,),
    "boolean": (bool,),
    "decimal": (int, float),
    "integer": (int,),
    "object": (dict,),
    "string": (str,),
}
_WORDS = {
    bool: "a boolean",
    dict: "an object",
    float: "a decimal",
    int: "an integer",
    list: "an array",
    str: "a string",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a parameter must be.

    `low`, `high`: bounds of a number, or of the length of an array or string. `since`: the first api-version,
    or its beginning, that knows the parameter.
    """

    kind: Kind
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    since: str = ""


def check_all(body: Body, rules: Mapping[str, Rule], version: str) -> None:
    """Raises `Refusal` for the first parameter that is unknown, too new or wrong. A null counts as absent."""
    for name, value in body.items():
        rule = rules.get(name)
        if rule is None:
            raise named("unrecognized_argument", message=f"Unrecognized request argument supplied: {name}")
        if version < rule.since:  # "v1" sorts after every date
            raise named("unknown_parameter", message=f"Unknown parameter: '{name}'.", param=name)
        if value is not None:
            check(name, value, rule)


def check(param: str, value: object, rule: Rule) -> None:
    """Raises `Refusal` unless `value` obeys `rule`. `param`: its path, as in `messages[0].role`."""
    types = _TYPES[rule.kind]
    if not isinstance(value, types) or (isinstance(value, bool) and rule.kind not in {"any", "boolean"}):
        raise wrong_type(param, value, expected=rule.kind)
    if rule.choices and value not in rule.choices:
        supported = ", ".join(f"'{choice}'" for choice in rule.choices)
        raise invalid_request(
            f"Invalid value: '{value}'. Supported values are: {supported}.", param=param, code="invalid_value"
        )
    if isinstance(value, list | str):
        _check_length(param, value, rule)
    elif isinstance(value, int | float):
        _check_bounds(param, value, rule)


def require(body: Body, name: str, *, param: str | None = None) -> Any:
    """The value called `name`. Raises `Refusal` if it is absent or null. `param`: its path, if nested."""
    value = body.get(name)
    if value is None:
        param = param or name
        raise invalid_request(
            f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    return value


def wrong_type(param: str, value: object, *, expected: str) -> Refusal:
    article = "an" if expected[0] in "aio" else "a"
    got = _WORDS[type(value)]
    return invalid_request(
        f"Invalid type for '{param}': expected {article} {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )


def _check_bounds(param: str, value: float, rule: Rule) -> None:
    for bound, beyond, side, word in (
        (rule.low, rule.low is not None and value < rule.low, "below minimum", "below_min"),
        (rule.high, rule.high is not None and value > rule.high, "above maximum", "above_max"),
    ):
        if beyond:
            sign = ">=" if bound is rule.low else "<="
            raise invalid_request(
                f"Invalid '{param}': {rule.kind} {side} value. Expected a value {sign} {bound}, "
                f"but got {value} instead.",
                param=param,
                code=f"{rule.kind}_{word}_value",
            )


def _check_length(param: str, value: list[object] | str, rule: Rule) -> None:
    size = len(value)
    article = "an" if rule.kind == "array" else "a"
    if rule.low and not size:
        raise invalid_request(
            f"Invalid '{param}': empty {rule.kind}. Expected {article} {rule.kind} with minimum length "
            f"{rule.low}, but got an empty {rule.kind} instead.",
            param=param,
            code=f"empty_{rule.kind}",
        )
    if rule.high is not None and size > rule.high:
        raise invalid_request(
            f"Invalid '{param}': {rule.kind} too long. Expected {article} {rule.kind} with maximum length "
            f"{rule.high}, but got {article} {rule.kind} with length {size} instead.",
            param=param,
            code=f"{rule.kind}_above_max_length",
        )
