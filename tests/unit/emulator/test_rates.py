import pytest

from smalt.emulator.catalogue import MODELS
from smalt.emulator.rates import FLEX_MODELS, THROUGHPUT, requests_per_minute


@pytest.mark.parametrize(
    ("model", "per_million"),
    [
        ("gpt-35-turbo", 6_000),
        ("gpt-4o", 6_000),
        ("text-embedding-3-large", 6_000),
        ("gpt-4o-mini", 10_000),
        ("gpt-4.1-nano", 1_000),
        ("gpt-5", 10_000),
        ("gpt-5.4", 10_000),
        ("gpt-5-nano", 1_000),
        ("gpt-5.3-chat", 1_000),
        ("gpt-5.6-sol", 1_000),
        ("gpt-6.1-terra", 1_000),
        ("o3", 1_000),
        ("o3-pro", 100),
        ("o1-mini", 100),
    ],
)
def test_the_longest_beginning_of_a_name_decides(model: str, per_million: int) -> None:
    """A family has a ratio, and members of it may have another."""
    assert requests_per_minute(model, 1_000_000) == per_million


def test_fractions_of_a_request_are_kept() -> None:
    """o1 has one request for each 6,000 tokens, exactly."""
    assert requests_per_minute("o1", 6_000) == 1


def test_the_default_models_can_be_provisioned() -> None:
    """gpt-4o and the 4.1 family have a throughput; what may use flex is a model that can be deployed."""
    assert THROUGHPUT["gpt-4o"].input_tpm == 2_500
    assert {"gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"} < THROUGHPUT.keys() & MODELS.keys()
    assert set(FLEX_MODELS) <= set(MODELS)
