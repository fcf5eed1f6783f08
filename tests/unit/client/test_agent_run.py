"""What a run of an agent asks next, and what it comes to."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from smalt.client.agent_run import Limits, Run, conversation, nusd, tokens
from smalt.client.agent_tools import tools_of
from smalt.errors import BudgetExceeded, ConfigurationError, RoundsExceeded, SmaltError
from smalt.types import CallRecord, Operation, Usage

USER = {"role": "user", "content": "Look around."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {"role": "assistant", "content": "Rats."}


def look() -> str:
    return "rats"


def run_of(**limits: Any) -> Run:
    return Run("narrator", [USER], tools_of([look]), Limits(**{"rounds": 8, **limits}), {})


def receipt(usage: Usage | None = None, cost_nusd: int | None = None) -> CallRecord:
    return CallRecord("id", Operation.CHAT, "agent/narrator", usage=usage, cost_nusd=cost_nusd)


def play_round(run: Run, told: CallRecord) -> None:
    """One request, whose answer calls a tool."""
    run.request("agent/narrator")
    run.receipts.append(told)
    run.give(run.take(CALLING, "tool_calls"), ["rats"])


def test_a_conversation_grows_until_an_answer_calls_no_tool() -> None:
    """Each request has all of it."""
    run = run_of()
    assert run.request("agent/narrator") == {
        "model": "agent/narrator",
        "messages": [USER],
        "tools": [tools_of([look])["look"].definition],
    }
    assert run.take(CALLING, "tool_calls") == [CALL]
    run.give([CALL], ["rats"])
    told = {"role": "tool", "tool_call_id": "call_1", "content": "rats"}
    assert run.request("agent/narrator")["messages"] == [USER, CALLING, told]
    assert run.take(ANSWER, "stop") == ()
    result = run.result
    assert (result.text, result.finish_reason) == ("Rats.", "stop")
    assert result.messages == (USER, CALLING, told, ANSWER)


def test_without_tools_none_are_offered() -> None:
    """Azure refuses an empty list."""
    assert "tools" not in Run("narrator", [USER], {}, Limits(8), {}).request("agent/narrator")


def test_there_is_no_result_before_the_end() -> None:
    """Of a stream that was not read."""
    with pytest.raises(SmaltError, match="read its stream to the end"):
        _ = run_of().result


def test_usage_and_cost_are_those_of_all_requests() -> None:
    """Whatever kind of tokens; a receipt may know no usage."""
    run = run_of()
    run.receipts += [
        receipt(Usage(100, 10, 40, 5, 3), 250_000),
        receipt(Usage(200, 20, 60, 6, 4), 500_000),
        receipt(None, 0),
    ]
    run.take(ANSWER, "stop")
    assert run.result.usage == Usage(300, 30, 100, 11, 7)
    assert run.result.cost_usd == Decimal("0.00075")
    run.receipts.append(receipt(Usage(1, 1)))
    assert run.result.cost_usd is None


def test_rounds_are_bounded() -> None:
    """An agent that calls tools for ever is stopped."""
    run = run_of(rounds=2)
    for _ in range(2):
        play_round(run, receipt())
    with pytest.raises(RoundsExceeded) as stopped:
        run.request("agent/narrator")
    assert stopped.value.message == "the agent 'narrator' still calls tools after 2 requests to its model"


def test_a_budget_of_tokens_is_kept_between_requests() -> None:
    """Input and output together; what is spent to the last token is spent."""
    run = run_of(tokens=220)
    play_round(run, receipt(Usage(100, 10)))
    play_round(run, receipt(Usage(100, 10)))
    with pytest.raises(BudgetExceeded) as stopped:
        run.request("agent/narrator")
    assert stopped.value.message == (
        "this run of the agent 'narrator' has a budget of 220 tokens, and spent 220 in 2 requests"
    )


def test_answers_from_memory_spend_no_budget() -> None:
    """They stand in the usage all the same."""
    run = run_of(tokens=150)
    play_round(run, replace(receipt(Usage(100, 50)), cached=True))
    play_round(run, receipt(Usage(100, 49)))
    run.request("agent/narrator")
    run.take(ANSWER, "stop")
    assert run.result.usage == Usage(200, 99)


def test_a_budget_of_money_is_kept_between_requests() -> None:
    """To the nano-USD."""
    run = run_of(nusd=nusd("0.0005"))
    play_round(run, receipt(Usage(1), 499_999))
    play_round(run, receipt(Usage(1), 1))
    with pytest.raises(
        BudgetExceeded, match=r"a budget of 0\.000500000 USD, and spent 0\.000500000 in 2 req"
    ):
        run.request("agent/narrator")


def test_money_that_cannot_be_counted_is_not_spent_further() -> None:
    """The price of the model is not known."""
    run = run_of(nusd=1)
    play_round(run, receipt(Usage(1), None))
    with pytest.raises(BudgetExceeded, match="what the agent 'narrator' costs is not known"):
        run.request("agent/narrator")


@pytest.mark.parametrize(
    ("usd", "nano"), [(None, None), ("0.05", 50_000_000), (Decimal("1.5"), 1_500_000_000), (2, 2_000_000_000)]
)
def test_money_is_exact(usd: object, nano: int | None) -> None:
    """In integers of a billionth."""
    assert nusd(usd) == nano


@pytest.mark.parametrize("usd", [0.05, "five", "0", "-1", "nan", "inf"])
def test_money_is_no_float_and_above_zero(usd: object) -> None:
    """One clear line."""
    with pytest.raises(
        ConfigurationError, match=r'^budget_usd: write USD as text or Decimal, such as "0\.05"'
    ):
        nusd(usd)


@pytest.mark.parametrize("budget", [0, -1, 2.5, "5", True])
def test_a_budget_of_tokens_is_a_whole_number_above_zero(budget: object) -> None:
    """One clear line."""
    assert (tokens(None), tokens(5)) == (None, 5)
    with pytest.raises(ConfigurationError, match=r"^budget_tokens: expected a whole number above 0, got "):
        tokens(budget)


@pytest.mark.parametrize(("history", "message"), [(None, "hello"), ("hello", "hello"), ((), None), ((), 5)])
def test_what_are_no_messages_is_refused(history: Any, message: Any) -> None:
    """One clear line."""
    with pytest.raises(ConfigurationError, match=r"^(history|message): expected messages such as .*, got "):
        conversation(history, message)


def test_a_message_is_a_text_or_what_chat_completions_take() -> None:
    """One or several, after the history."""
    said = {"role": "user", "content": "hello"}
    assert conversation((), "hello") == [said]
    assert conversation([ANSWER], said) == [ANSWER, said]
    assert conversation([ANSWER], [said, USER]) == [ANSWER, said, USER]
