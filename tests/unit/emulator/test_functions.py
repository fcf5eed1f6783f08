from typing import Any

import pytest

from smalt.emulator.catalogue import MODELS
from smalt.emulator.functions import Offer, ToolUse, pick, read_offer
from smalt.emulator.params import Body
from smalt.emulator.refusals import Refusal
from smalt.emulator.text import dice

GPT_4O, GPT_5 = MODELS["gpt-4o"], MODELS["gpt-5"]


def tool(name: str = "look", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def custom(name: str = "write") -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": name}}


def allowed(*tools: Body, mode: str = "required") -> Body:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


def offer(**more: Any) -> Offer:
    return read_offer({"tools": [tool(), tool("go")], **more}, GPT_4O)


def picked(asked: Offer, *, answers_user: bool = True) -> ToolUse:
    use = pick(asked, dice(0), answers_user=answers_user)
    assert use
    return use


@pytest.mark.parametrize(
    ("faulty", "param"),
    [
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tools": [{"type": "gadget"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [tool("no spaces")]}, "tools[0].function.name"),
        ({"tools": [tool(description=1)]}, "tools[0].function.description"),
        ({"tools": [tool(parameters={"type": "array"})]}, "tools[0].function.parameters"),
        ({"tools": [tool(strict=True, parameters={"type": "object"})]}, "tools[0].function.parameters"),
        ({"tools": [tool()], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": tool("other")}, "tool_choice.function.name"),
        ({"tools": [custom()]}, "tools[0].type"),
        ({"tools": [tool()], "tool_choice": allowed(tool())}, "tool_choice.type"),
        ({"tools": [tool()], "functions": [{"name": "f"}]}, "functions"),
        ({"functions": []}, "functions"),
        ({"functions": [{"name": "no spaces"}]}, "functions[0].name"),
        ({"function_call": "auto"}, "function_call"),
        ({"functions": [{"name": "f"}], "function_call": "required"}, "function_call"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call.name"),
    ],
)
def test_a_faulty_declaration_is_refused_at_its_place(faulty: Body, param: str) -> None:
    """The refusal names the path of the first fault; custom tools need a later model."""
    with pytest.raises(Refusal) as caught:
        read_offer(faulty, GPT_4O)
    assert caught.value.canned.body["error"]["param"] == param


def test_a_user_is_answered_with_a_tool_call() -> None:
    """Left to itself the model calls one of the tools, and names no force."""
    use = picked(offer())
    assert use.name in {"look", "go"}
    assert not use.forced


@pytest.mark.parametrize(
    ("asked", "answers_user"),
    [(offer(), False), (offer(tool_choice="none"), True), (read_offer({}, GPT_4O), True)],
)
def test_words_follow_where_no_tool_is_due(asked: Offer, *, answers_user: bool) -> None:
    """After a tool's result, and where tools are switched off or absent, the model answers in words."""
    assert pick(asked, dice(0), answers_user=answers_user) is None


def test_a_forced_tool_is_called() -> None:
    """A named tool is called whatever the last message is; so is some tool where one is required."""
    assert picked(offer(tool_choice=tool("go")), answers_user=False) == ToolUse("go", {}, forced=True)
    assert not picked(offer(tool_choice="required"), answers_user=False).forced


def test_only_allowed_tools_are_called() -> None:
    """The choice narrows what was declared, and may demand a call."""
    body = {"tools": [tool(), tool("go"), custom()]}
    chosen = read_offer({**body, "tool_choice": allowed(tool("go"))}, GPT_5)
    assert picked(chosen, answers_user=False) == ToolUse("go", {})
    with pytest.raises(Refusal, match="Tool choice 'stop' not found"):
        read_offer({**body, "tool_choice": allowed(tool("stop"))}, GPT_5)


def test_a_custom_tool_takes_a_text() -> None:
    """It has no schema."""
    use = picked(read_offer({"tools": [custom()]}, GPT_5))
    assert use.custom
    assert isinstance(use.arguments, str)


def test_functions_are_tools_of_an_older_form() -> None:
    """They can be forced by name as well."""
    functions = [{"name": "f"}, {"name": "g"}]
    assert picked(read_offer({"functions": functions}, GPT_4O)).legacy
    forced = read_offer({"functions": functions, "function_call": {"name": "g"}}, GPT_4O)
    assert picked(forced, answers_user=False) == ToolUse("g", {}, forced=True, legacy=True)
    assert read_offer({"functions": functions, "function_call": "none"}, GPT_4O).mode == "none"


def test_responses_does_not_nest_its_tools() -> None:
    """The definition is the tool itself; defaults may come without tools; hosted tools are not played."""
    flat = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    choice = {"type": "function", "name": "look"}
    assert read_offer({"tools": [flat], "tool_choice": choice}, GPT_4O, flat=True).named == "look"
    assert read_offer({"tools": [], "tool_choice": "auto"}, GPT_4O, flat=True).mode == "none"
    with pytest.raises(Refusal, match="Hosted tool 'web_search' is not supported"):
        read_offer({"tools": [{"type": "web_search"}]}, GPT_4O, flat=True)
