"""What a model answers to an agent, whole or in pieces, as a message of the conversation."""

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, Self

from smalt.client.agent_run import AgentResult, Message, Run
from smalt.client.agent_tools import ToolCall


def whole(choice: Any) -> tuple[Message, str]:
    """The message of a choice of the SDK, and why it ended."""
    said = choice.message
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in said.tool_calls or ()
    ]
    return _message(said.content or said.refusal, calls), choice.finish_reason


class Streamed:
    """A message that comes in chunks of the SDK."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish_reason = ""

    def add(self, chunk: Any) -> str:
        """The text of the chunk. Some of Azure's have no choice, or one that says nothing."""
        for choice in chunk.choices:
            self._finish_reason = choice.finish_reason or self._finish_reason
            delta = choice.delta
            if delta is None:
                continue
            for piece in delta.tool_calls or ():
                self._add_to_call(piece)
            text: str = delta.content or delta.refusal or ""
            self._pieces.append(text)
            return text
        return ""

    @property
    def whole(self) -> tuple[Message, str]:
        calls = [call for _, call in sorted(self._calls.items())]
        return _message("".join(self._pieces), calls), self._finish_reason

    def _add_to_call(self, piece: Any) -> None:
        empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._calls.setdefault(piece.index, empty)
        call["id"] = piece.id or call["id"]
        call["function"]["name"] += piece.function.name or ""
        call["function"]["arguments"] += piece.function.arguments or ""


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


def _message(text: str | None, calls: Sequence[ToolCall]) -> Message:
    """Only beside calls of tools may the text be missing."""
    if calls:
        return {"role": "assistant", "content": text or None, "tool_calls": calls}
    return {"role": "assistant", "content": text or ""}
