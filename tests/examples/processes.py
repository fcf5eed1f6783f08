"""Runs an example as a person does, and finds what the page about it shows."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
ENDS_S = 60


def output(example: str, *arguments: str, cwd: Path) -> str:
    """What it prints until it ends by itself, from a folder that is not its own."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / example / "main.py", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def shown(example: str) -> str:
    """Its output in examples/README.md."""
    block = re.compile(rf"^\$ python examples/{example}/main\.py.*\n((?:.*\n)*?)```$", re.MULTILINE)
    found = block.search((EXAMPLES / "README.md").read_text())
    assert found, f"examples/README.md does not show {example}"
    return found[1]


def interrupted(example: str, cwd: Path) -> tuple[int, str]:
    """Ctrl-C as soon as something is printed: how it ended, and what it complained about."""
    with subprocess.Popen(
        [sys.executable, EXAMPLES / example / "main.py"],
        cwd=cwd,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=ENDS_S)
    return process.returncode, complaints
