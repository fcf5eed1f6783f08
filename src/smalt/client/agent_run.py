"""One run of an agent: what is asked next, and what has come of it so far. No I/O: `agents.py` drives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from reprlib import repr as short
from typing import Any

from smalt.client.agent_tools import Tool, ToolCall
from smalt.errors import BudgetExceeded, ConfigurationError, RoundsExceeded, SmaltError
from smalt.types import CallRecord, Usage
from smalt.wire.instructions import Variables

Message = Mapping[str, Any]  # of chat completions


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What a run came to.

    `text`: the answer. `messages`: the whole conversation, to be given as `history` next time; without the
    instructions, which each request gets anew. `usage`: of all requests. `cost_usd`: None where a price is
    unknown. `receipts`: one for each request to the model. `finish_reason`: as Azure tells it; `length` if
    the answer was cut off.
    """

    text: str
    messages: Sequence[Message]
    usage: Usage
    cost_usd: Decimal | None
    receipts: Sequence[CallRecord]
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one run. `rounds`: requests to the model. `tokens`, `nusd`: None for no budget."""

    rounds: int
    tokens: int | None = None
    nusd: int | None = None


@dataclass(slots=True)
class Run:
    """`told` is a sink: it takes the receipt of every request."""

    agent: str
    messages: list[Message]
    tools: Mapping[str, Tool]
    limits: Limits
    variables: Variables
    receipts: list[CallRecord] = field(default_factory=list)
    ended: bool = False
    _rounds: int = 0
    _answer: Message = field(default_factory=dict)
    _finish_reason: str = ""

    def request(self, model: str) -> dict[str, Any]:
        """The arguments of the next request. Raises RoundsExceeded and BudgetExceeded."""
        self._require_leave()
        self._rounds += 1
        offered = [tool.definition for tool in self.tools.values()]
        return {"model": model, "messages": list(self.messages), **({"tools": offered} if offered else {})}

    def take(self, answer: Message, finish_reason: str) -> Sequence[ToolCall]:
        """The calls of tools that an answer asks for; empty: it is the last."""
        self._answer, self._finish_reason = answer, finish_reason
        self.messages.append(answer)
        calls: Sequence[ToolCall] = answer.get("tool_calls", ())
        self.ended = not calls
        return calls

    def give(self, calls: Sequence[ToolCall], texts: Sequence[str]) -> None:
        """What the tools said, in the order of their calls."""
        for call, text in zip(calls, texts, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})

    @property
    def result(self) -> AgentResult:
        """Raises SmaltError before the end."""
        if not self.ended:
            raise SmaltError("the run has no result yet: read its stream to the end")
        cost_nusd = self._cost_nusd
        return AgentResult(
            text=self._answer.get("content") or "",
            messages=tuple(self.messages),
            usage=self._usage,
            cost_usd=None if cost_nusd is None else Decimal(cost_nusd).scaleb(-9),
            receipts=tuple(self.receipts),
            finish_reason=self._finish_reason,
        )

    @property
    def _usage(self) -> Usage:
        told = [receipt.usage for receipt in self.receipts if receipt.usage is not None]
        return Usage(
            input_tokens=sum(usage.input_tokens for usage in told),
            output_tokens=sum(usage.output_tokens for usage in told),
            cached_tokens=sum(usage.cached_tokens for usage in told),
            cache_write_tokens=sum(usage.cache_write_tokens for usage in told),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in told),
        )

    @property
    def _spent_tokens(self) -> int:
        """An answer from memory spends none."""
        told = [receipt.usage for receipt in self.receipts if receipt.usage and not receipt.cached]
        return sum(usage.input_tokens + usage.output_tokens for usage in told)

    @property
    def _cost_nusd(self) -> int | None:
        costs = [receipt.cost_nusd for receipt in self.receipts]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def _require_leave(self) -> None:
        """Raises if no further request may be made."""
        limits, cost_nusd = self.limits, self._cost_nusd
        if self._rounds >= limits.rounds:
            raise RoundsExceeded(
                f"the agent {self.agent!r} still calls tools after {limits.rounds} requests to its model"
            )
        if limits.tokens is not None and self._spent_tokens >= limits.tokens:
            raise self._over(f"{limits.tokens:,} tokens", f"{self._spent_tokens:,}")
        if limits.nusd is None or not self._rounds:
            return
        if cost_nusd is None:
            raise BudgetExceeded(
                f"what the agent {self.agent!r} costs is not known, so budget_usd cannot be kept",
                resolution=("Give the model a price under prices in smalt.yaml, or use budget_tokens.",),
            )
        if cost_nusd >= limits.nusd:
            raise self._over(f"{_usd(limits.nusd)} USD", _usd(cost_nusd))

    def _over(self, budget: str, spent: str) -> BudgetExceeded:
        return BudgetExceeded(
            f"this run of the agent {self.agent!r} has a budget of {budget}, and spent {spent} in "
            f"{self._rounds} requests",
            resolution=("Give the run more, or let the agent do with fewer calls of tools.",),
        )


def tokens(budget: object) -> int | None:
    """Raises ConfigurationError for anything but a whole number above 0."""
    if budget is None or (isinstance(budget, int) and not isinstance(budget, bool) and budget > 0):
        return budget
    raise ConfigurationError(f"budget_tokens: expected a whole number above 0, got {budget!r}")


def nusd(usd: object) -> int | None:
    """Nano-USD. Raises ConfigurationError for anything that is not an amount above 0; a float has digits that
    nobody wrote."""
    if usd is None:
        return None
    try:
        amount = Decimal(usd) if isinstance(usd, Decimal | str | int) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and amount > 0):
        raise ConfigurationError(f'budget_usd: write USD as text or Decimal, such as "0.05", got {usd!r}')
    return int(amount.scaleb(9))


def conversation(history: Sequence[Message], message: str | Message | Sequence[Message]) -> list[Message]:
    """The messages of a run to begin with; a text is said by the user. Raises ConfigurationError for what are
    no messages."""
    if isinstance(message, str):
        message = {"role": "user", "content": message}
    said = [message] if isinstance(message, Mapping) else message
    return [*_messages("history", history), *_messages("message", said)]


def _messages(name: str, told: object) -> Sequence[Message]:
    if isinstance(told, Sequence) and not isinstance(told, str):
        return told
    raise ConfigurationError(
        f'{name}: expected messages such as {{"role": "user", "content": "..."}}, got {short(told)}'
    )


def _usd(nano: int) -> str:
    return f"{Decimal(nano).scaleb(-9):f}"
