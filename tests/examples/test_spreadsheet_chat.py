"""The chat about a spreadsheet, as a process."""

import re
import subprocess
import sys
from pathlib import Path

MAIN = Path(__file__).parents[2] / "examples/spreadsheet_chat/main.py"
ENDS_S = 60


def test_the_chat_survives_the_loss_of_each_path(tmp_path: Path) -> None:
    """The proxy serves first, then Azure, then OpenAI; without all three the chat says so, and goes on."""
    done = subprocess.run(
        [sys.executable, MAIN, "--demo"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    asked = [part for part in done.stdout.split("\n> ")[1:] if not part.startswith("/")]
    answers = [part.splitlines()[1] for part in asked]
    paths = [re.findall(r"(\w+) (lost|answered)", part.splitlines()[2]) for part in asked]
    served = [next((name for name, how in path if how == "answered"), None) for path in paths]
    assert served == ["proxy", "azure", "openai", None, "proxy"]
    assert ("proxy", "lost") in paths[1]
    assert ("azure", "lost") in paths[2]
    assert {name for name, how in paths[3] if how == "lost"} == {"proxy", "azure", "openai"}
    assert answers == [
        "The South: 12,000 USD, against 11,850 in the North.",
        "445: 200 in January and 245 in February.",
        "They fell in the North, from 45 to 30, and rose in the South, from 60 to 75.",
        "The assistant rests; your table is safe. Try again soon.",
        "February, with 12,600 USD; January brought 11,250.",
    ]
