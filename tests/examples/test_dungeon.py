"""The dungeon: three agents, a lost region, the bill."""

import re
from pathlib import Path

from tests.examples.processes import interrupted, output, shown

# Agent, calls, attempts, tokens, USD
LINE = re.compile(r"^(\w+) +(\d+) +(\d+) +([\d,]+) +(0\.\d+)$", re.MULTILINE)


def lasting(text: str) -> str:
    """All but the attempts: how often the lost region is asked again depends on how long the story takes."""
    return LINE.sub(r"\1 \2 \4 \5", text)


def test_the_story_is_told_to_its_end(tmp_path: Path) -> None:
    """As the page shows it, to the letter: the region is lost in the middle, and the other one goes on."""
    told = output("dungeon", cwd=tmp_path)
    assert lasting(told) == lasting(shown("dungeon"))
    before, lost, after = told.partition("goes dark")
    assert lost
    assert re.findall(r"told in (\w+)", before) == ["eastus"] * 2
    assert re.findall(r"told in (\w+)", after) == ["swedencentral"] * 3


def test_the_bill_adds_up(tmp_path: Path) -> None:
    """With other dice, another story: every agent has its line, and together they are what Azure bills. The
    lost region cost an attempt, and no call."""
    told = output("dungeon", "--seed", "7", cwd=tmp_path)
    assert lasting(told) != lasting(shown("dungeon"))
    lines = LINE.findall(told)
    assert {name for name, *_ in lines} == {"narrator", "rules", "scribe", "memory"}
    assert sum(int(attempts) - int(calls) for _, calls, attempts, _, _ in lines) >= 1
    spent = sum(int(tokens.replace(",", "")) for _, _, _, tokens, _ in lines)
    assert f"{spent:,} tokens; Azure bills {spent:,}" in told


def test_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    """Ctrl-C leaves no traceback."""
    assert interrupted("dungeon", tmp_path) == (130, "")
