"""What is spent, held and left of budgets, and when a period begins anew."""

from datetime import UTC, datetime, timedelta

import pytest

from smalt.core.budgets import Budgets, BudgetSpec, Period, ends_at
from smalt.errors import BudgetExceeded

NOON = datetime(2026, 12, 31, 12, 30, 15, 250_000, tzinfo=UTC)
MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)


def state(budgets: Budgets) -> list[tuple[int, int]]:
    """Spent and held of each."""
    return [(budget.spent, budget.held) for budget in budgets.budgets]


@pytest.mark.parametrize(
    ("per", "end"),
    [
        ("minute", datetime(2026, 12, 31, 12, 31, tzinfo=UTC)),
        ("hour", datetime(2026, 12, 31, 13, tzinfo=UTC)),
        ("day", MIDNIGHT),
        ("month", MIDNIGHT),
        ("total", None),
    ],
)
def test_periods_are_those_of_the_calendar(per: Period, end: datetime | None) -> None:
    """In UTC, and the end belongs to the next one."""
    assert ends_at(per, NOON) == end
    if end is not None:
        assert ends_at(per, end) != end


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)),
        (datetime(2027, 4, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC)),
    ],
)
def test_months_of_any_length(now: datetime, end: datetime) -> None:
    """Short ones and leap years, too."""
    assert ends_at("month", now) == end


def test_a_call_holds_its_estimate_until_its_usage_is_known() -> None:
    """Then that counts, less or more."""
    budgets = Budgets([BudgetSpec(100)])
    hold = budgets.hold(60, (), NOON)
    assert state(budgets) == [(0, 60)]
    hold.settle(20, NOON)
    assert state(budgets) == [(20, 0)]
    hold.settle(20, NOON)
    assert state(budgets) == [(20, 0)]


def test_a_call_that_may_go_beyond_is_refused() -> None:
    """To the last token it may; the refusal has the numbers, and holds nothing."""
    budgets = Budgets([BudgetSpec(1_000, "day", "search")])
    budgets.hold(500, ["search"], NOON).settle(600, NOON)
    budgets.hold(300, ["other", "search"], NOON)
    with pytest.raises(BudgetExceeded) as refused:
        budgets.hold(101, ["search"], NOON)
    assert refused.value.message == (
        "the budget of 1,000 tokens per day for the tag 'search' has 100 left (600 spent, 300 held by calls "
        "under way), and this request may take about 101 (prompt estimate + max_tokens); "
        "it begins anew at 2027-01-01 00:00 UTC"
    )
    assert state(budgets) == [(600, 300)]
    budgets.hold(100, ["search"], NOON)
    assert state(budgets) == [(600, 400)]


def test_a_budget_in_all_never_begins_anew() -> None:
    """It has no period to name; what exceeded its estimate leaves nothing."""
    budgets = Budgets([BudgetSpec(10)])
    budgets.hold(10, (), NOON).settle(12, NOON)
    with pytest.raises(BudgetExceeded) as refused:
        budgets.hold(1, (), NOON + timedelta(days=5_000))
    assert refused.value.message == (
        "the budget of 10 tokens has 0 left (12 spent, 0 held by calls under way), and this request may take "
        "about 1 (prompt estimate + max_tokens)"
    )


def test_calls_without_the_tag_are_free() -> None:
    """They neither hold nor spend anything of its budget."""
    budgets = Budgets([BudgetSpec(10, tag="search"), BudgetSpec(100)])
    budgets.hold(50, ["other"], NOON).settle(50, NOON)
    assert state(budgets) == [(0, 0), (50, 0)]


def test_an_agent_has_a_budget_of_its_own() -> None:
    """Of the calls that ask for it; beside a tag, of those that do both."""
    budgets = Budgets([BudgetSpec(10, agent="guide"), BudgetSpec(5, "day", "search", "guide")])
    budgets.hold(50, ["search"], NOON).settle(50, NOON)
    budgets.hold(50, ["search"], NOON, "narrator").settle(50, NOON)
    assert state(budgets) == [(0, 0), (0, 0)]
    budgets.hold(6, (), NOON, "guide").settle(6, NOON)
    assert state(budgets) == [(6, 0), (0, 0)]
    budgets.hold(3, ["search"], NOON, "guide").settle(3, NOON)
    assert state(budgets) == [(9, 0), (3, 0)]
    with pytest.raises(BudgetExceeded, match="of 10 tokens for the agent 'guide' has 1 left"):
        budgets.hold(2, (), NOON, "guide")
    more = Budgets([BudgetSpec(90, agent="guide"), BudgetSpec(5, "day", "search", "guide")], budgets)
    with pytest.raises(
        BudgetExceeded, match="of 5 tokens per day for the tag 'search' for the agent 'guide'"
    ):
        more.hold(3, ["search"], NOON, "guide")


def test_who_is_refused_by_one_budget_holds_nothing_of_the_others() -> None:
    """All or nothing."""
    budgets = Budgets([BudgetSpec(100), BudgetSpec(10, tag="search")])
    with pytest.raises(BudgetExceeded, match="of 10 tokens"):
        budgets.hold(50, ["search"], NOON)
    assert state(budgets) == [(0, 0), (0, 0)]


def test_a_new_period_begins_with_nothing_spent() -> None:
    """What is under way stays held, and counts where it ends."""
    budgets = Budgets([BudgetSpec(100, "day")])
    budgets.hold(90, (), NOON).settle(90, NOON)
    late = budgets.hold(10, (), NOON)
    budgets.hold(90, (), MIDNIGHT)
    assert state(budgets) == [(0, 100)]
    late.settle(7, MIDNIGHT)
    assert state(budgets) == [(7, 90)]


def test_a_call_that_ends_first_in_a_period_begins_it() -> None:
    """What was spent in the last one does not count with it."""
    budgets = Budgets([BudgetSpec(100, "hour")])
    hold = budgets.hold(10, (), NOON)
    budgets.hold(10, (), NOON).settle(80, NOON)
    hold.settle(5, NOON + timedelta(hours=1))
    assert state(budgets) == [(5, 0)]


def test_a_clock_that_is_set_back_begins_nothing_anew() -> None:
    """The period goes on to its end."""
    budgets = Budgets([BudgetSpec(100, "day")])
    budgets.hold(90, (), NOON).settle(90, NOON)
    with pytest.raises(BudgetExceeded):
        budgets.hold(20, (), NOON - timedelta(days=1))


def test_new_settings_go_on_with_what_is_spent() -> None:
    """For the same calls and period, whatever the size; another tag or period is another budget."""
    before = Budgets([BudgetSpec(100, "day"), BudgetSpec(100, "day", "search")])
    hold = before.hold(60, ["search"], NOON)
    after = Budgets([BudgetSpec(50, "day"), BudgetSpec(100, "hour", "search")], before)
    hold.settle(40, NOON)
    assert state(after) == [(40, 0), (0, 0)]
    with pytest.raises(BudgetExceeded, match="of 50 tokens"):
        after.hold(11, (), NOON)
