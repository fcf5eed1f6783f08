"""Python functions as tools of a model: described by their hints and docstring, called with what it says."""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from types import MappingProxyType
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import to_json

from smalt.config.plugins import load
from smalt.errors import ConfigurationError

ToolCall = Mapping[str, Any]  # of an answer of chat completions


@dataclass(frozen=True, slots=True)
class Tool:
    """`definition`: as chat completions want it. `adapter`: binds the function to checked arguments."""

    name: str
    definition: Mapping[str, Any]
    adapter: TypeAdapter[Any]
    is_async: bool

    def call(self, arguments: str) -> str:
        """What the function answers to these arguments, a JSON object, as text for the model; or what went
        wrong, since the model may mend it. An answer that is no text is written as JSON."""
        try:
            return _sendable(_text(self._bound(arguments)()))
        except Exception as error:  # noqa: BLE001  a tool may raise anything; the conversation goes on
            return _sendable(_fault(error))

    async def call_async(self, arguments: str) -> str:
        """The same; a function that is not async runs in a thread."""
        if not self.is_async:
            return await asyncio.to_thread(self.call, arguments)
        try:
            return _sendable(_text(await self._bound(arguments)()))
        except Exception as error:  # noqa: BLE001  as above
            return _sendable(_fault(error))

    def _bound(self, arguments: str) -> Callable[[], Any]:
        try:
            bound: Callable[[], Any] = self.adapter.validate_json(arguments)
        except ValidationError as error:
            raise _WrongArguments(_faults(error)) from None
        return bound


class _WrongArguments(Exception):
    """Of the model, not of the tool."""


def call(tools: Mapping[str, Tool], asked: ToolCall) -> str:
    """What the tool says that a model asks for, as `Tool.call` does."""
    function = asked["function"]
    tool = tools.get(function["name"])
    return _unknown(function["name"], tools) if tool is None else tool.call(function["arguments"])


async def call_async(tools: Mapping[str, Tool], asked: ToolCall) -> str:
    function = asked["function"]
    tool = tools.get(function["name"])
    if tool is None:
        return _unknown(function["name"], tools)
    return await tool.call_async(function["arguments"])


def tools_of(
    functions: Iterable[Callable[..., Any]], known: Mapping[str, Tool] = MappingProxyType({})
) -> dict[str, Tool]:
    """By name, after those that are `known`. Raises ConfigurationError for a function that cannot be
    described to a model, and for two of one name."""
    if not isinstance(functions, Iterable):
        raise ConfigurationError(f"tools: expected a list of functions, got {functions!r}")
    tools = dict(known)
    for function in functions:
        tool = _tool(function)
        if tool.name in tools:
            raise ConfigurationError(f"two tools are named {tool.name!r}; give one of them another name")
        tools[tool.name] = tool
    return tools


def imported(references: Sequence[str]) -> list[Callable[..., Any]]:
    """The functions that settings name as `package.module:function`. Raises ConfigurationError."""
    return [_imported(reference) for reference in references]


def _imported(reference: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = load(reference)
    except ImportError as error:
        raise ConfigurationError(f"the tool {reference} cannot be imported: {error}") from error
    return function


def _tool(function: Any) -> Tool:
    if not (inspect.isroutine(function) and function.__name__.isidentifier()):
        raise ConfigurationError(f"a tool must be a function with a name, got {function!r}")
    name = function.__name__
    try:
        _require_names(function)
        adapter = TypeAdapter[Any](_binder(function))
        schema = adapter.json_schema()
    except (PydanticUserError, NameError, ValueError) as error:
        cause = str(error).partition("\n")[0]
        raise ConfigurationError(f"the tool {name!r} cannot be described to a model: {cause}") from None
    description = inspect.getdoc(function)
    told = {"description": description} if description else {}
    definition = {"type": "function", "function": {"name": name, **told, "parameters": schema}}
    return Tool(name, definition, adapter, inspect.iscoroutinefunction(function))


def _binder(function: Callable[..., Any]) -> Any:
    """Seen from outside the same function. Called apart from its arguments' check, it can fail by itself."""

    @wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        return partial(function, *args, **kwargs)

    return bind


def _require_names(function: Callable[..., Any]) -> None:
    """Raises ConfigurationError, and ValueError for a built-in function that does not tell its parameters."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind in {one.POSITIONAL_ONLY, one.VAR_POSITIONAL, one.VAR_KEYWORD} for one in parameters):
        raise ConfigurationError(
            f"the tool {function.__name__!r}: a model names its arguments, so it can have no *args, "
            "**kwargs or parameters before a '/'"
        )


def _unknown(name: str, tools: Iterable[str]) -> str:
    return f"error: there is no tool {name!r}, only {', '.join(tools)}"


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else to_json(answer).decode()


def _sendable(text: str) -> str:
    """Half a surrogate pair, as in the names of some files, is no UTF-8."""
    return text.encode(errors="replace").decode()


def _fault(error: Exception) -> str:
    if isinstance(error, _WrongArguments):
        return f"error: the arguments are not right: {error}"
    told = _faults(error) if isinstance(error, ValidationError) else error
    return f"error: {type(error).__name__}: {told}"


def _faults(error: ValidationError) -> str:
    """Without what was given, which may be secret."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ")
        for fault in error.errors(include_url=False)
    )
