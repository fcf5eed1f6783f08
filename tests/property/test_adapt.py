"""Whatever a request holds: what must stay true when it is adapted."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from smalt.emulator.functions import _NAME as AZURES_NAME
from smalt.types import Operation
from smalt.wire import rewrite, strict_schemas, tool_names
from smalt.wire.defaults import fill
from smalt.wire.models import model_data

texts = st.text(max_size=12)
names = st.one_of(
    texts,
    st.text("ab._/ü-", max_size=70),
    st.sampled_from(["weather.get/current", "weather_get_current_381bc5a6", "get", "x" * 65]),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
WORDS = ["tools", "tool_choice", "messages", "input", "functions", "function_call", "tool_calls", "name"]
WORDS += [
    "type",
    "function",
    "custom",
    "role",
    "tool",
    "strict",
    "parameters",
    "properties",
    "items",
    "anyOf",
]
WORDS += ["minimum", "format", "max_tokens", "max_completion_tokens", "custom_tool_call", "allowed_tools"]
values = st.recursive(
    scalars | names | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | texts, inner, max_size=4)
    ),
    max_leaves=6,
)
schemas = st.recursive(
    values,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "minimum": scalars,
            "format": scalars,
            "properties": st.dictionaries(texts | st.sampled_from(WORDS), inner, max_size=2),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
        },
    ),
    max_leaves=6,
)


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def flat(name: str) -> dict[str, Any]:
    return {"type": "custom", "name": name}


named = names.map(tool) | names.map(flat) | values
strict = st.builds(lambda schema: {"type": "function", "strict": True, "parameters": schema}, schemas)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"])},
    optional={"name": names, "tool_calls": st.lists(named, max_size=2), "content": values},
)
items = st.fixed_dictionaries(
    {"type": st.sampled_from(["function_call", "message"])}, optional={"name": names}
)
bodies = st.builds(
    lambda members, others: {**others, **members},
    st.fixed_dictionaries(
        {},
        optional={
            "tools": st.lists(named | strict, max_size=3),
            "tool_choice": named,
            "messages": st.lists(messages, max_size=3),
            "input": st.lists(items, max_size=2) | texts,
            "max_tokens": scalars,
            "max_completion_tokens": scalars,
        },
    ),
    st.dictionaries(st.sampled_from(WORDS) | texts, values, max_size=3),
)


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def renamed_in(value: Any, found: dict[str, str]) -> Any:
    """`value` with names exchanged, wherever they stand."""
    if isinstance(value, dict):
        return {
            key: found.get(inner, inner)
            if key == "name" and isinstance(inner, str)
            else renamed_in(inner, found)
            for key, inner in value.items()
        }
    return [renamed_in(inner, found) for inner in value] if isinstance(value, list) else value


@given(st.lists(names, min_size=1, max_size=8, unique=True), st.sampled_from([tool, flat]))
def test_names_are_valid_and_apart(offered: list[str], shape: Any) -> None:
    """As many names as were offered, each one that Azure takes; valid ones are the caller's own."""
    body, _ = tool_names.rename(dumped({"tools": [shape(name) for name in offered]}))
    told = [item["function"]["name"] if shape is tool else item["name"] for item in json.loads(body)["tools"]]
    assert len(set(told)) == len(offered)
    for name, sent in zip(offered, told, strict=True):
        assert AZURES_NAME.fullmatch(sent)
        assert sent == name or not AZURES_NAME.fullmatch(name)


@given(bodies)
@example({"tools": [tool("a b")], "messages": [{"role": "user", "name": "a b"}]})
def test_names_come_back(members: dict[str, Any]) -> None:
    """Renamed and put back is the same request; nothing but names has changed in between."""
    body = dumped(members)
    sent, renamed = tool_names.rename(body)
    if renamed is None:
        assert sent is body
        return
    assert json.loads(tool_names.restore(sent, renamed)) == members
    back = {name.decode(): json.loads(asked) for name, asked in renamed.items()}
    assert renamed_in(json.loads(sent), back) == members


@given(bodies, st.lists(names, min_size=1, max_size=3))
def test_an_answer_calls_tools_as_the_caller_does(members: dict[str, Any], offered: list[str]) -> None:
    """Of a whole answer only the names of renamed tools change, in whatever shape they come."""
    request, renamed = tool_names.rename(dumped({"tools": [tool(name) for name in offered]}))
    called = [item["function"]["name"] for item in json.loads(request)["tools"]]
    answer = {**members, "choices": [{"message": {"tool_calls": [tool(name) for name in called]}}]}
    told = json.loads(tool_names.restore(dumped(answer), renamed or {}))
    assert told["choices"][0]["message"]["tool_calls"] == [tool(name) for name in offered]
    back = {name.decode(): json.loads(asked) for name, asked in (renamed or {}).items()}
    assert {**told, "choices": []} == {**renamed_in(members, back), "choices": []}


@given(bodies)
@example(
    {"tools": [{"strict": True, "parameters": {"minimum": 1, "properties": {"minimum": {"format": 1}}}}]}
)
def test_schemas_only_lose(members: dict[str, Any]) -> None:
    """Nothing is added or changed, and a second time there is nothing left to drop."""
    body = dumped(members)
    widened = strict_schemas.widen(body)
    assert strict_schemas.widen(widened) is widened
    assert within(json.loads(widened), members)


def within(less: Any, more: Any) -> bool:
    """Whether `less` is `more` without some narrowing keywords."""
    if isinstance(less, dict):
        gone = more.keys() - less.keys()
        return gone <= strict_schemas.NARROWING and all(within(less[key], more[key]) for key in less)
    if isinstance(less, list):
        return len(less) == len(more) and all(map(within, less, more))
    return bool(less == more)


CAPS = {"max_tokens", "max_completion_tokens"}


@given(bodies)
def test_the_cap_keeps_its_value(members: dict[str, Any]) -> None:
    """Under one name or the other, and everything else as before."""
    body = dumped(members)
    capped = rewrite.cap_completion_tokens(body)
    if capped is body:
        return
    told = json.loads(capped)
    assert told.pop("max_completion_tokens") == members["max_tokens"]
    assert told == {key: value for key, value in members.items() if key not in CAPS}


filled = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "max_tokens": st.integers(1, 9_000),
        "seed": st.integers(0),
        "reasoning_effort": st.sampled_from(["low", "high"]),
    },
)


@given(bodies, filled, st.sampled_from(list(Operation)), st.sampled_from([None, "gpt-4o", "o3"]))
@example({"max_completion_tokens": 5}, {"max_tokens": 800}, Operation.CHAT, "gpt-4o")
def test_defaults_change_nothing_that_is_said(
    members: dict[str, Any], defaults: dict[str, Any], operation: Operation, model: str | None
) -> None:
    """They only add, no more than they are, a cap only where there was none; and nothing a second time."""
    body, data = dumped(members), model_data(model) if model else None
    sent, told = fill(body, operation, defaults, data)
    after = json.loads(sent)
    assert {name: after[name] for name in members if members[name] is not None} == {
        name: value for name, value in members.items() if value is not None
    }
    added = [name for name, value in after.items() if value is not None and members.get(name) is None]
    assert len(added) == len(told) <= len(defaults)
    if any(members.get(name) is not None for name in CAPS):
        assert CAPS.isdisjoint(added)
    assert fill(sent, operation, defaults, data) == (sent, [])
