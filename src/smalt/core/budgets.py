"""Budgets: how many tokens may be spent in a period, and what a call may still take.

A call holds its estimate from before it is sent until it has ended; then its real usage takes that place, in
the period in which it ends. So what is spent exceeds a budget only by what usage exceeds the estimates.
Periods are those of the calendar, in UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, assert_never

from smalt.errors import BudgetExceeded

Period = Literal["minute", "hour", "day", "month", "total"]


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """`tokens` in each period. `total`: in all. Of the calls that carry the `tag` and ask for the `agent`,
    None: whatever they carry, or ask for."""

    tokens: int
    per: Period = "total"
    tag: str | None = None
    agent: str | None = None

    @property
    def scope(self) -> tuple[str | None, str | None, Period]:
        """The same calls and period, whatever the size."""
        return self.tag, self.agent, self.per

    def concerns(self, tags: Sequence[str], agent: str | None) -> bool:
        return self.tag in (None, *tags) and self.agent in (None, agent)


class Budget:
    """What is `spent` of a budget in its present period, and `held` by calls under way."""

    __slots__ = ("_ends_at", "held", "spec", "spent")

    def __init__(self, spec: BudgetSpec) -> None:
        self.spec = spec
        self.spent = 0
        self.held = 0
        self._ends_at: datetime | None = None

    def exceeded_by(self, tokens: int, now: datetime) -> BudgetExceeded | None:
        """Why a call that may take `tokens` is refused."""
        self._turn(now)
        if self.spent + self.held + tokens <= self.spec.tokens:
            return None
        spec = self.spec
        period = "" if spec.per == "total" else f" per {spec.per}"
        whose = "" if spec.tag is None else f" for the tag {spec.tag!r}"
        whose += "" if spec.agent is None else f" for the agent {spec.agent!r}"
        anew = f"; it begins anew at {self._ends_at:%Y-%m-%d %H:%M} UTC" if self._ends_at else ""
        return BudgetExceeded(
            f"the budget of {spec.tokens:,} tokens{period}{whose} has {max(0, self.left):,} left "
            f"({self.spent:,} spent, {self.held:,} held by calls under way), and this request may take about "
            f"{tokens:,} (prompt estimate + max_tokens){anew}"
        )

    @property
    def left(self) -> int:
        """Tokens; below 0 when usage has exceeded the estimates."""
        return self.spec.tokens - self.spent - self.held

    def hold(self, tokens: int) -> None:
        self.held += tokens

    def settle(self, held_tokens: int, used_tokens: int, now: datetime) -> None:
        """A call has ended that held the one and used the other."""
        self._turn(now)
        self.held -= held_tokens
        self.spent += used_tokens

    def _turn(self, now: datetime) -> None:
        """Begin anew when the period has ended. A clock that is set back prolongs it."""
        if self._ends_at is None:
            self._ends_at = ends_at(self.spec.per, now)
        elif now >= self._ends_at:
            self.spent = 0
            self._ends_at = ends_at(self.spec.per, now)


class Hold:
    """What one call holds of the budgets it falls under."""

    __slots__ = ("_budgets", "tokens")

    def __init__(self, budgets: Sequence[Budget], tokens: int) -> None:
        self._budgets = budgets
        self.tokens = tokens
        for budget in budgets:
            budget.hold(tokens)

    def settle(self, used_tokens: int, now: datetime) -> None:
        """The call has ended. Later calls do nothing."""
        budgets, self._budgets = self._budgets, ()
        for budget in budgets:
            budget.settle(self.tokens, used_tokens, now)


class Budgets:
    """All budgets of a fleet. Not safe for concurrent use. `now` arguments: aware, in UTC.

    `before`: those that these replace. A budget for the same calls and period goes on, with its new size.
    """

    def __init__(self, specs: Sequence[BudgetSpec], before: "Budgets | None" = None) -> None:
        known = {budget.spec.scope: budget for budget in before.budgets} if before else {}
        self.budgets: Sequence[Budget] = tuple(known.get(spec.scope) or Budget(spec) for spec in specs)
        for budget, spec in zip(self.budgets, specs, strict=True):
            budget.spec = spec

    def hold(self, tokens: int, tags: Sequence[str], now: datetime, agent: str | None = None) -> Hold:
        """For a call with these tags that may take `tokens`, and asks for the agent, if any. Raises
        BudgetExceeded; then nothing is held."""
        concerned = [budget for budget in self.budgets if budget.spec.concerns(tags, agent)]
        for budget in concerned:
            error = budget.exceeded_by(tokens, now)
            if error is not None:
                raise error
        return Hold(concerned, tokens)


def ends_at(per: Period, now: datetime) -> datetime | None:
    """When the period ends that `now` lies in; None: never."""
    match per:
        case "minute":
            return now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        case "hour":
            return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        case "day":
            return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        case "month":
            first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return (first + timedelta(days=31)).replace(day=1)
        case "total":
            return None
        case other:
            assert_never(other)
