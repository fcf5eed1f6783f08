import pytest
from tests.unit.core.builders import facts

from smalt.core.degraded import NOTHING_DEGRADED, Degraded, DegradedAnswers
from smalt.errors import (
    BY_CODE,
    BudgetExceeded,
    NoUpstreamAvailable,
    SmaltError,
    UpstreamError,
)
from smalt.types import Facts, Operation

OUTAGE = NoUpstreamAvailable("no upstream of 'gpt-4o' answered")
OUTAGES = {
    "rate_limit_exceeded",
    "queue_full",
    "service_unavailable",
    "no_upstream_available",
    "overloaded",
}
BEHIND = {"agent/narrator": "gpt-4o", "azure/prod": "gpt-4o"}


def found(asked: str, *names: str) -> str | None:
    """Which of the configured names is taken for a name that is asked for."""
    answers = DegradedAnswers({name: Degraded(503, name) for name in names}, BEHIND)
    degraded = answers.find(Facts(Operation.CHAT, asked), OUTAGE)
    return None if degraded is None else degraded.message


@pytest.mark.parametrize(
    ("asked", "names", "expected"),
    [
        ("gpt-4o", ["gpt-4o"], "gpt-4o"),
        ("gpt-4o-mini", ["gpt-4o"], None),
        ("gpt-4o-mini", ["*", "gpt-*", "o*"], "gpt-*"),
        ("gpt-4o", ["gpt-4o*", "gpt-4o"], "gpt-4o"),
        ("agent/narrator", ["gpt-4o", "*"], "gpt-4o"),
        ("agent/narrator", ["gpt-4o", "agent/narrator"], "agent/narrator"),
        ("agent/narrator", ["agent/*", "gpt-4o"], "gpt-4o"),
        ("azure/prod", ["gpt-4o"], "gpt-4o"),
        ("prod", ["gpt-4o"], "gpt-4o"),
        ("prod", ["gpt-*"], "gpt-*"),
        ("unlisted", ["*"], "*"),
    ],
)
def test_by_name(asked: str, names: list[str], expected: str | None) -> None:
    """The asked one, that of the model behind it, or the longest pattern."""
    assert found(asked, *names) == expected


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_only_an_outage_is_stood_in_for(code: str) -> None:
    """Where trying again later may help. A refused request, a spent budget, a wrong key are told as they
    are, and so is a timeout: that call may have been billed."""
    error = BY_CODE[code]("told")
    answers = DegradedAnswers({"*": Degraded(503)})
    assert (answers.find(facts(), error) is not None) == (code in OUTAGES)


@pytest.mark.parametrize("error", [OUTAGE, BudgetExceeded("told"), UpstreamError("told"), SmaltError("told")])
def test_nothing_is_configured(error: SmaltError) -> None:
    """Errors are told."""
    assert NOTHING_DEGRADED.find(facts(), error) is None
