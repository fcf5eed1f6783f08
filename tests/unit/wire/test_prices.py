"""What calls cost."""

from decimal import Decimal

import pytest

from smalt.types import Usage
from smalt.wire.models import ModelData, TokenPrice, model_table
from smalt.wire.prices import price_of, usd_text

OWN = TokenPrice(Decimal("2.25"), Decimal(9), cached_usd=Decimal("1.1"))


def cost(
    usage: Usage,
    model: str = "gpt-4o",
    sku: str | None = "GlobalStandard",
    region: str | None = None,
    *,
    own: TokenPrice | None = None,
) -> str | None:
    """In USD, as text; None if it is not known."""
    price = price_of(model, sku, region, usage.service_tier, own)
    return usd_text(price.cost_nusd(usage)) if price else None


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "expected"),
    [(1_245, 387, "0.0069825"), (28, 156, "0.00163"), (24, 9, "0.00015")],
)
def test_req_1_16_the_worked_examples(tokens_in: int, tokens_out: int, expected: str) -> None:
    """The worked examples for gpt-4o come out to the last digit."""
    assert cost(Usage(tokens_in, tokens_out)) == expected


@pytest.mark.parametrize(
    ("model", "per_1m_in", "per_1m_out"),
    [
        ("gpt-4o", "2.5", "10"),
        ("gpt-4o-mini", "0.15", "0.6"),
        ("gpt-4-turbo", "10", "30"),
        ("gpt-4", "30", "60"),
        ("gpt-35-turbo", "0.5", "1.5"),
    ],
)
@pytest.mark.parametrize("sku", [None, "Standard", "GlobalStandard"])
def test_req_1_17_the_price_table(model: str, per_1m_in: str, per_1m_out: str, sku: str | None) -> None:
    """The prices of the five models of the requirements; a regional deployment counts as Global."""
    assert cost(Usage(1_000_000), model, sku, "eastus") == per_1m_in
    assert cost(Usage(0, 1_000_000), model, sku) == per_1m_out


@pytest.mark.parametrize(
    "sku",
    ["ProvisionedManaged", "DataZoneProvisionedManaged", "GlobalProvisionedManaged", "provisionedmanaged"],
)
def test_req_1_17_provisioned_deployments_are_billed_by_the_hour(sku: str) -> None:
    """Tokens cost nothing on top, whatever the model and the price; the price says so."""
    for model, own in (("gpt-4o", None), ("gpt-9", None), ("gpt-4o", OWN)):
        price = price_of(model, sku, "eastus", own=own)
        assert price is not None
        assert price.by_hour
        assert price.cost_nusd(Usage(1_000_000, 1_000_000)) == 0
    standard = price_of("gpt-4o", "Standard")
    assert standard
    assert not standard.by_hour


def test_req_1_17_the_table_names_date_and_source() -> None:
    """The data say how old they are and where they come from."""
    table = model_table()
    assert table.as_of >= "2026-11-21"
    assert table.source.startswith("litellm ")


@pytest.mark.parametrize(
    ("model", "sku", "region", "tier"),
    [
        ("gpt-9", None, None, None),
        ("GPT-4o", None, None, None),
        ("", None, None, None),
        ("gpt-4o", "DataZoneStandard", None, None),
        ("gpt-4o", "DataZoneStandard", "uksouth", None),
        ("gpt-9", "DataZoneStandard", "eastus", None),
        ("gpt-4o", "Standard", "usgovvirginia", None),
        ("gpt-4o", "GlobalStandard", "ChinaEast2", None),
        ("gpt-4o", "DeveloperTier", "eastus", None),
        ("gpt-4o", None, None, "priority"),
        ("gpt-4o", None, None, "scale"),
        ("gpt-9", None, None, "priority"),
        ("gpt-audio-1.5", None, None, None),
        ("model-router", None, None, None),
    ],
)
def test_nothing_is_guessed(model: str, sku: str | None, region: str | None, tier: str | None) -> None:
    """An unknown model, place or tier, and tokens that do not all cost the same, have no price."""
    assert price_of(model, sku, region, tier) is None


@pytest.mark.parametrize(
    ("model", "sku", "region", "expected"),
    [
        ("gpt-4o", "DataZoneStandard", "eastus2", "13.75"),
        ("gpt-4o", "DataZoneStandard", "swedencentral", "13.75"),
        ("gpt-4o", "datazonestandard", "Japan East", "15"),
        ("gpt-6-sol", "DataZoneStandard", "eastus", "13.2"),
        ("gpt-6-sol", "DataZoneStandard", "francecentral", "14.4"),
        ("gpt-4o", "GlobalBatch", "eastus", "6.25"),
        ("gpt-4o", "DataZoneBatch", "eastus", "6.875"),
        ("text-embedding-3-large", "DataZoneStandard", "eastus", "0.143"),
    ],
)
def test_deployment_types(model: str, sku: str, region: str, expected: str) -> None:
    """Data zones cost more, some models more yet in the EU; batch costs half. For 1M tokens in, 1M out."""
    price = price_of(model, sku, region)
    assert price is not None
    assert usd_text(price.cost_nusd(Usage(100_000, 100_000)) * 10) == expected


