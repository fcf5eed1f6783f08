"""Every example of the documents is true: Python runs, settings load, command lines exist."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.docs.collect import Example, commands, examples, make_targets, script, smalt_arguments
from tests.docs.conftest import World

from smalt.config import Settings, load
from smalt.emulator.fleet import load_fleet

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
EXAMPLES = [found for page in PAGES for found in examples(str(page.relative_to(ROOT)), page.read_text())]
NOT_RUN_AT_MOST = 6

SMALLEST = """
resources:
  example:
    endpoint: https://contoso.openai.azure.com
    api_keys: [example-key]
    deployments: {gpt-4o: {model: gpt-4o}}
"""


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(
            example,
            id=str(example),
            marks=[pytest.mark.sdk] if example.language == "python" or example.world == "library" else [],
        )
        for example in EXAMPLES
        if example.reason is None
    ],
)
def test_example(example: Example, request: pytest.FixtureRequest) -> None:
    """What the documents show works as shown."""
    if example.source:
        lines = iter((ROOT / example.source).read_text().splitlines())
        strange = [line for line in example.code.splitlines() if line and line not in lines]
        assert not strange, f"{example}: not in {example.source}: {strange}"
        return
    check = CHECKS.get(example.language)
    assert check, f"{example}: a block must name its language, one of {', '.join(CHECKS)}"
    world = request.getfixturevalue(f"{example.world}_world")
    if example.language == "python" and example.world != "tests":
        world.run_python(example.code, request.getfixturevalue("warm"))
        return
    check(example, world)


def test_few_examples_are_not_run() -> None:
    """An example that is not run may rot; there are few of them and each has its reason."""
    assert len([example for example in EXAMPLES if example.reason]) <= NOT_RUN_AT_MOST


def test_the_readme_shows_every_door() -> None:
    """The first page has commands, settings and code, all of them checked here."""
    shown = {example.language for example in EXAMPLES if example.file == "README.md"}
    assert shown >= {"bash", "yaml", "python"}


def check_tests(example: Example, world: World) -> None:
    (world.folder / "test_example.py").write_text(example.code)
    world.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"])


def check_shell(example: Example, world: World) -> None:
    """Run in a world that was asked for; else the syntax and the names of our own commands."""
    text = script(example)
    if example.world != "plain":
        world.run(["bash", "-euo", "pipefail", "-c", text])
        return
    world.run(["bash", "-n", "-c", text])
    for command in commands(text):
        if command[0] == "make":
            unknown = {word for word in command[1:] if word.isalpha()} - make_targets(
                (ROOT / "Makefile").read_text()
            )
            assert not unknown, f"{example}: make has no {unknown}"
        elif (arguments := smalt_arguments(command)) is not None:
            options = {word.partition("=")[0] for word in arguments if word.startswith("-")}
            help_text = smalt_help(*(word for word in arguments if not word.startswith("-")))
            missing = {option for option in options if not re.search(rf"(?<![\w-]){option}\b", help_text)}
            assert not missing, f"{example}: {' '.join(command)} knows no {missing}"


@cache
def smalt_help(*words: str) -> str:
    """The help of a command; arguments among `words` do no harm, an unknown command fails."""
    wide = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    asked = [sys.executable, "-m", "smalt", *words, "--help"]
    done = subprocess.run(asked, env=wide, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_yaml(example: Example, world: World) -> None:
    """A fleet or (a part of) smalt.yaml loads; variables it names are set. Other YAML only parses."""
    documents = list(YAML(typ="safe").load_all(example.code))
    data = documents[0] if len(documents) == 1 and isinstance(documents[0], dict) else {}
    path = world.folder / "example.yaml"
    resources = data.get("resources", {})
    if any("port" in resource for resource in resources.values()):
        path.write_text(example.code)
        load_fleet(path)
    elif not Settings.model_fields.keys().isdisjoint(data):
        path.write_text(example.code if resources else example.code + SMALLEST)
        load(path, env=placeholders(example.code), cwd=world.folder)


def placeholders(text: str) -> dict[str, str]:
    """A fitting value for each `${VARIABLE}`."""
    names = set(re.findall(r"\$\{(\w+)", text))
    return {n: "https://contoso.openai.azure.com" if n.endswith("ENDPOINT") else n.lower() for n in names}


def check_json(example: Example, world: World) -> None:
    json.loads(example.code)


def check_nothing(example: Example, world: World) -> None:
    """Output, pictures, excerpts."""


CHECKS: dict[str, Callable[[Example, World], None]] = {
    "python": check_tests,
    "bash": check_shell,
    "console": check_shell,
    "yaml": check_yaml,
    "json": check_json,
    "text": check_nothing,
    "mermaid": check_nothing,
}
