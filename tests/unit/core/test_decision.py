from collections.abc import Mapping

import pytest

from smalt.core.decision import Decision


@pytest.mark.parametrize(
    ("ranks", "home", "expected"),
    [
        ({"east/a": 0.5, "west/a": 0.25}, None, "west/a"),
        ({"east/a": 0.5, "west/a": 0.5}, None, "east/a"),
        ({"east/a": 0.5, "west/a": 0.25}, "east/a", "east/a"),
        ({}, None, None),
    ],
)
def test_a_decision_can_be_made_again(
    ranks: Mapping[str, float], home: str | None, expected: str | None
) -> None:
    """The lowest rank wins, of equal ones the first; the home of a prompt wins over all."""
    assert Decision(0, 100, {}, ranks, home, chosen=None).replay() == expected
