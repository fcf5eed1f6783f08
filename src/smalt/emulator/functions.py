"""The tools of a request: whether they may be declared so, and which one the model calls.

Chat nests what defines a tool (`{"type": "function", "function": {"name": ...}}`), Responses does not
(`{"type": "function", "name": ...}`).
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smalt.emulator.catalogue import Model
from smalt.emulator.params import Body, Rule, check, require
from smalt.emulator.refusals import invalid_request
from smalt.emulator.schemas import check_strict
from smalt.emulator.text import fitting

Mode = Literal["none", "auto", "required"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OBJECT = Rule("object")
_STRING = Rule("string")
_DESCRIPTION = Rule("string", high=1_048_576)
_MODES = Rule("string", choices=("none", "auto", "required"))
_LEGACY_MODES = Rule("string", choices=("none", "auto"))
_FUNCTIONS = Rule("array", 1, 128)


@dataclass(frozen=True, slots=True)
class Tool:
    """`schema`: of its arguments; None: a custom tool, which takes any text."""

    name: str
    schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools a model may call. `named`: the one it must. `legacy`: told as `functions`."""

    tools: Mapping[str, Tool]
    mode: Mode = "auto"
    named: str | None = None
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that is called. `forced`: the caller named it, which shows in the finish reason."""

    name: str
    arguments: Any
    forced: bool = False
    custom: bool = False
    legacy: bool = False


NO_TOOLS = Offer({}, mode="none")


def read_offer(body: Body, model: Model, *, flat: bool = False) -> Offer:
    """What `tools`, `tool_choice` and `parallel_tool_calls` amount to; of chat also the older `functions`.

    Raises `Refusal` for the first fault.
    """
    reader = _Reader(model, flat=flat)
    if body.get("functions") is not None or body.get("function_call") is not None:
        return reader.legacy(body)
    tools = body.get("tools")
    if not tools:
        # Responses has the defaults of both in its answers, so that they come back
        for param in () if flat else ("tool_choice", "parallel_tool_calls"):
            if body.get(param) is not None:
                raise invalid_request(f"'{param}' is only allowed when 'tools' are specified.", param=param)
        return NO_TOOLS
    read = [reader.tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    return reader.choose({tool.name: tool for tool in read}, body.get("tool_choice"))


def pick(offer: Offer, roll: random.Random, *, answers_user: bool) -> ToolUse | None:
    """What a request makes the model call.

    Left to itself it answers a user by calling a tool, and everybody else in words.
    """
    if offer.mode == "none" or (offer.mode == "auto" and not answers_user):
        return None
    tool = offer.tools[offer.named or roll.choice(list(offer.tools))]
    arguments = fitting({"type": "string"} if tool.schema is None else tool.schema, roll)
    return ToolUse(
        tool.name, arguments, offer.named is not None, custom=tool.schema is None, legacy=offer.legacy
    )


class _Reader:
    def __init__(self, model: Model, *, flat: bool) -> None:
        self._model = model
        self._flat = flat
        kinds = ("function", "custom") if model.modern else ("function",)
        self._kinds = Rule("string", choices=kinds)
        self._choices = Rule("string", choices=(*kinds, "allowed_tools") if model.modern else kinds)

    def tool(self, tool: object, path: str) -> Tool:
        check(path, tool, _OBJECT)
        assert isinstance(tool, dict)  # noqa: S101  # narrows the type
        if self._flat and isinstance(tool.get("type"), str) and tool["type"] not in {"function", "custom"}:
            raise invalid_request(
                f"Hosted tool '{tool['type']}' is not supported with {self._model.served}: the emulator has "
                "none.",
                param="tools",
            )
        definition, at = self._definition(tool, path, self._kinds)
        return self._function(definition, at) if tool["type"] == "function" else self._custom(definition, at)

    def choose(self, tools: Mapping[str, Tool], choice: object) -> Offer:
        if choice is None:
            return Offer(tools)
        if isinstance(choice, str):
            check("tool_choice", choice, _MODES)
            return Offer(tools, mode=choice)  # type: ignore[arg-type]  # checked
        check("tool_choice", choice, _OBJECT)
        assert isinstance(choice, dict)  # noqa: S101  # narrows the type
        definition, path = self._definition(choice, "tool_choice", self._choices, named=False)
        if choice["type"] == "allowed_tools":
            return self._allowed(tools, definition, path)
        check(f"{path}.name", require(definition, "name", param=f"{path}.name"), _STRING)
        name = definition["name"]
        if name not in tools:
            raise _unknown(name, f"{path}.name")
        return Offer(tools, "required", named=name)

    def legacy(self, body: Body) -> Offer:
        if body.get("tools") is not None:
            raise invalid_request(
                "'functions' and 'tools' cannot be used together. Use 'tools' instead.", param="functions"
            )
        given = body.get("functions")
        if given is None:
            raise invalid_request(
                "'function_call' is only allowed when 'functions' are specified.", param="function_call"
            )
        check("functions", given, _FUNCTIONS)
        tools = {}
        for index, function in enumerate(given):
            path = f"functions[{index}]"
            check(path, function, _OBJECT)
            tools[self._name(function, path)] = self._function(function, path)
        choice = body.get("function_call") or "auto"
        if isinstance(choice, str):
            check("function_call", choice, _LEGACY_MODES)
            return Offer(tools, choice, legacy=True)  # type: ignore[arg-type]  # checked
        check("function_call", choice, _OBJECT)
        name = require(choice, "name", param="function_call.name")
        if name not in tools:
            raise _unknown(name, "function_call.name")
        return Offer(tools, "required", named=name, legacy=True)

    def _allowed(self, tools: Mapping[str, Tool], definition: Body, path: str) -> Offer:
        mode = require(definition, "mode", param=f"{path}.mode")
        check(f"{path}.mode", mode, Rule("string", choices=("auto", "required")))
        entries = require(definition, "tools", param=f"{path}.tools")
        check(f"{path}.tools", entries, _FUNCTIONS)
        allowed = {}
        for index, entry in enumerate(entries):
            check(f"{path}.tools[{index}]", entry, _OBJECT)
            inner, at = self._definition(entry, f"{path}.tools[{index}]", self._kinds)
            if inner["name"] not in tools:
                raise _unknown(inner["name"], f"{at}.name")
            allowed[inner["name"]] = tools[inner["name"]]
        return Offer(allowed, mode)

    def _definition(self, holder: Body, path: str, kinds: Rule, *, named: bool = True) -> tuple[Body, str]:
        """What defines a tool or a choice, and its path; with a checked name if it is `named`."""
        kind = require(holder, "type", param=f"{path}.type")
        check(f"{path}.type", kind, kinds)
        definition, at = holder, path
        if not self._flat:
            at = f"{path}.{kind}"
            definition = require(holder, kind, param=at)
            check(at, definition, _OBJECT)
        if named:
            self._name(definition, at)
        return definition, at

    def _name(self, definition: Body, path: str) -> str:
        name: str = require(definition, "name", param=f"{path}.name")
        check(f"{path}.name", name, _STRING)
        if not _NAME.fullmatch(name):
            raise invalid_request(
                f"Invalid '{path}.name': string does not match pattern. Expected a string that matches "
                "the pattern '^[a-zA-Z0-9_-]+$'.",
                param=f"{path}.name",
                code="invalid_value",
            )
        return name

    def _function(self, function: Body, path: str) -> Tool:
        """`function`: with a checked name."""
        if function.get("description") is not None:
            check(f"{path}.description", function["description"], _DESCRIPTION)
        parameters = function.get("parameters")
        if parameters is not None:
            at = f"{path}.parameters"
            check(at, parameters, _OBJECT)
            if parameters and parameters.get("type") != "object":
                raise invalid_request(
                    f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of "
                    f"'type: \"object\"', got 'type: \"{parameters.get('type')}\"'.",
                    param=at,
                    code="invalid_function_parameters",
                )
            if function.get("strict") is True and self._model.structured:
                check_strict(parameters, f"function '{function['name']}'", at)
        return Tool(function["name"], parameters or {"type": "object"})

    def _custom(self, custom: Body, path: str) -> Tool:
        if custom.get("description") is not None:
            check(f"{path}.description", custom["description"], _DESCRIPTION)
        return Tool(custom["name"], None)


def _unknown(name: object, param: str) -> Exception:
    return invalid_request(f"Tool choice '{name}' not found in 'tools' parameter.", param=param)
