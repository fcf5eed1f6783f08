"""Agents of a fleet: a model with its instructions and parameters, run with tools until it has an answer.

A run is a loop of requests through the official client; `agent_run.py` says what is asked next. Memory is in
the hands of the caller: `messages` of a result are the `history` of the next run.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from smalt.client.agent_answers import AgentStream, AsyncAgentStream, Streamed, whole
from smalt.client.agent_run import AgentResult, Limits, Message, Run, conversation, nusd, tokens
from smalt.client.agent_tools import call, call_async, imported, tools_of
from smalt.client.circumstances import of_run
from smalt.errors import ConfigurationError, ModelNotAvailableError
from smalt.types import AGENT_PREFIX
from smalt.wire.instructions import Variables

if TYPE_CHECKING:
    from smalt.client import sdk
    from smalt.client.fleet import Fleet
    from smalt.config import schema

Said = str | Message | Sequence[Message]


class RunOptions(TypedDict, total=False):
    """`history`: the conversation so far. `tools`: functions, besides those of the agent. `variables`: of the
    template of its instructions. `budget_tokens`, of input and output, and `budget_usd`, as text or Decimal:
    once so much is spent, no further request is made; `max_tokens` bounds what one request takes.
    """

    history: Sequence[Message]
    tools: Sequence[Callable[..., Any]]
    variables: Variables
    budget_tokens: int
    budget_usd: Decimal | str | int


def require_agent(name: str, agents: Mapping[str, "schema.Agent"]) -> None:
    """Raises ModelNotAvailableError if the settings have no such agent."""
    if name not in agents:
        known = ", ".join(agents) or "none; name it under agents in smalt.yaml"
        raise ModelNotAvailableError(f"no agent is named {name!r}; there are: {known}")


class Agent:
    """Made by `fleet.agent(name)`. Safe for threads and event loops; runs share nothing but connections.

    `model`: what SDK clients ask for it by. The methods that run raise the SDK's exceptions, RoundsExceeded,
    BudgetExceeded, and ConfigurationError for tools that cannot be described and options that cannot be
    used. What a tool raises is told to the model. A text is said by the user; messages are those of chat
    completions.
    """

    def __init__(
        self,
        fleet: "Fleet",
        name: str,
        agents: Mapping[str, "schema.Agent"],
        tools: Sequence[Callable[..., Any]] = (),
    ) -> None:
        require_agent(name, agents)
        self.fleet = fleet
        self.name = name
        self.model = AGENT_PREFIX + name
        self._max_rounds = agents[name].max_rounds
        self._tools = tools_of((*imported(agents[name].tools), *tools))
        self._async_clients: dict[asyncio.AbstractEventLoop, sdk.AsyncOpenAI] = {}

    def run(self, message: Said, **options: Unpack[RunOptions]) -> AgentResult:
        """The agent's answer, once it calls no more tools."""
        run = self._begin_sync(message, options)
        while not run.ended:
            with of_run(run.receipts.append, run.variables):
                answer = self._client.chat.completions.create(**run.request(self.model))
            calls = run.take(*whole(answer.choices[0]))
            run.give(calls, [call(run.tools, asked) for asked in calls])
        return run.result

    async def run_async(self, message: Said, **options: Unpack[RunOptions]) -> AgentResult:
        """The same; tools run at the same time, those that are not async in threads."""
        run = self._begin(message, options)
        while not run.ended:
            with of_run(run.receipts.append, run.variables):
                answer = await self._async_client.chat.completions.create(**run.request(self.model))
            calls = run.take(*whole(answer.choices[0]))
            run.give(calls, await asyncio.gather(*(call_async(run.tools, asked) for asked in calls)))
        return run.result

    def stream(self, message: Said, **options: Unpack[RunOptions]) -> AgentStream:
        """An `AgentStream`: the agent's words as they come, also those it says before it calls a tool."""
        run = self._begin_sync(message, options)
        return AgentStream(run, self._pieces(run))

    def stream_async(self, message: Said, **options: Unpack[RunOptions]) -> AsyncAgentStream:
        """The same for `async for`: an `AsyncAgentStream`, not to be awaited itself."""
        run = self._begin(message, options)
        return AsyncAgentStream(run, self._async_pieces(run))

    def openai(self, **options: Any) -> "sdk.OpenAI":
        """An SDK client; what it asks of `agent.model` is asked of this agent."""
        return self.fleet.openai(**options)

    def async_openai(self, **options: Any) -> "sdk.AsyncOpenAI":
        """The same, async."""
        return self.fleet.async_openai(**options)

    def close(self) -> None:
        """Close the connections of `run` and `stream`. Further runs open others."""
        client: sdk.OpenAI | None = vars(self).pop("_client", None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close those of `run_async` and `stream_async` in this event loop."""
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @cached_property
    def _client(self) -> "sdk.OpenAI":
        return self.fleet.openai()

    @property
    def _async_client(self) -> "sdk.AsyncOpenAI":
        """Connections belong to their event loop, and end with it."""
        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            for ended in [known for known in tuple(self._async_clients) if known.is_closed()]:
                self._async_clients.pop(ended, None)
            self._async_clients[loop] = self.fleet.async_openai()
        return self._async_clients[loop]

    def _begin(self, message: Said, options: RunOptions) -> Run:
        unknown = options.keys() - RunOptions.__annotations__.keys()
        if unknown:
            known = ", ".join(RunOptions.__annotations__)
            raise TypeError(f"a run has no option {', '.join(sorted(unknown))}; there are {known}")
        budget_tokens = tokens(options.get("budget_tokens"))
        limits = Limits(self._max_rounds, budget_tokens, nusd(options.get("budget_usd")))
        return Run(
            self.name,
            conversation(options.get("history", ()), message),
            tools_of(options.get("tools", ()), self._tools),
            limits,
            options.get("variables", {}),
        )

    def _begin_sync(self, message: Said, options: RunOptions) -> Run:
        run = self._begin(message, options)
        waiting = [tool.name for tool in run.tools.values() if tool.is_async]
        if waiting:
            raise ConfigurationError(
                f"these tools are async: {', '.join(waiting)}; use run_async or stream_async"
            )
        return run

    def _pieces(self, run: Run) -> Generator[str, None, None]:
        while not run.ended:
            answer = Streamed()
            with of_run(run.receipts.append, run.variables):
                stream = self._client.chat.completions.create(**run.request(self.model), stream=True)
            with stream:
                for chunk in stream:
                    if piece := answer.add(chunk):
                        yield piece
            calls = run.take(*answer.whole)
            run.give(calls, [call(run.tools, asked) for asked in calls])

    async def _async_pieces(self, run: Run) -> AsyncGenerator[str, None]:
        while not run.ended:
            answer = Streamed()
            with of_run(run.receipts.append, run.variables):
                request = run.request(self.model)
                stream = await self._async_client.chat.completions.create(**request, stream=True)
            async with stream:
                async for chunk in stream:
                    if piece := answer.add(chunk):
                        yield piece
            calls = run.take(*answer.whole)
            run.give(calls, await asyncio.gather(*(call_async(run.tools, asked) for asked in calls)))
