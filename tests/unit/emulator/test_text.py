from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator.text import dice, fitting, prose


def test_the_same_seed_says_the_same() -> None:
    """Prose follows from the dice alone."""
    assert prose(dice(1, "a"), 50) == prose(dice(1, "a"), 50) != prose(dice(2, "a"), 50)


def test_a_longer_prompt_gets_a_longer_answer() -> None:
    """The length of an answer relates to that of the prompt."""
    assert len(prose(dice(1), 5)) < len(prose(dice(1), 2_000))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string", "minLength": 12, "maxLength": 14}, str),
        ({"type": "integer", "minimum": 5, "maximum": 7}, int),
        ({"type": "number", "minimum": 0.5, "maximum": 0.9}, float),
        ({"type": "boolean"}, bool),
        ({"type": "null"}, type(None)),
        ({"type": ["string", "null"]}, str),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, list),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, int),
    ],
)
def test_a_value_has_the_kind_of_its_schema(schema: dict[str, Any], kind: type) -> None:
    """Every type of the schema subset is filled with a value of that type."""
    assert type(fitting(schema, dice(0))) is kind


def test_an_enum_is_respected() -> None:
    """One of the listed values is taken, a constant as it is."""
    assert fitting({"enum": ["x", "y"]}, dice(0)) in {"x", "y"}
    assert fitting({"const": 7}, dice(0)) == 7


def test_an_object_has_its_properties() -> None:
    """Required and optional properties are filled in."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    assert set(fitting(schema, dice(0))) == {"city", "days"}


def test_a_recursive_schema_ends() -> None:
    """References are followed, but not for ever."""
    schema = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
        "$ref": "#/$defs/node",
    }
    assert "next" in fitting(schema, dice(0))


@given(st.integers(-50, 50), st.integers(0, 50), st.integers())
def test_numbers_stay_within_their_bounds(low: int, span: int, seed: int) -> None:
    """Minimum and maximum hold for any dice."""
    schema = {"type": "integer", "minimum": low, "maximum": low + span}
    assert low <= fitting(schema, dice(seed)) <= low + span