@pytest.mark.parametrize(
    ("model", "tier", "expected"),
    [
        ("gpt-5.5", "default", "0.35"),
        ("gpt-5.5", "flex", "0.175"),
        ("gpt-5.5", "priority", "0.875"),
        ("gpt-4.1", "priority", "0.175"),
        ("gpt-5-mini", "priority", "0.0405"),
    ],
)
def test_service_tiers(model: str, tier: str, expected: str) -> None:
    """Flex costs half, priority what the model says. For 10,000 tokens in and out."""
    assert cost(Usage(10_000, 10_000, service_tier=tier), model) == expected


def test_cached_and_written_tokens_cost_their_own_price() -> None:
    """Both are part of the input."""
    usage = Usage(100, 2, cached_tokens=20, cache_write_tokens=30)
    assert cost(usage, "gpt-5.6-sol") == usd_text(50 * 4_000 + 20 * 400 + 30 * 5_000 + 2 * 20_000)


def test_without_a_price_of_their_own_they_cost_what_input_costs() -> None:
    """A model without a prompt cache discount."""
    assert cost(Usage(100, cached_tokens=50, cache_write_tokens=50), "gpt-4") == cost(Usage(100), "gpt-4")


def test_reasoning_tokens_are_output_already() -> None:
    """They are not billed twice."""
    assert cost(Usage(10, 100, reasoning_tokens=90), "o3") == cost(Usage(10, 100), "o3")


def test_a_report_that_does_not_add_up_never_costs_less_than_nothing() -> None:
    """More cached tokens than input ones."""
    assert cost(Usage(10, cached_tokens=20)) == usd_text(20 * 1_250)


@pytest.mark.parametrize(
    ("tokens_in", "expected"),
    [
        (272_000, 272_000 * 4_000 + 1_000 * 20_000),
        (272_001, 272_001 * 8_000 + 1_000 * 30_000),
    ],
)
def test_long_prompts_make_the_whole_request_dearer(tokens_in: int, expected: int) -> None:
    """Beyond 272,000 tokens: twice the input, one and a half times the output."""
    assert cost(Usage(tokens_in, 1_000), "gpt-5.6-sol") == usd_text(expected)


def test_long_prompts_on_top_of_everything_else() -> None:
    """Zone and tier multiply it; cached and written tokens are input."""
    usage = Usage(300_000, 1_000, 100_000, 100_000, service_tier="priority")
    expected = 100_000 * 2 * (2_000 + 200 + 2_500) * 2 + 1_000 * 10_000 * 3 // 2 * 2
    assert cost(usage, "gpt-6-sol", "DataZoneStandard", "westeurope") == usd_text(expected * 12 // 10)


def test_fractions_of_a_nano_usd_are_rounded_once() -> None:
    """gpt-5-nano's cached tokens cost 2.5 nano-USD each in batch: three cost 7.5, told as 8."""
    usage = Usage(3, cached_tokens=3)
    assert cost(usage, "gpt-5-nano", "GlobalBatch") == "0.000000008"
    assert cost(Usage(4, cached_tokens=4), "gpt-5-nano", "GlobalBatch") == "0.00000001"


def test_an_own_price_takes_the_place_of_the_list_price() -> None:
    """On every deployment type and region, for known and unknown models."""
    usage = Usage(2_000_000, 1_000_000, cached_tokens=1_000_000)
    for model in ("gpt-4o", "our-model"):
        for sku, region in ((None, None), ("Standard", "usgovvirginia"), ("DataZoneStandard", "westeurope")):
            assert cost(usage, model, sku, region, own=OWN) == "12.35"


def test_batch_tiers_and_long_prompts_multiply_an_own_price() -> None:
    """By what is usual for the model; priority is unknown for a model that is."""
    usage = Usage(1_000_000, 1_000_000)
    assert cost(usage, "gpt-4o", "GlobalBatch", own=OWN) == "5.625"
    assert cost(usage, "gpt-5.5", own=OWN) == "18"
    flex = Usage(1_000, service_tier="flex")
    assert cost(flex, "our-model", own=OWN) == "0.001125"
    assert cost(Usage(1_000, service_tier="priority"), "our-model", own=OWN) is None


@pytest.mark.parametrize("model", [m for m in model_table().models if m.list_price], ids=lambda m: m.name)
def test_every_price_is_exact_everywhere(model: ModelData) -> None:
    """No combination of zone, tier and length needs more than nine decimals of a USD for 1M tokens."""
    for sku, region in (
        ("GlobalBatch", None),
        ("DataZoneStandard", "westeurope"),
        ("DataZoneBatch", "japaneast"),
    ):
        for tier in (None, "flex", *(["priority"] if model.priority_factor else [])):
            price = price_of(model.name, sku, region, tier)
            assert price is not None
            assert (price.long_rates is None) is (model.long_context is None)


def test_a_price_too_fine_is_refused() -> None:
    """Not rounded away."""
    with pytest.raises(ValueError, match="more than nine decimals"):
        price_of("gpt-4o", None, own=TokenPrice(Decimal("0.0000000001"), Decimal(0)))


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
