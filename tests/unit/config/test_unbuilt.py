"""What has its place but is not built yet."""

from typing import Any

import pytest

from smalt.config.schema import Settings
from smalt.config.unbuilt import is_built, unbuilt


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"resources": {"e": {"identity": "cli"}}}, ("resources", "e", "identity")),
        (
            {"resources": {"e": {"deployments": {"d": {"weight": 2}}}}},
            ("resources", "e", "deployments", "d", "weight"),
        ),
        ({"models": {"m": {"strategy": "random"}}}, ("models", "m", "strategy")),
        ({"models": {"m": {"fallbacks": ["n"]}}}, ("models", "m", "fallbacks")),
        ({"breaker": {"failures": 6}}, ("breaker",)),
        ({"agents": {"a": {}}}, ("agents",)),
        ({"budgets": [1]}, ("budgets",)),
        ({"gateway": {"secrets": ["s"]}}, ("gateway", "secrets")),
        ({"gateway": {"callers_may_bring": ["h"]}}, ("gateway", "callers_may_bring")),
        ({"state_dir": "/var/lib/smalt"}, ("state_dir",)),
        ({"observe": {"log": "json"}}, ("observe", "log")),
        ({"observe": {"metrics": False}}, ("observe", "metrics")),
    ],
)
def test_what_is_set_and_not_built_is_found(data: dict[str, Any], path: tuple[str, ...]) -> None:
    """With the path of the setting."""
    assert list(unbuilt(Settings.model_validate(data))) == [path]


def test_defaults_may_be_written_out() -> None:
    """Saying what is so anyway asks for nothing."""
    data = {
        "breaker": {"failures": 5, "open_s": 30},
        "store": "sqlite",
        "teams": {},
        "observe": {"log": "text"},
    }
    assert list(unbuilt(Settings.model_validate(data))) == []


def test_what_is_built_is_not_marked() -> None:
    """The list of top-level keys that are not built."""
    marked = {name for name, field in Settings.model_fields.items() if not is_built(field)}
    assert set(Settings.model_fields) - marked == {
        "resources",
        "models",
        "prices",
        "retry",
        "timeouts",
        "gateway",
        "observe",
    }
