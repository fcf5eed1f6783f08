"""Whatever calls do, in whatever order: what must stay true of budgets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from smalt.core.budgets import Budgets, BudgetSpec, Hold, Period
from smalt.errors import BudgetExceeded

START = datetime(2026, 2, 27, 23, 58, 30, tzinfo=UTC)
TAGS = ("a", "b")
AGENTS = ("x", "y")

specs = st.builds(
    BudgetSpec,
    st.integers(1, 500),
    st.sampled_from(["minute", "hour", "day", "month", "total"]),
    st.none() | st.sampled_from(TAGS),
    st.none() | st.sampled_from(AGENTS),
)
Said = tuple[list[str], str | None]  # the tags of a call, and the agent it asks for
callers = st.tuples(st.lists(st.sampled_from(TAGS), unique=True), st.none() | st.sampled_from(AGENTS))


def key(spec: BudgetSpec) -> tuple[str | None, str | None, Period]:
    return spec.tag, spec.agent, spec.per


def counts(spec: BudgetSpec, said: Said) -> bool:
    tags, agent = said
    return (spec.tag is None or spec.tag in tags) and (spec.agent is None or spec.agent == agent)


class Spending(RuleBasedStateMachine):
    """Calls begin, end and are refused while time goes on; a plain list of what was used is the truth."""

    @initialize(chosen=st.lists(specs, min_size=1, max_size=4, unique_by=key))
    def begin(self, chosen: list[BudgetSpec]) -> None:
        self.now = START
        self.budgets = Budgets(chosen)
        self.under_way: list[tuple[Hold, int, Said]] = []
        self.used: list[tuple[datetime, int, Said]] = []

    @rule(estimate=st.integers(0, 200), said=callers)
    def call(self, estimate: int, said: Said) -> None:
        """It is refused exactly when one of its budgets has less left than it may take."""
        concerned = [budget.spec for budget in self.budgets.budgets if counts(budget.spec, said)]
        fits = all(estimate + self.spent(spec) + self.held(spec) <= spec.tokens for spec in concerned)
        tags, agent = said
        try:
            hold = self.budgets.hold(estimate, tags, self.now, agent)
        except BudgetExceeded:
            assert not fits
        else:
            assert fits
            self.under_way.append((hold, estimate, said))

    @rule(data=st.data(), used=st.integers(0, 200), times=st.integers(1, 3))
    def end(self, data: st.DataObject, used: int, times: int) -> None:
        """However often a call is ended, it ends once."""
        if not self.under_way:
            return
        number = data.draw(st.integers(0, len(self.under_way) - 1))
        hold, _, said = self.under_way.pop(number)
        for _ in range(times):
            hold.settle(used, self.now)
        self.used.append((self.now, used, said))

    @rule(seconds=st.sampled_from([1, 29, 30, 61, 3_600, 86_400, 2_700_000]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(tokens=st.integers(1, 500))
    def reload(self, tokens: int) -> None:
        """The same budgets with another size."""
        resized = [replace(budget.spec, tokens=tokens) for budget in self.budgets.budgets]
        self.budgets = Budgets(resized, self.budgets)

    @invariant()
    def everything_adds_up(self) -> None:
        """Held is what is under way; spent is what ended in this period, once anybody has looked."""
        for budget in self.budgets.budgets:
            assert budget.held == self.held(budget.spec)
            budget.exceeded_by(0, self.now)
            assert budget.spent == self.spent(budget.spec)

    def held(self, spec: BudgetSpec) -> int:
        return sum(estimate for _, estimate, said in self.under_way if counts(spec, said))

    def spent(self, spec: BudgetSpec) -> int:
        digits = {"minute": 5, "hour": 4, "day": 3, "month": 2, "total": 0}[spec.per]
        period = self.now.timetuple()[:digits]
        return sum(
            used for at, used, said in self.used if at.timetuple()[:digits] == period and counts(spec, said)
        )


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=50, stateful_step_count=25)

calls = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100), st.booleans()), max_size=40)


@given(st.integers(1, 500), calls)
def test_spending_exceeds_a_budget_only_as_estimates_are_exceeded(
    tokens: int, asked: list[tuple[int, int, bool]]
) -> None:
    """Usage within the estimates stays within the budget, however many calls are under way at a time."""
    budgets = Budgets([BudgetSpec(tokens)])
    under_way: list[tuple[Hold, int]] = []
    over = 0
    for estimate, used, waits in asked:
        try:
            under_way.append((budgets.hold(estimate, (), START), used))
        except BudgetExceeded:
            continue
        over += max(0, used - estimate)
        if not waits:
            hold, used_there = under_way.pop(0)
            hold.settle(used_there, START)
    for hold, used in under_way:
        hold.settle(used, START)
    (budget,) = budgets.budgets
    assert (budget.held, budget.spent <= tokens + over) == (0, True)
