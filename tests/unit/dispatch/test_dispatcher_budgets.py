"""What calls hold and spend of budgets, however they end."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.dispatch.fakes import Office, make_engine

from smalt.core.budgets import Budgets, BudgetSpec
from smalt.core.call import Send
from smalt.core.settings import RetrySpec
from smalt.dispatch import dispatcher as dispatcher_module
from smalt.dispatch.dispatcher import Circumstances, OpenCall
from smalt.errors import BudgetExceeded
from smalt.types import Facts, Failure, FailureKind, Operation, Usage

ESTIMATE = 26 + 174  # tokens of the prompt, and the cap
ASKED = Facts(Operation.CHAT, "gpt-4o", prompt_bytes=100, max_tokens=174)


def failure(kind: FailureKind) -> Failure:
    return Failure(kind, "no")


class Spender(Office):
    """An office with budgets."""

    def __init__(self, *specs: BudgetSpec, attempts: int = 5) -> None:
        super().__init__(make_engine("east/a west/a", retry=RetrySpec(attempts)))
        self.dispatcher.budgets = self.budgets = Budgets(specs)

    @property
    def state(self) -> tuple[int, int]:
        """Spent and held of the first budget."""
        budget = self.budgets.budgets[0]
        return budget.spent, budget.held

    def sent(self, *kinds: FailureKind) -> OpenCall:
        """A call whose attempts have failed like this, and that is sent once more."""
        call = self.open(ASKED)
        for kind in kinds:
            assert isinstance(call.next(), Send)
            call.record(failure(kind))
        assert isinstance(call.next(), Send)
        return call


def test_an_estimate_is_held_and_replaced() -> None:
    """Prompt and cap from the opening on, real usage at the end; ending again changes nothing."""
    office = Spender(BudgetSpec(1_000))
    call = office.answered(ASKED)
    assert office.state == (0, ESTIMATE)
    call.finish(Usage(30, 12))
    call.abandon(Usage(99))
    assert office.state == (42, 0)


def test_one_call_too_many_is_refused_unsent() -> None:
    """It is told once, as an error without attempts, and holds nothing."""
    office = Spender(BudgetSpec(2 * ESTIMATE))
    calls = [office.open(ASKED) for _ in range(2)]
    with pytest.raises(BudgetExceeded, match="may take about 200"):
        office.open(ASKED)
    (record,) = office.records
    assert (record.error, record.attempts, record.usage) == ("budget_exceeded", (), None)
    assert office.state == (0, 2 * ESTIMATE)
    calls[0].abandon()
    office.open(ASKED)
    assert office.in_flight == 0


def test_tags_say_which_budgets_are_meant() -> None:
    """Calls without the tag go on."""
    office = Spender(BudgetSpec(10, tag="search"))
    search = Circumstances(tags=("search",))
    with pytest.raises(BudgetExceeded):
        office.dispatcher.open(ASKED, "id-1", total_s=1, circumstances=search)
    office.answered(ASKED).finish(Usage(5))
    assert office.state == (0, 0)


@pytest.mark.parametrize(
    ("kinds", "spent"),
    [
        ([], 42),
        ([FailureKind.QUOTA], 42),
        ([FailureKind.CONNECT], 42),
        ([FailureKind.RESET], ESTIMATE + 42),  # sent, and nobody knows whether it is billed
        ([FailureKind.TRUNCATED], ESTIMATE + 42),
    ],
)
def test_attempts_that_may_be_billed_count_as_estimated(kinds: list[FailureKind], spent: int) -> None:
    """The one that answered counts as it says."""
    office = Spender(BudgetSpec(10_000))
    call = office.sent(*kinds)
    call.record(None)
    call.next()
    call.finish(Usage(30, 12))
    assert office.state == (spent, 0)


@pytest.mark.parametrize(
    ("kind", "spent"),
    [
        (FailureKind.REQUEST, 0),
        (FailureKind.CONTENT_FILTER, ESTIMATE),  # Azure bills the prompt, and does not say how long it was
        (FailureKind.TIMEOUT, ESTIMATE),
        (FailureKind.SERVER, 0),
    ],
)
def test_a_call_that_failed(kind: FailureKind, spent: int) -> None:
    """By its last step, nothing is held any more."""
    office = Spender(BudgetSpec(10_000), attempts=1)
    call = office.sent()
    call.record(failure(kind))
    call.next()
    assert office.state == (spent, 0)


@pytest.mark.parametrize(
    ("sent", "usage", "spent"), [(False, None, 0), (True, None, ESTIMATE), (True, Usage(9), 9)]
)
def test_a_caller_who_leaves(sent: bool, usage: Usage | None, spent: int) -> None:
    """Once it is sent the request may be billed, whoever waits for the answer."""
    office = Spender(BudgetSpec(10_000))
    call = office.sent() if sent else office.open(ASKED)
    call.abandon(usage)
    assert office.state == (spent, 0)


def test_periods_follow_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new day begins with nothing spent."""
    now = [datetime(2026, 11, 21, 23, 59, tzinfo=UTC)]
    monkeypatch.setattr(dispatcher_module, "wall_clock", lambda: now[0])
    office = Spender(BudgetSpec(ESTIMATE, "day"))
    office.answered(ASKED).finish(Usage(ESTIMATE))
    with pytest.raises(BudgetExceeded, match="anew at 2026-11-22 00:00 UTC"):
        office.open(ASKED)
    now[0] += timedelta(minutes=1)
    office.answered(ASKED).finish(Usage(5))
    assert office.state == (5, 0)
