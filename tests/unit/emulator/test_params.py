from typing import Any

import pytest

from smalt.emulator.params import Rule, check, check_all, require
from smalt.emulator.refusals import Refusal


def refused(param: str, value: object, rule: Rule) -> dict[str, Any]:
    with pytest.raises(Refusal) as caught:
        check(param, value, rule)
    assert caught.value.canned.status == 400
    error: dict[str, Any] = caught.value.canned.body["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    return error


@pytest.mark.parametrize(
    ("value", "rule", "code"),
    [
        ("x", Rule("decimal"), "invalid_type"),
        (True, Rule("integer"), "invalid_type"),
        (1.5, Rule("integer"), "invalid_type"),
        (3, Rule("decimal", 0, 2), "decimal_above_max_value"),
        (0, Rule("integer", 1), "integer_below_min_value"),
        ([], Rule("array", 1), "empty_array"),
        ([1, 2], Rule("array", 1, 1), "array_above_max_length"),
        ("abc", Rule("string", high=2), "string_above_max_length"),
        ("c", Rule("string", choices=("a", "b")), "invalid_value"),
    ],
)
def test_a_wrong_value_is_refused_with_its_code(value: object, rule: Rule, code: str) -> None:
    """Each kind of fault has the code OpenAI gives it."""
    assert refused("p", value, rule)["code"] == code


def test_the_message_says_what_was_expected() -> None:
    """Texts are those of the model backend."""
    assert refused("temperature", 3, Rule("decimal", 0, 2))["message"] == (
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead."
    )
    assert refused("n", "x", Rule("integer"))["message"] == (
        "Invalid type for 'n': expected an integer, but got a string instead."
    )


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (1, Rule("decimal", 0, 2)),
        (True, Rule("boolean")),
        ("a", Rule("string", choices=("a",))),
        ([1], Rule("any")),
    ],
)
def test_a_right_value_passes(value: object, rule: Rule) -> None:
    """Bounds are inclusive and whole numbers are decimals too."""
    check("p", value, rule)


def test_an_unknown_parameter_is_refused() -> None:
    """A parameter nobody knows is an unrecognised argument."""
    with pytest.raises(Refusal, match="Unrecognized request argument supplied: nope"):
        check_all({"nope": 1}, {}, "v1")


def test_a_parameter_needs_its_api_version() -> None:
    """What started later is unknown to older versions, and known to v1."""
    rules = {"store": Rule("boolean", since="2024-12")}
    check_all({"store": True}, rules, "2024-12-01-preview")
    check_all({"store": True}, rules, "v1")
    with pytest.raises(Refusal, match=r"Unknown parameter: 'store'\."):
        check_all({"store": True}, rules, "2024-10-21")


def test_null_counts_as_absent() -> None:
    """An optional parameter may be null, a required one may not."""
    check_all({"n": None}, {"n": Rule("integer")}, "v1")
    with pytest.raises(Refusal, match="Missing required parameter: 'n'"):
        require({"n": None}, "n")
