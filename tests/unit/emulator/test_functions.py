from typing import Any

import pytest

from smalt.emulator.functions import ToolUse, check_tools, pick
from smalt.emulator.params import Body
from smalt.emulator.refusals import Refusal
from smalt.emulator.text import dice


def tool(name: str = "look", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def body(role: str = "user", **more: Any) -> Body:
    return {"messages": [{"role": role, "content": "x"}], "tools": [tool(), tool("go")], **more}


def picked(asked: Body) -> ToolUse:
    use = pick(asked, dice(0))
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
        ({"tools": [tool()], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": tool("other")}, "tool_choice.function.name"),
    ],
)
def test_a_faulty_declaration_is_refused_at_its_place(faulty: Body, param: str) -> None:
    """The refusal names the path of the first fault."""
    with pytest.raises(Refusal) as caught:
        check_tools(faulty)
    assert caught.value.canned.body["error"]["param"] == param


def test_a_regular_declaration_passes() -> None:
    """Tools with and without parameters are accepted, and a choice among them."""
    check_tools({"tools": [tool(), tool("go", parameters={"type": "object"})], "tool_choice": tool("go")})


def test_a_user_is_answered_with_a_tool_call() -> None:
    """Left to itself the model calls one of the tools, and names no force."""
    use = picked(body())
    assert use.name in {"look", "go"}
    assert not use.forced


@pytest.mark.parametrize("asked", [body(role="tool"), body(tool_choice="none"), body(tools=None)])
def test_words_follow_where_no_tool_is_due(asked: Body) -> None:
    """After a tool's result, and where tools are switched off or absent, the model answers in words."""
    assert pick(asked, dice(0)) is None


def test_a_forced_tool_is_called() -> None:
    """A named tool is called whatever the last message is; so is some tool where one is required."""
    assert picked(body(role="tool", tool_choice=tool("go"))) == ToolUse("go", {}, forced=True)
    assert not picked(body(role="tool", tool_choice="required")).forced
