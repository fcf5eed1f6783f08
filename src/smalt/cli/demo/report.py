"""What the story adds up to: our own count beside the emulator's bill."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from openai.types import CompletionUsage

from smalt.observe.totals import Sums

NUSD_PER_USD = 10**9


@dataclass(slots=True)
class Tally:
    """Requests one door sent to one upstream."""

    answers: int = 0
    attempts: int = 0
    lost_attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    @classmethod
    def of_gateway(cls, row: Mapping[str, Any]) -> Self:
        """A row of the gateway's usage page."""
        return cls(
            row["calls"],
            row["attempts"],
            row["failed_attempts"],
            row["input_tokens"],
            row["output_tokens"],
            Decimal(row["cost_usd"]),
        )

    @classmethod
    def of_library(cls, sums: Sums) -> Self:
        return cls(
            sums.calls,
            sums.attempts,
            sums.failed_attempts,
            sums.input_tokens,
            sums.output_tokens,
            Decimal(sums.cost_nusd) / NUSD_PER_USD,
        )

    def add(self, other: "Tally") -> None:
        self.answers += other.answers
        self.attempts += other.attempts
        self.lost_attempts += other.lost_attempts
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd += other.cost_usd

    def add_answer(self, usage: CompletionUsage | None) -> None:
        """One more request that was answered at once; its cost is nobody's concern here."""
        self.answers += 1
        self.attempts += 1
        self.input_tokens += usage.prompt_tokens if usage else 0
        self.output_tokens += usage.completion_tokens if usage else 0


@dataclass(frozen=True, slots=True)
class Billed:
    """A deployment's line of the emulator's bill, as far as smalt counts too."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def of(cls, line: Mapping[str, int]) -> Self:
        return cls(line["requests"], line["input_tokens"], line["output_tokens"])


@dataclass(frozen=True, slots=True)
class Row:
    """One deployment: what we counted and what it was billed for."""

    upstream: str
    ours: Tally
    billed: Billed

    @property
    def equal(self) -> bool:
        ours = self.ours
        return Billed(ours.answers, ours.input_tokens, ours.output_tokens) == self.billed


def rows(tallies: Iterable[Mapping[str, Tally]], bill: Mapping[str, Mapping[str, int]]) -> list[Row]:
    """Every deployment that anybody counted. `tallies`: by upstream, one mapping per door."""
    ours: dict[str, Tally] = defaultdict(Tally)
    for tally_by_upstream in tallies:
        for upstream, tally in tally_by_upstream.items():
            ours[upstream].add(tally)
    return [
        Row(name, ours[name], Billed.of(bill[name]) if name in bill else Billed())
        for name in sorted(ours.keys() | bill.keys())
    ]


def total(of: Iterable[Tally]) -> Tally:
    result = Tally()
    for tally in of:
        result.add(tally)
    return result


def plain(usd: Decimal) -> str:
    """`0.0012345`, never `1.2345E-3`."""
    return format(usd.normalize(), "f")
