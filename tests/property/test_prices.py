"""What costs must obey for any usage."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from smalt.types import Usage
from smalt.wire.models import ModelData, infer_model, model_data, model_table
from smalt.wire.prices import price_of

PRICED = [model for model in model_table().models if model.list_price]
tokens = st.integers(0, 2_000_000)
places = st.sampled_from(
    [
        (None, None, Fraction(1)),
        ("DataZoneStandard", "japaneast", Fraction("1.2")),
        ("GlobalBatch", None, Fraction("0.5")),
        ("DataZoneBatch", "eastus", Fraction("0.55")),
    ]
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, written, fresh = draw(tokens), draw(tokens), draw(tokens)
    return Usage(cached + written + fresh, draw(tokens), cached, written)


@given(st.sampled_from(PRICED), places, usages())
@settings(max_examples=300, deadline=None)
def test_a_cost_is_exact_to_half_a_nano_usd(
    data: ModelData, place: tuple[str | None, str | None, Fraction], usage: Usage
) -> None:
    """Computed another way, in fractions: list price, place, length."""
    sku, region, factor = place
    price = price_of(data.name, sku, region)
    assert data.list_price
    assert price
    listed, long = data.list_price, data.long_context
    is_long = long is not None and usage.input_tokens > long.over_tokens
    cached = listed.input_usd if listed.cached_usd is None else listed.cached_usd
    written = listed.input_usd if listed.cache_write_usd is None else listed.cache_write_usd
    fresh_tokens = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    prompt = (
        fresh_tokens * Fraction(listed.input_usd)
        + usage.cached_tokens * Fraction(cached)
        + usage.cache_write_tokens * Fraction(written)
    )
    answer = usage.output_tokens * Fraction(listed.output_usd)
    if long and is_long:
        prompt, answer = prompt * Fraction(long.input_factor), answer * Fraction(long.output_factor)
    nusd = (prompt + answer) * factor * 1_000
    assert abs(price.cost_nusd(usage) - nusd) <= Fraction(1, 2)


@given(st.sampled_from(PRICED), usages())
@settings(max_examples=200, deadline=None)
def test_more_tokens_never_cost_less(data: ModelData, usage: Usage) -> None:
    """Of input and of output."""
    price = price_of(data.name, None)
    assert price
    cost = price.cost_nusd(usage)
    more_in = Usage(
        usage.input_tokens + 1, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens
    )
    more_out = Usage(
        usage.input_tokens, usage.output_tokens + 1, usage.cached_tokens, usage.cache_write_tokens
    )
    assert price.cost_nusd(more_in) >= cost
    assert price.cost_nusd(more_out) >= cost


@given(st.text(alphabet="gpto4135.-_ mini nano turbo audio prod", max_size=40) | st.text())
@settings(max_examples=500, deadline=None)
def test_a_name_tells_a_model_that_is_known_or_none(name: str) -> None:
    """Whatever the text; case never matters."""
    model = infer_model(name)
    assert model is None or model_data(model) is not None
    assert infer_model(name.lower()) == model
