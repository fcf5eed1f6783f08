"""Numbers as settings write them: as a number or as a text, with units where that helps."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}


def _number(expected: str, accept: Callable[[Decimal], bool], *, units: str = "()") -> BeforeValidator:
    """Read a number, or a text that holds one; `expected` is what the message asks for."""
    pattern = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)" + units)

    def read(value: object) -> object:
        match = None if isinstance(value, bool) else pattern.fullmatch(str(value).lower())
        number = Decimal(match[1]) * _FACTORS[match[2]] if match else None
        if number is None or not accept(number):
            raise PydanticCustomError("number", expected)
        return int(number) if number % 1 == 0 else float(number)

    return BeforeValidator(read)


def _number_schema(kind: str, text: str = r"^\$\{", **limits: float) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": kind, **limits}, {"type": "string", "pattern": text}]})


Count = Annotated[
    int,
    _number("expected a whole number above 0", lambda n: n > 0 and n % 1 == 0),
    _number_schema("integer", minimum=1),
]
Whole = Annotated[
    int,
    _number("expected a whole number, 0 or more", lambda n: n >= 0 and n % 1 == 0),
    _number_schema("integer", minimum=0),
]
Tokens = Annotated[
    int,
    _number(
        "expected a whole number of tokens above 0 such as 120000, 120k or 1.5m",
        lambda n: n > 0 and n % 1 == 0,
        units="([km]?)",
    ),
    _number_schema("integer", r"^(\$\{.*|\d+(\.\d+)?[kKmM]?)$", minimum=1),
]
Seconds = Annotated[
    float,
    _number("expected a number of seconds above 0", lambda n: n > 0),
    _number_schema("number", exclusiveMinimum=0),
]
Delay = Annotated[
    float,
    _number("expected a number of seconds, 0 or more", lambda n: n >= 0),
    _number_schema("number", minimum=0),
]


def _between(least: int, most: int) -> tuple[BeforeValidator, WithJsonSchema]:
    reader = _number(f"expected a number from {least} to {most}", lambda n: least <= n <= most)
    return reader, _number_schema("number", minimum=least, maximum=most)


Temperature = Annotated[float, *_between(0, 2)]
Probability = Annotated[float, *_between(0, 1)]
Penalty = Annotated[float, *_between(-2, 2)]


def _usd(value: object) -> object:
    """A price as it is written, never by way of a float's digits."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", str(value)):
        raise PydanticCustomError("number", "expected USD, 0 or more, with at most six decimals")
    return Decimal(str(value))


Usd = Annotated[
    Decimal, BeforeValidator(_usd), _number_schema("number", r"^(\$\{.*|\d+(\.\d+)?)$", minimum=0)
]
