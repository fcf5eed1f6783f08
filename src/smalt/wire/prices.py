"""What tokens cost on a deployment. Money is an integer of nano-USD.

Source of the rules: Azure's pricing pages and its price feed, both by way of models.json.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from smalt.types import Usage
from smalt.wire.models import ModelData, TokenPrice, model_data, model_table

_NUSD = 10**9  # of a USD
_TOKENS = 10**6  # that a rate is for
_LIST = Decimal(1)
# Regional prices are not in the data: Standard counts as Global, which costs up to 27 % less.
_STANDARD_SKUS = ("standard", "globalstandard")
_ZONE_SKUS = ("datazonestandard", "datazonebatch")
_BATCH_SKUS = ("globalbatch", "datazonebatch")
_OTHER_CLOUDS = ("usgov", "usdod", "china")  # prices of their own, which are not known


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-USD per 1M tokens."""

    input_nusd: int
    cached_nusd: int
    cache_write_nusd: int
    output_nusd: int


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost on one deployment.

    `long_rates`: for all tokens of a request whose prompt exceeds `long_over_tokens`. `by_hour`: the
    deployment is provisioned; its hours are billed whatever it does, and tokens cost nothing on top.
    """

    rates: Rates
    long_rates: Rates | None = None
    long_over_tokens: int = 0
    by_hour: bool = False

    def cost_nusd(self, usage: Usage) -> int:
        """Rounded once, to the nearest nano-USD, halves up."""
        long = self.long_rates if usage.input_tokens > self.long_over_tokens else None
        rates = long or self.rates
        fresh_tokens = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
        cost = (
            fresh_tokens * rates.input_nusd
            + usage.cached_tokens * rates.cached_nusd
            + usage.cache_write_tokens * rates.cache_write_nusd
            + usage.output_tokens * rates.output_nusd
        )
        return (cost + _TOKENS // 2) // _TOKENS


_PROVISIONED = Price(Rates(0, 0, 0, 0), by_hour=True)


@lru_cache(maxsize=1_000)
def price_of(
    model: str,
    sku: str | None,
    region: str | None = None,
    service_tier: str | None = None,
    own: TokenPrice | None = None,
) -> Price | None:
    """The price of a model's tokens on a deployment type; None if it is not known, never a guess.

    `region`: of the resource, in Azure's spelling; data zones need it. `service_tier`: as the answer names
    it, None for the default. `own`: takes the place of the list price on every deployment type and region
    that bills tokens; tiers, batch and long prompts cost their usual multiple of it. Raises ValueError for
    an own price of more than six decimals.
    """
    kind = (sku or "Standard").lower()
    if "provisioned" in kind:
        return _PROVISIONED
    data = model_data(model)
    base = own or (data.list_price if data else None)
    place = _LIST if own else _place_factor(data, kind, region or "")
    tier = _tier_factor(data, "batch" if kind in _BATCH_SKUS else service_tier)
    if base is None or place is None or tier is None:
        return None
    rates = _rates(base, place * tier, place * tier)
    long = data.long_context if data else None
    if long is None:
        return Price(rates)
    long_rates = _rates(base, place * tier * long.input_factor, place * tier * long.output_factor)
    return Price(rates, long_rates, long.over_tokens)


def _place_factor(data: ModelData | None, kind: str, region: str) -> Decimal | None:
    if region.lower().startswith(_OTHER_CLOUDS):
        return None
    if kind in _ZONE_SKUS:
        zone = model_table().zone_of(region)
        if data is None or zone is None:
            return None
        return data.zone_factors.get(zone, model_table().factors[zone])
    return _LIST if kind in (*_STANDARD_SKUS, *_BATCH_SKUS) else None


def _tier_factor(data: ModelData | None, tier: str | None) -> Decimal | None:
    match tier:
        case None | "default":
            return _LIST
        case "priority":
            return data.priority_factor if data else None
        case "batch" | "flex":
            return model_table().factors[tier]
        case _:
            return None


def _rates(price: TokenPrice, input_factor: Decimal, output_factor: Decimal) -> Rates:
    cached = price.input_usd if price.cached_usd is None else price.cached_usd
    cache_write = price.input_usd if price.cache_write_usd is None else price.cache_write_usd
    return Rates(
        _nusd(price.input_usd * input_factor),
        _nusd(cached * input_factor),
        _nusd(cache_write * input_factor),
        _nusd(price.output_usd * output_factor),
    )


def _nusd(usd: Decimal) -> int:
    nusd = usd * _NUSD
    if nusd != int(nusd):
        raise ValueError(f"{usd} USD per 1M tokens has more than nine decimals")
    return int(nusd)


def usd_text(nusd: int) -> str:
    """Decimal text of an amount, for example 6982500 -> `0.0069825`."""
    return format((Decimal(nusd) / _NUSD).normalize(), "f")
