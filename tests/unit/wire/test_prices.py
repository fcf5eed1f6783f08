import json
from importlib.resources import files

import pytest

from smalt.types import Usage
from smalt.wire import prices
from smalt.wire.prices import Price, price_of, usd_text


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "expected"),
    [(1_245, 387, "0.0069825"), (28, 156, "0.00163"), (24, 9, "0.00015")],
)
def test_req_1_16_the_worked_examples(tokens_in: int, tokens_out: int, expected: str) -> None:
    """The worked examples for gpt-4o come out to the last digit."""
    price = price_of("gpt-4o", "GlobalStandard")
    assert price is not None
    assert usd_text(price.cost_nusd(Usage(tokens_in, tokens_out))) == expected


def test_cached_tokens_cost_their_own_price() -> None:
    """Cached tokens are part of the input and cost less."""
    price = Price(input_nusd=100, cached_nusd=10, output_nusd=1_000)
    assert price.cost_nusd(Usage(50, 2, cached_tokens=20)) == 30 * 100 + 20 * 10 + 2 * 1_000


@pytest.mark.parametrize(
    ("model", "per_1m_in", "per_1m_out"),
    [
        ("gpt-4o", 2.5, 10),
        ("gpt-4o-mini", 0.15, 0.6),
        ("gpt-4-turbo", 10, 30),
        ("gpt-4", 30, 60),
        ("gpt-35-turbo", 0.5, 1.5),
    ],
)
def test_req_1_17_the_price_table(model: str, per_1m_in: float, per_1m_out: float) -> None:
    """The prices of the five models of the requirements."""
    price = price_of(model, None)
    assert price is not None
    assert (price.input_nusd, price.output_nusd) == (per_1m_in * 1_000, per_1m_out * 1_000)


@pytest.mark.parametrize(
    ("model", "sku"),
    [
        ("gpt-9", None),
        ("GPT-4o", None),
        ("", None),
        ("gpt-4o", "DataZoneStandard"),
        ("gpt-4o", "ProvisionedManaged"),
        ("gpt-4o", "GlobalBatch"),
    ],
)
def test_nothing_is_guessed(model: str, sku: str | None) -> None:
    """An unknown model or a deployment type with other prices has no price."""
    assert price_of(model, sku) is None


def test_the_table_names_date_and_source() -> None:
    """The data say how old they are and where they come from."""
    data = json.loads(files("smalt.wire").joinpath("models.json").read_text("utf-8"))
    assert data["as_of"]
    assert data["source"]


@pytest.mark.parametrize(("model", "price"), sorted(prices._prices().items()))
def test_every_price_is_sane(model: str, price: Price) -> None:
    """Cached tokens never cost more than fresh ones, and input is never free."""
    assert 0 < price.cached_nusd <= price.input_nusd, model


def test_a_price_too_fine_is_refused() -> None:
    """A price below one nano-USD per token is a fault in the data, not rounded away."""
    with pytest.raises(ValueError, match="finer"):
        prices._nusd_per_token("0.0001")


@pytest.mark.parametrize(
    ("nusd", "expected"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (6_982_500, "0.0069825"),
        (1_000_000_000, "1"),
        (10_000_000_000, "10"),
        (1_234_000_000_000, "1234"),
    ],
)
def test_amounts_as_text(nusd: int, expected: str) -> None:
    """Amounts are decimal text without exponents or trailing zeros."""
    assert usd_text(nusd) == expected
