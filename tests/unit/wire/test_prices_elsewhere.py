"""Our prices against those of the package genai-prices, which are collected by other people."""

import genai_prices
import pytest

from smalt.types import Usage
from smalt.wire.models import ModelData, model_table
from smalt.wire.prices import price_of

DIFFER = {  # model and kind of token: why
    ("gpt-5.4-pro", "cached"): "Azure lists a price for cached tokens, OpenAI none",
    ("gpt-5.5-pro", "cached"): "Azure lists a price for cached tokens, OpenAI none",
}
KINDS = {
    "input": (Usage(100_000), genai_prices.Usage(input_tokens=100_000)),
    "cached": (
        Usage(100_000, cached_tokens=100_000),
        genai_prices.Usage(input_tokens=100_000, cache_read_tokens=100_000),
    ),
    "written": (
        Usage(100_000, cache_write_tokens=100_000),
        genai_prices.Usage(input_tokens=100_000, cache_write_tokens=100_000),
    ),
    "output": (Usage(0, 100_000), genai_prices.Usage(input_tokens=0, output_tokens=100_000)),
    "long": (Usage(300_000, 1_000), genai_prices.Usage(input_tokens=300_000, output_tokens=1_000)),
}
PRICED = [model for model in model_table().models if model.list_price]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", PRICED, ids=lambda model: model.name)
def test_global_prices_agree(model: ModelData, kind: str) -> None:
    """To the last digit, but for the differences that are listed. They know every model that we price."""
    usage, their_usage = KINDS[kind]
    price = price_of(model.name, "GlobalStandard")
    assert price is not None
    their_name = model.name.replace("gpt-35", "gpt-3.5")
    theirs = genai_prices.calc_price(their_usage, their_name, provider_id="azure")  # else OpenAI's list price
    agree = price.cost_nusd(usage) == theirs.total_price * 10**9
    assert agree is ((model.name, kind) not in DIFFER)
