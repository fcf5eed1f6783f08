"""What is changed for which model, and that it is told."""

import json
from typing import Any

import pytest

from smalt.types import Facts, Operation
from smalt.wire.adapt import adapt
from smalt.wire.facts import read_facts
from smalt.wire.models import model_data
from smalt.wire.paths import Asked, Surface

NARROW = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
BODY: dict[str, Any] = {"model": "m", "messages": [], "max_tokens": 5}
TOOL = {"type": "function", "function": {"name": "a.b", "strict": True, "parameters": NARROW}}
TOOLS: dict[str, Any] = {"model": "m", "messages": [], "tools": [TOOL]}


def rewrites(
    body: dict[str, Any],
    model: str | None,
    *,
    operation: Operation = Operation.CHAT,
    azure: bool = True,
) -> list[str]:
    """What is told of a body, which changes if and only if something is."""
    raw = json.dumps(body).encode()
    data = model and model_data(model)
    adapted = adapt(raw, read_facts(Asked(Surface.OPENAI, operation), raw), data or None, azure=azure)
    assert (adapted.body is raw) is (not adapted.rewrites)
    assert bool(adapted.renamed) is ("tool_names" in adapted.rewrites)
    return adapted.rewrites


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("o3", ["max_completion_tokens"]),
        ("gpt-5.1", ["max_completion_tokens"]),
        ("gpt-4o", []),
        ("gpt-unheard-of", []),
        (None, []),
    ],
)
@pytest.mark.parametrize("azure", [True, False])
def test_the_cap_of_models_that_refuse_its_old_name(model: str | None, told: list[str], azure: bool) -> None:
    """Known ones only, whoever serves them."""
    assert rewrites(BODY, model, azure=azure) == told


def test_the_cap_of_other_operations() -> None:
    """Chat alone has two names for it."""
    assert rewrites({**BODY, "prompt": "hi"}, "o3", operation=Operation.COMPLETIONS) == []
    assert rewrites({**BODY, "input": "hi"}, "o3", operation=Operation.RESPONSES) == []


@pytest.mark.parametrize(
    "members", [{"max_completion_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 6}]
)
def test_a_cap_by_its_new_name(members: dict[str, Any]) -> None:
    """It stays, and so does a contradiction."""
    assert rewrites({"model": "m", **members}, "o3") == []


@pytest.mark.parametrize(
    ("model", "azure", "told"),
    [
        ("gpt-4o", True, ["tool_names", "tool_schemas"]),
        ("gpt-4o", False, ["tool_names"]),  # others may take more of JSON Schema
        ("gpt-4", True, ["tool_names"]),  # does not look at `strict`
        ("gpt-5.1-chat", True, ["tool_names"]),  # of which it is not known
        (None, True, ["tool_names"]),
        (None, False, ["tool_names"]),
    ],
)
def test_tools(model: str | None, azure: bool, told: list[str]) -> None:
    """Names everywhere, so that a failover changes nothing; schemas where Azure is known to refuse them."""
    assert rewrites(TOOLS, model, azure=azure) == told


def test_tools_that_nobody_refuses() -> None:
    """Nothing is changed, and nothing told."""
    tool = {"type": "function", "function": {"name": "a", "strict": True, "parameters": {"type": "object"}}}
    assert rewrites({"model": "m", "tools": [tool]}, "gpt-4o") == []


def test_names_without_tools() -> None:
    """A conversation that goes on without its tools still names them."""
    called = {"role": "assistant", "tool_calls": [{"id": "1", **TOOL}]}
    assert rewrites({"model": "m", "messages": [called]}, "gpt-4") == ["tool_names"]


def test_everything_at_once() -> None:
    """One body, told in this order."""
    assert rewrites({**BODY, **TOOLS}, "o3") == ["max_completion_tokens", "tool_names", "tool_schemas"]


def test_a_request_without_tools_is_not_searched_for_names() -> None:
    """Its facts say that there are none."""
    raw = b'{"tools":[{"type":"function","function":{"name":"a b"}}]}'
    assert adapt(raw, Facts(Operation.CHAT, "m"), None, azure=True).body is raw
