"""What a request leaves out is filled in, as the operation and the model have it, and told."""

import json
from typing import Any

import pytest

from smalt.errors import InvalidRequest
from smalt.types import Facts, Operation
from smalt.wire.defaults import Defaults, capped, fill, refuses
from smalt.wire.models import model_data

ALL: Defaults = {
    "temperature": 0.2,
    "top_p": 0.9,
    "max_tokens": 800,
    "frequency_penalty": 1,
    "presence_penalty": -1.5,
    "seed": 7,
    "reasoning_effort": "low",
}
CHAT, COMPLETIONS, RESPONSES = Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES


def filled(
    body: dict[str, Any], defaults: Defaults, *, operation: Operation = CHAT, model: str | None = "gpt-4o"
) -> tuple[dict[str, Any], list[str]]:
    """The members that were added, and what is told."""
    raw = json.dumps(body).encode()
    changed, told = fill(raw, operation, defaults, model_data(model) if model else None)
    assert (changed is raw) is (not told)
    after = json.loads(changed)
    assert all(after[name] == value for name, value in body.items() if value is not None)
    return {name: value for name, value in after.items() if body.get(name) is None}, told


def test_what_is_left_out_is_filled_in() -> None:
    """Declared by the name that the settings have."""
    assert filled({"messages": []}, {"temperature": 0.2, "max_tokens": 800}) == (
        {"temperature": 0.2, "max_tokens": 800},
        ["defaults.temperature", "defaults.max_tokens"],
    )


def test_what_the_caller_says_stays() -> None:
    """Zero is something said; null is nothing."""
    assert filled({"temperature": 0, "seed": None}, {"temperature": 0.2, "seed": 7}) == (
        {"seed": 7},
        ["defaults.seed"],
    )
    assert filled({"temperature": 1, "seed": 1}, {"temperature": 0.2, "seed": 7}) == ({}, [])


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        (CHAT, {"max_tokens": 1}),
        (CHAT, {"max_completion_tokens": 1}),
        (COMPLETIONS, {"max_tokens": 1}),
        (RESPONSES, {"max_output_tokens": 1}),
    ],
)
def test_a_cap_by_any_of_its_names(operation: Operation, members: dict[str, Any]) -> None:
    """The caller's own is the only one."""
    assert filled(members, {"max_tokens": 800}, operation=operation) == ({}, [])


@pytest.mark.parametrize(
    ("operation", "added"),
    [
        (CHAT, {name: value for name, value in ALL.items() if name != "reasoning_effort"}),
        (COMPLETIONS, {name: value for name, value in ALL.items() if name != "reasoning_effort"}),
        (RESPONSES, {"temperature": 0.2, "top_p": 0.9, "max_output_tokens": 800}),
        (Operation.EMBEDDINGS, {}),
    ],
)
def test_each_operation_has_its_own_names(operation: Operation, added: dict[str, Any]) -> None:
    """What it does not have is left out."""
    assert filled({}, ALL, operation=operation)[0] == added


@pytest.mark.parametrize("model", ["o3", "gpt-5.1", "gpt-5.1-chat"])
def test_a_model_that_reasons(model: str) -> None:
    """It takes no sampling parameters, calls the cap otherwise, and may be told how hard to think."""
    added, told = filled({}, ALL, model=model)
    assert added == {"max_completion_tokens": 800, "seed": 7, "reasoning_effort": "low"}
    assert told == ["defaults.max_tokens", "defaults.seed", "defaults.reasoning_effort"]
    assert filled({}, ALL, operation=RESPONSES, model=model)[0] == {
        "max_output_tokens": 800,
        "reasoning": {"effort": "low"},
    }


def test_a_model_nobody_knows_gets_everything() -> None:
    """Its upstream says what is wrong."""
    assert filled({}, ALL, model=None)[0] == ALL


@pytest.mark.parametrize(
    ("model", "name", "refused"),
    [
        ("gpt-4o", "temperature", False),
        ("o3", "temperature", True),
        ("o3", "seed", False),
        ("gpt-5-chat", "temperature", False),  # of that family the one that does not reason
        ("gpt-5-chat", "reasoning_effort", True),
        ("gpt-4o", "reasoning_effort", True),
        ("o1-mini", "top_p", True),
        ("codex-mini", "top_p", False),  # of which nothing is known
        ("codex-mini", "reasoning_effort", False),
    ],
)
def test_what_models_are_known_to_refuse(model: str, name: str, refused: bool) -> None:
    """Nothing is guessed."""
    data = model_data(model)
    assert data is not None
    assert refuses(data, name) is refused


def test_a_body_that_is_no_object() -> None:
    """As any other change of it."""
    with pytest.raises(InvalidRequest):
        fill(b"[]", CHAT, ALL, None)


@pytest.mark.parametrize(
    ("facts", "max_tokens"),
    [
        (Facts(CHAT, "m"), 800),
        (Facts(RESPONSES, "m"), 800),
        (Facts(CHAT, "m", max_tokens=5), 5),
        (Facts(Operation.EMBEDDINGS, "m"), None),
    ],
)
def test_the_facts_know_the_cap(facts: Facts, max_tokens: int | None) -> None:
    """Quotas and budgets are charged with it."""
    assert capped(facts, ALL).max_tokens == max_tokens
    assert capped(facts, {"seed": 1}) is facts
