"""Tools of a chat request: whether they may be declared so, and which one the model calls."""

import random
import re
from dataclasses import dataclass
from typing import Any

from smalt.emulator.params import Body, Rule, check, require
from smalt.emulator.refusals import invalid_request
from smalt.emulator.text import fitting

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OBJECT = Rule("object")
_STRING = Rule("string")
_DESCRIPTION = Rule("string", high=1_048_576)
_MODES = Rule("string", choices=("none", "auto", "required"))


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tool a choice calls. `forced`: the caller named it, which shows in the finish reason."""

    name: str
    arguments: Any
    forced: bool


def check_tools(body: Body) -> None:
    """Raises `Refusal` for the first fault in `tools`, `tool_choice` and `parallel_tool_calls`."""
    tools = body.get("tools")
    if tools is None:
        for param in ("tool_choice", "parallel_tool_calls"):
            if body.get(param) is not None:
                raise invalid_request(f"'{param}' is only allowed when 'tools' are specified.", param=param)
        return
    names = [_check_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        check("tool_choice", choice, _MODES)
    elif choice is not None:
        check("tool_choice", choice, _OBJECT)
        name = _function(choice, "tool_choice")["name"]
        if name not in names:
            raise invalid_request(
                f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice.function.name"
            )


def pick(body: Body, roll: random.Random) -> ToolUse | None:
    """What a checked request makes the model call.

    Left to itself it answers a user by calling a tool, and everybody else in words.
    """
    tools, choice = body.get("tools"), body.get("tool_choice") or "auto"
    if not tools or choice == "none":
        return None
    if choice == "auto" and body["messages"][-1]["role"] != "user":
        return None
    by_name = {tool["function"]["name"]: tool["function"] for tool in tools}
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    name = named or roll.choice(list(by_name))
    schema = by_name[name].get("parameters") or {"type": "object"}
    return ToolUse(name, fitting(schema, roll), forced=named is not None)


def _check_tool(tool: object, path: str) -> str:
    check(path, tool, _OBJECT)
    assert isinstance(tool, dict)  # noqa: S101  # narrows the type
    function = _function(tool, path)
    if not _NAME.fullmatch(function["name"]):
        raise invalid_request(
            f"Invalid '{path}.function.name': string does not match pattern. Expected a string that matches "
            "the pattern '^[a-zA-Z0-9_-]+$'.",
            param=f"{path}.function.name",
            code="invalid_value",
        )
    if function.get("description") is not None:
        check(f"{path}.function.description", function["description"], _DESCRIPTION)
    parameters = function.get("parameters")
    if parameters is not None:
        check(f"{path}.function.parameters", parameters, _OBJECT)
        if parameters and parameters.get("type") != "object":
            raise invalid_request(
                f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of "
                f"'type: \"object\"', got 'type: \"{parameters.get('type')}\"'.",
                param=f"{path}.function.parameters",
                code="invalid_function_parameters",
            )
    name: str = function["name"]
    return name


def _function(holder: Body, path: str) -> Body:
    """The `function` of a tool or tool choice, with a name."""
    check(
        f"{path}.type", require(holder, "type", param=f"{path}.type"), Rule("string", choices=("function",))
    )
    function: Body = require(holder, "function", param=f"{path}.function")
    check(f"{path}.function", function, _OBJECT)
    check(f"{path}.function.name", require(function, "name", param=f"{path}.function.name"), _STRING)
    return function
