"""What has its place but is not built yet."""

from typing import Any

import pytest

from smalt.config.schema import Settings
from smalt.config.unbuilt import is_built, unbuilt


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"policies": [1]}, ("policies",)),
        ({"gateway": {"secrets": ["s"]}}, ("gateway", "secrets")),
        ({"state_dir": "/var/lib/smalt"}, ("state_dir",)),
    ],
)
def test_what_is_set_and_not_built_is_found(data: dict[str, Any], path: tuple[str, ...]) -> None:
    """With the path of the setting."""
    assert list(unbuilt(Settings.model_validate(data))) == [path]


def test_defaults_may_be_written_out() -> None:
    """Saying what is so anyway asks for nothing."""
    data = {
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
        "adapt",
        "budgets",
        "degraded",
        "prices",
        "quotas",
        "residency",
        "agents",
        "cache",
        "key_vault",
        "retry",
        "breaker",
        "timeouts",
        "network",
        "gateway",
        "observe",
    }
