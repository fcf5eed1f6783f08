"""What agents say and call, as far as settings tell it."""

from collections.abc import Callable

import pytest

from smalt.config.agents import instructions
from smalt.config.schema import Settings

RESOURCES = """\
resources:
  east: {endpoint: "https://east.openai.azure.com", api_keys: [k], deployments: {prod: {model: gpt-4o}}}
agents:
  narrator:
    model: gpt-4o
"""


def test_instructions_go_by_the_name_that_callers_ask_for() -> None:
    """Agents without any have none."""
    agents = {"narrator": {"model": "m", "instructions": "Narrate."}, "rules": {"model": "m"}}
    found = instructions(Settings.model_validate({"agents": agents}))
    assert {name: one.render({}) for name, one in found.items()} == {"agent/narrator": "Narrate."}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            "instructions: 'Hello {{ name'",
            (
                "6:5: agents.narrator.instructions: line 1 of the template: unexpected end of template, "
                "expected 'end of print statement'."
            ),
        ),
        (
            "instructions: |\n      One.\n      {{ name | upper_case }}",
            "6:5: agents.narrator.instructions: line 2 of the template: No filter named 'upper_case'.",
        ),
        (
            "tools: [game.dice:roll, roll]",
            "6:29: agents.narrator.tools[1]: expected a function such as package.module:function",
        ),
        ("fallbacks: [gpt-4]", "6:17: agents.narrator.fallbacks[0]: no model is named 'gpt-4'"),
        ("max_rounds: 0", "6:5: agents.narrator.max_rounds: expected a whole number above 0, got 0"),
    ],
)
def test_mistakes_are_found_where_they_are_written(
    problems: Callable[..., list[str]], written: str, problem: str
) -> None:
    """With line and column of the setting, and the line of the template."""
    assert [line.partition("; did")[0] for line in problems(f"{RESOURCES}    {written}\n")] == [problem]


def test_all_an_agent_may_say_is_understood(loaded: Callable[..., Settings]) -> None:
    """Tools are not imported before they are wanted."""
    text = RESOURCES + "    instructions: 'You are {{ name }}.'\n    tools: [no.such.module:function]\n"
    assert loaded(text).agents["narrator"].max_rounds == 8
