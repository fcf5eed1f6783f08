"""What a model answers to an agent, whole or in pieces, as a message of the conversation."""

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, Self

from smalt.client.agent_run import AgentResult, Message, Run
from smalt.client.agent_tools import ToolCall
from smalt.client.tool_call_pieces import Called, ToolCallPieces


def whole(choice: Any) -> tuple[Message, str]:
    """The message of a choice of the SDK, and why it ended."""
    said = choice.message
    calls = [Called(call.id, call.function.name, call.function.arguments) for call in said.tool_calls or ()]
    return _message(said.content or said.refusal, calls), choice.finish_reason


class Streamed:
    """A message that comes in chunks of the SDK."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._calls = ToolCallPieces()
        self._finish_reason = ""

    def add(self, chunk: Any) -> str:
        """The text of the chunk. Some of Azure's have no choice, or one that says nothing."""
        for choice in chunk.choices:
            self._finish_reason = choice.finish_reason or self._finish_reason
            delta = choice.delta
            if delta is None:
                continue
            self._calls.add(delta)
            text: str = delta.content or delta.refusal or ""
            self._pieces.append(text)
            return text
        return ""

    @property
    def whole(self) -> tuple[Message, str]:
        return _message("".join(self._pieces), self._calls.whole), self._finish_reason


class AgentStream:
    """The words of a run, piece by piece; then its `result`. Who leaves early closes it, best by `with`."""

    def __init__(self, run: Run, pieces: Generator[str, None, None]) -> None:
        self._run = run
        self._pieces = pieces

    @property
    def result(self) -> AgentResult:
        """What the run came to. Raises SmaltError before the end."""
        return self._run.result

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """End the run where it is; what was under way is left."""
        self._pieces.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncAgentStream:
    """The same for `async for` and `async with`."""

    def __init__(self, run: Run, pieces: AsyncGenerator[str, None]) -> None:
        self._run = run
        self._pieces = pieces

    @property
    def result(self) -> AgentResult:
        """What the run came to. Raises SmaltError before the end."""
        return self._run.result

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """See `AgentStream.close`."""
        await self._pieces.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _message(text: str | None, calls: Sequence[Called]) -> Message:
    """Only beside calls of tools may the text be missing."""
    if not calls:
        return {"role": "assistant", "content": text or ""}
    asked: list[ToolCall] = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    return {"role": "assistant", "content": text or None, "tool_calls": asked}
