from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes, http_attributes

from smalt.observe import conventions
from smalt.types import Operation

THEIRS = {
    value
    for module in (gen_ai_attributes, gen_ai_metrics, error_attributes, http_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}
OURS = {name: value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("name", sorted(set(OURS) - {"AZURE", "OPENAI"}))
def test_names_are_opentelemetrys(name: str) -> None:
    """As its own package has them."""
    assert OURS[name] in THEIRS


def test_values_are_opentelemetrys() -> None:
    """Of operations and providers."""
    known: Any = {member.value for member in gen_ai_attributes.GenAiOperationNameValues}
    assert set(conventions.OPERATION_NAMES.values()) <= known
    assert set(conventions.OPERATION_NAMES) == set(Operation)
    providers = {member.value for member in gen_ai_attributes.GenAiProviderNameValues}
    assert {conventions.AZURE, conventions.OPENAI} <= providers


def test_boundaries_of_the_conventions() -> None:
    """By four from one token, by two from ten milliseconds."""
    assert conventions.TOKEN_BOUNDS[:3] == (1, 4, 16)
    assert conventions.TOKEN_BOUNDS[-1] == 67_108_864
    assert conventions.DURATION_BOUNDS_S[:3] == (0.01, 0.02, 0.04)
    assert conventions.DURATION_BOUNDS_S[-1] == 81.92
