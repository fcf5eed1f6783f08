"""Files as people get them wrong, and all that is said about each: what is wrong, where, and what to do."""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from smalt.config import Settings

GOOD = """\
resources:
  east:
    endpoint: https://contoso-east.openai.azure.com
    region: eastus
    api_keys: ["${EAST_KEY}"]
    deployments:
      gpt-4o-prod: {model: gpt-4o, sku: Standard, quota_tpm: 120k}
      mini: {model: gpt-4o-mini, sku: Standard}
  sweden:
    endpoint: https://contoso-sweden.openai.azure.com
    region: swedencentral
    identity: default
    deployments:
      gpt-4o-prod: {model: gpt-4o, sku: Standard, quota_tpm: 120k}
models:
  gpt-4o:
    route: [[east/gpt-4o-prod, sweden/gpt-4o-prod]]
    fallbacks: [gpt-4o-mini]
agents:
  guide: {model: gpt-4o, temperature: 0.9, needs: [tools]}
gateway:
  keys: [{alias: ci, key: "${CI_KEY}"}]
"""
SET = {"EAST_KEY": "s3cret-of-the-east", "CI_KEY": "s3cret-of-callers"}


class Bad(NamedTuple):
    title: str
    old: str
    new: str
    problems: list[str]


def bad_files() -> Iterator[Bad]:
    text = Path(__file__).with_name("bad_files.txt").read_text(encoding="utf-8")
    for entry in text.replace("VERSION", version("smalt")).split("\n## ")[1:]:
        title, *lines = entry.strip("\n").split("\n")
        old, new = ("\n".join(line[2:] for line in lines if line[:2] == mark) for mark in ("- ", "+ "))
        yield Bad(title, old, new, [line for line in lines if line[:2] not in ("- ", "+ ")])


FILES = list(bad_files())


def test_the_good_file_is_good(loaded: Callable[..., Settings]) -> None:
    """What is wrong with the others is what was changed."""
    assert loaded(GOOD, **SET).resources


def test_there_are_enough() -> None:
    """Each is another file and has a problem."""
    assert len({(bad.old, bad.new) for bad in FILES}) == len(FILES) >= 40
    assert all(bad.problems for bad in FILES)


@pytest.mark.parametrize("bad", FILES, ids=lambda bad: bad.title)
def test_a_bad_file(bad: Bad, problems: Callable[..., list[str]]) -> None:
    """Each problem in one line, with its place; nothing else, and never a secret."""
    assert GOOD.count(bad.old) == 1
    said = problems(GOOD.replace(bad.old, bad.new), **SET)
    assert said == bad.problems
    assert "s3cret" not in str(said)
