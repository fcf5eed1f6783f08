"""What the plain client gives: answers, pieces of them, and smalt's own errors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from smalt.client.tool_call_pieces import ToolCallPieces
from smalt.errors import SmaltError
from smalt.types import CallRecord, Usage


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens as Azure reported them; estimated only where it did not."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants called. `arguments`: decoded; the text itself where the model wrote no JSON.
    `id`: for the message of role `tool` that answers it."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `message`: its text, empty where there are only tool calls. `cost_usd`: None where the price
    is not known."""

    message: str
    tokens_used: TokenUsage
    cost_usd: Decimal | None
    tool_calls: Sequence[ToolCall] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer. `delta`: its text. The last chunk has none, but either the `response` as
    a whole or the `error` that cut it off; what was said until then is `error.partial`."""

    delta: str = ""
    response: Response | None = None
    error: SmaltError | None = None


@dataclass(slots=True)
class Gathering:
    """A streamed answer as far as it has come."""

    message: str = ""
    calls: ToolCallPieces = field(default_factory=ToolCallPieces)

    def add(self, event: Any) -> str:
        """The new text of an event of the SDK's stream."""
        if not event.choices:
            return ""
        delta = event.choices[0].delta
        self.calls.add(delta)
        text = delta.content or ""
        self.message += text
        return text

    def response(self, record: CallRecord) -> Response:
        return _response(self.message, record, [tool_call(*called) for called in self.calls.whole])


def whole(answer: Any, record: CallRecord) -> Response:
    """Of an answer of the SDK that was not streamed."""
    message = answer.choices[0].message
    functions = [call for call in message.tool_calls or () if call.type == "function"]
    calls = [tool_call(call.id, call.function.name, call.function.arguments) for call in functions]
    return _response(message.content or "", record, calls)


def _response(message: str, record: CallRecord, calls: Sequence[ToolCall]) -> Response:
    usage = record.usage or Usage(0)
    tokens = TokenUsage(usage.input_tokens, usage.output_tokens)
    return Response(message, tokens, record.cost_usd, tuple(calls))


def tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    try:
        return ToolCall(call_id, name, msgspec.json.decode(arguments))
    except msgspec.DecodeError:
        return ToolCall(call_id, name, arguments)
