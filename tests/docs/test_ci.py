"""What runs on every change is what the README tells a person."""

import re
from pathlib import Path

from tests.docs.collect import commands, examples

ROOT = Path(__file__).parents[2]


def test_req_3_18_ci_runs_offline() -> None:
    """CI types the README's commands, needs no secret, and says the same everywhere."""
    run = (ROOT / ".ci/run").read_text()
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    typed = re.findall(r"^step (.+)$", run, re.MULTILINE)
    readme = examples("README.md", (ROOT / "README.md").read_text())
    told = [
        " ".join(command)
        for example in readme
        if example.language == "bash"
        for command in commands(example.code)
    ]

    assert typed == ["make check", "make test", "make demo"]
    assert set(typed) <= set(told)
    assert re.findall(r"- run: (.+)", workflow) == [".ci/run"]
    assert "secrets." not in workflow
