"""The demo's sums."""

from decimal import Decimal

import pytest
from openai.types import CompletionUsage

from smalt.cli.demo.report import Billed, Tally, plain, rows, total
from smalt.observe.totals import Sums


def test_doors_are_added_up_by_upstream() -> None:
    """What gateway and library sent to one deployment is one row beside its bill."""
    gateway = {"east/a": Tally(2, 3, 1, 20, 4, Decimal("0.1")), "west/a": Tally(1, 1, 0, 5, 5)}
    library = {"east/a": Tally(1, 1, 0, 10, 2, Decimal("0.2"))}
    bill = {
        "east/a": {"requests": 3, "input_tokens": 30, "cached_tokens": 8, "output_tokens": 6},
        "west/a": {"requests": 1, "input_tokens": 5, "output_tokens": 4},
    }
    east, west = rows([gateway, library], bill)
    assert east.ours == Tally(3, 4, 1, 30, 6, Decimal("0.3"))
    assert east.equal
    assert not west.equal
    assert gateway["east/a"].answers == 2, "what was added up is not changed"


def test_what_only_one_side_knows_differs() -> None:
    """An unbilled answer and an uncounted bill both show."""
    table = rows(
        [{"east/a": Tally(1, 1, 0, 1, 1)}],
        {"west/a": {"requests": 1, "input_tokens": 1, "output_tokens": 1}},
    )
    assert [(row.upstream, row.equal) for row in table] == [("east/a", False), ("west/a", False)]
    assert table[0].billed == Billed()


def test_an_upstream_that_only_failed_owes_nothing() -> None:
    """Attempts without an answer are no difference to the bill."""
    assert rows([{"east/a": Tally(0, 5, 5)}], {})[0].equal


def test_both_doors_report_alike() -> None:
    """The gateway's page and the library's sums become the same tally."""
    page = {
        "calls": 1,
        "attempts": 2,
        "failed_attempts": 1,
        "input_tokens": 3,
        "output_tokens": 4,
        "cost_usd": "0.00000005",
    }
    sums = Sums(calls=1, attempts=2, failed_attempts=1, input_tokens=3, output_tokens=4, cost_nusd=50)
    assert Tally.of_gateway(page) == Tally.of_library(sums)


def test_direct_answers_count_their_usage() -> None:
    """Requests smalt never saw are in the tokens, and cost nobody knows is left out."""
    tally = Tally()
    tally.add_answer(CompletionUsage(prompt_tokens=5, completion_tokens=2, total_tokens=7))
    tally.add_answer(None)
    assert tally == Tally(answers=2, attempts=2, input_tokens=5, output_tokens=2)


def test_totals() -> None:
    """Money stays exact."""
    assert total([Tally(cost_usd=Decimal("0.1"))] * 3).cost_usd == Decimal("0.3")


@pytest.mark.parametrize(("usd", "text"), [("0.00000006", "0.00000006"), ("1.50", "1.5"), ("0", "0")])
def test_money_is_written_plainly(usd: str, text: str) -> None:
    """No exponents."""
    assert plain(Decimal(usd)) == text
