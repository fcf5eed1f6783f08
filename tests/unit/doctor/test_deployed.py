"""What ARM says of a deployment, against the model of the settings."""

import pytest

from smalt.config.schema import Deployment
from smalt.doctor.az import Account
from smalt.doctor.deployed import Deployed, of_deployment


def codes(model: str, found_model: str, version: str) -> list[str]:
    found = Deployed("d", found_model, version, "Standard", 100, "Succeeded")
    spec = Deployment.model_validate({"model": model})
    return [one.code for one in of_deployment("east/d", spec, found, Account("east", "group", "id"))]


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o", "GPT-4o", "my-gpt-4o", "gpt-4o-prod", "gpt-4o-eu", "gpt-4o@eu", "gpt-4o-prod-0125"),
        *("azure/gpt-4o", "gpt-4o-2024-11-20", "azure/gpt-4o-2024-11-20", "gpt-4o-2025", "gpt-4o-narrator"),
        "chat",
    ],
)
def test_a_name_of_ones_own_tells_no_version(model: str) -> None:
    """Nor does a name that nobody knows accuse a deployment."""
    assert codes(model, "gpt-4o", "2024-11-20") == [""]


@pytest.mark.parametrize(
    ("model", "found_model", "version"),
    [
        ("gpt-3.5-turbo", "gpt-35-turbo", "0125"),
        ("gpt-3.5-turbo-0125", "gpt-35-turbo", "0125"),
        ("gpt-4", "gpt-4", "turbo-2024-04-09"),
        ("gpt-4-turbo", "gpt-4", "turbo-2024-04-09"),
        ("gpt-4-turbo-2024-04-09", "gpt-4", "turbo-2024-04-09"),
        ("gpt-4-1106-preview", "gpt-4", "1106-Preview"),
        ("gpt-4-0125-preview", "gpt-4", "0125-Preview"),
        ("gpt-4-vision-preview", "gpt-4", "vision-preview"),
        ("gpt-4o", "gpt-4o", "2024-05-13"),
        ("gpt-4o-2024-05-13", "gpt-4o", "2024-05-13"),
        ("gpt-4o-audio-preview-2024-12-17", "gpt-4o-audio-preview", "2024-12-17"),
        ("text-embedding-3-large", "text-embedding-3-large", "1"),
        ("whisper", "whisper", "001"),
    ],
)
def test_arm_spells_models_in_its_own_way(model: str, found_model: str, version: str) -> None:
    """Part of a model's name may stand in ARM's version."""
    assert codes(model, found_model, version) == [""]


@pytest.mark.parametrize(
    ("model", "found_model", "version", "code"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o", "2024-11-20", "other_version"),
        ("gpt-4o-2024-05-13", "gpt-4o", "2024-11-20", "other_version"),
        ("gpt-35-turbo-0301", "gpt-35-turbo", "0125", "other_version"),
        ("azure/gpt-4o-2024-08-06", "gpt-4o", "2024-11-20", "other_version"),
        ("gpt-4o", "gpt-4o-mini", "2024-07-18", "other_model"),
        ("my-gpt-4o", "gpt-4o-mini", "2024-07-18", "other_model"),
        ("gpt-4-turbo", "gpt-4", "0613", "other_model"),
        ("gpt-4o", "DeepSeek-R1", "1", "other_model"),
    ],
)
def test_what_is_really_another(model: str, found_model: str, version: str, code: str) -> None:
    """A known model, or the day of a version."""
    assert codes(model, found_model, version) == [code]
