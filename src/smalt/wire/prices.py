"""What tokens cost: list prices from models.json. Money is an integer of nano-USD."""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

from smalt.types import Usage

NUSD_PER_TOKEN_AT_1_USD_PER_1M = 1_000
# Data zones and provisioned throughput are priced otherwise; nothing is guessed for them.
LIST_PRICE_SKUS = {None, "Standard", "GlobalStandard"}


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-USD per token."""

    input_nusd: int
    cached_nusd: int
    output_nusd: int

    def cost_nusd(self, usage: Usage) -> int:
        return (
            (usage.input_tokens - usage.cached_tokens) * self.input_nusd
            + usage.cached_tokens * self.cached_nusd
            + usage.output_tokens * self.output_nusd
        )


def price_of(model: str, sku: str | None) -> Price | None:
    """The price of a model's tokens on a deployment type; None if it is not known."""
    return _prices().get(model) if sku in LIST_PRICE_SKUS else None


@cache
def _prices() -> dict[str, Price]:
    data = json.loads(files("smalt.wire").joinpath("models.json").read_text("utf-8"))
    return {
        model: Price(*(_nusd_per_token(row[column]) for column in ("input_usd", "cached_usd", "output_usd")))
        for model, row in data["models"].items()
    }


def _nusd_per_token(usd_per_1m: str) -> int:
    nusd = Decimal(usd_per_1m) * NUSD_PER_TOKEN_AT_1_USD_PER_1M
    if nusd != int(nusd):
        raise ValueError(f"{usd_per_1m} USD per 1M tokens is finer than 1 nano-USD per token")
    return int(nusd)


def usd_text(nusd: int) -> str:
    """Decimal text of an amount, for example 6982500 -> `0.0069825`."""
    return format((Decimal(nusd) / 10**9).normalize(), "f")
