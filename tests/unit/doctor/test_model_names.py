"""Models and versions that names mean."""

import pytest

from smalt.doctor.model_names import meant, named


@pytest.mark.parametrize(
    ("name", "model", "version"),
    [
        ("gpt-4o", "gpt-4o", ""),
        ("gpt-4o-2024-05-13", "gpt-4o", "2024-05-13"),
        ("gpt-3.5-turbo-0125", "gpt-35-turbo", "0125"),
        ("azure/GPT-4o-2024-08-06", "gpt-4o", "2024-08-06"),
        ("gpt-4-1106-preview", "gpt-4-1106-preview", ""),
        ("gpt-4o-2025", None, ""),
        ("gpt-4o-prod", None, ""),
        ("", None, ""),
    ],
)
def test_names_of_models(name: str, model: str | None, version: str) -> None:
    """A version is a day."""
    assert named(name) == (model, version)


def test_names_that_people_gave() -> None:
    """They tell a model, but no version."""
    assert meant("gpt-4o-prod") == meant("my-gpt-4o") == meant("gpt-4o-prod-0125") == ("gpt-4o", "")
    assert meant("gpt-4o-2024-08-06") == ("gpt-4o", "2024-08-06")
    assert meant("chat") == (None, "")
