"""What Azure ties to a model: requests per token of limit, throughput per PTU, who may use flex.

Requests: Azure's quota and limits page, tier tables of August 2026. Throughput: its page on sizing of
2026-09-23.
"""

from dataclasses import dataclass
from fractions import Fraction

PROVISIONED_SKUS = ("ProvisionedManaged", "DataZoneProvisionedManaged", "GlobalProvisionedManaged")
FLEX_MODELS = ("gpt-5.6-sol",)

_CLASSIC_RPM = Fraction(6)  # requests for each thousand tokens of limit
_RPM = {  # the longest beginning of a model's name counts
    "gpt-4.1": Fraction(1),
    "gpt-4o-mini": Fraction(10),
    "gpt-5": Fraction(10),
    "gpt-5-mini": Fraction(1),
    "gpt-5-nano": Fraction(1),
    "gpt-5.3-chat": Fraction(1),
    "gpt-5.5": Fraction(1),
    "gpt-5.6": Fraction(1),
    "gpt-6": Fraction(1),
    "o1": Fraction(1, 6),
    "o1-mini": Fraction(1, 10),
    "o3": Fraction(1),
    "o3-mini": Fraction(1, 10),
    "o3-pro": Fraction(1, 10),
    "o4-mini": Fraction(1),
}


@dataclass(frozen=True, slots=True)
class Throughput:
    """`input_tpm`: input tokens a minute for each PTU. The weights: 1 is an uncached input token."""

    input_tpm: int
    output_weight: int
    cached_weight: float = 0.0


_GPT_6_CACHED = 0.1
THROUGHPUT = {
    "gpt-6-sol": Throughput(3_000, 5, _GPT_6_CACHED),
    "gpt-6-astra": Throughput(600, 5, _GPT_6_CACHED),
    "gpt-5.6-sol": Throughput(1_200, 6),
    "gpt-5.6-terra": Throughput(3_000, 6),
    "gpt-5.6-luna": Throughput(30_000, 6),
    "gpt-5.5": Throughput(1_200, 6),
    "gpt-5.4": Throughput(2_400, 6),
    "gpt-5.4-mini": Throughput(7_900, 6),
    "gpt-5.3-codex": Throughput(3_400, 8),
    "gpt-5.2": Throughput(3_400, 8),
    "gpt-5.1": Throughput(4_750, 8),
    "gpt-5": Throughput(4_750, 8),
    "gpt-5-mini": Throughput(23_750, 8),
    "gpt-4.1": Throughput(3_000, 4),
    "gpt-4.1-mini": Throughput(14_900, 4),
    "gpt-4.1-nano": Throughput(59_400, 4),
    "gpt-4o": Throughput(2_500, 4),
    "gpt-4o-mini": Throughput(37_000, 4),
    "o3": Throughput(3_000, 4),
    "o4-mini": Throughput(5_400, 4),
}


def requests_per_minute(model: str, limit_tpm: int) -> Fraction:
    """The request limit that comes with a token limit."""
    family = max((name for name in _RPM if model.startswith(name)), key=len, default="")
    return _RPM.get(family, _CLASSIC_RPM) * limit_tpm / 1_000
