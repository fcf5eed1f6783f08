"""What the gateway refuses to start with."""

import pytest

from smalt.config import Settings
from smalt.errors import ConfigurationError
from smalt.gateway.server import Serving, serve


def test_a_budget_that_would_bound_nothing() -> None:
    """Calls of the gateway have no tags; nobody shall believe that theirs are counted."""
    settings = Settings.model_validate({"budgets": [{"tokens": 5}, {"tokens": 5, "tag": "search"}]})
    announced: list[Serving] = []
    with pytest.raises(ConfigurationError, match=r"^budgets\[1\]\.tag: the gateway knows no tags yet"):
        serve(settings, announced.append)
    assert announced == []
