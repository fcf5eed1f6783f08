"""How settings write numbers."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from smalt.config.numbers import Count, Delay, Penalty, Probability, Seconds, Temperature, Tokens, Usd, Whole


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        (Count, "3", 3),
        (Whole, 0, 0),
        (Tokens, "120k", 120_000),
        (Tokens, "1.5M", 1_500_000),
        (Seconds, "0.5", 0.5),
        (Delay, 0, 0),
        (Temperature, 2, 2),
        (Probability, "0.1", 0.1),
        (Penalty, -2, -2),
        (Usd, 0.1, Decimal("0.1")),
    ],
)
def test_a_number_or_its_text(kind: Any, written: object, read: object) -> None:
    """Variables hold texts. A price keeps the digits that were written."""
    assert TypeAdapter(kind).validate_python(written) == read


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        (Count, 0, "expected a whole number above 0"),
        (Count, True, "expected a whole number above 0"),
        (Whole, 1.5, "expected a whole number, 0 or more"),
        (Tokens, "1.5", "expected a whole number of tokens above 0 such as 120000, 120k or 1.5m"),
        (Seconds, 0, "expected a number of seconds above 0"),
        (Delay, -1, "expected a number of seconds, 0 or more"),
        (Temperature, 2.1, "expected a number from 0 to 2"),
        (Probability, "x", "expected a number from 0 to 1"),
        (Penalty, 3, "expected a number from -2 to 2"),
        (Usd, "0.0000001", "expected USD, 0 or more, with at most six decimals"),
    ],
)
def test_what_is_wrong_is_one_sentence(kind: Any, written: object, expected: str) -> None:
    """That says what would be right."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(written)
    assert [fault["msg"] for fault in refused.value.errors()] == [expected]
