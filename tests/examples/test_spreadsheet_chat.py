"""The chat about a spreadsheet: three paths, lost one after the other."""

import re
from pathlib import Path

from tests.examples.processes import interrupted, output, shown


def said(text: str) -> list[str]:
    """All but the paths: which are asked again first depends on how quickly this machine goes on."""
    return [line for line in text.splitlines() if not line.startswith("  [")]


def test_req_4_3_the_chat_survives_the_loss_of_each_path(tmp_path: Path) -> None:
    """The proxy serves first, then Azure, then OpenAI; without all three the chat says so, and goes on.
    Nobody is there to ask, so it is the demo."""
    told = output("spreadsheet_chat", cwd=tmp_path)
    assert said(told) == said(shown("spreadsheet_chat"))
    lines = [line for line in told.splitlines() if line.startswith("  [")]
    paths = [re.findall(r"(\w+) (lost|answered)", line) for line in lines]
    served = [next((name for name, how in path if how == "answered"), None) for path in paths]
    assert served == ["proxy", "azure", "openai", None, "proxy"]
    assert ("proxy", "lost") in paths[1]
    assert ("azure", "lost") in paths[2]
    assert {name for name, how in paths[3] if how == "lost"} == {"proxy", "azure", "openai"}


def test_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    """Ctrl-C leaves no traceback."""
    assert interrupted("spreadsheet_chat", tmp_path) == (130, "")
