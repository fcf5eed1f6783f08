"""Answers the fleet file prescribes: `answers`, a list of rules, of which the first that fits counts.

answers:
  - {contains: capital of France, text: Paris.}
  - {matches: 'order (?:no\\.? )?\\d+', tool: look_up, arguments: {id: "1"}}
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smalt.emulator.catalogue import MODELS
from smalt.emulator.reading import Reader


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern`: searched in the last words of the user. Either `text` is said, or `tool` called.

    `model`: the only one it is for; None: all.
    """

    pattern: re.Pattern[str]
    text: str | None = None
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None


def choose(rules: Iterable[Rule], asked: str, model: str, callable_tools: Collection[str]) -> Rule | None:
    """`callable_tools`: those the model may call now; rules for others do not fit."""
    for rule in rules:
        fits = rule.model in {None, model} and (rule.tool is None or rule.tool in callable_tools)
        if fits and rule.pattern.search(asked):
            return rule
    return None


def read_answers(reader: Reader, value: object) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        reader.tell("answers", "write a list of mappings with contains or matches, and text or tool")
        return ()
    return tuple(_read(reader, f"answers[{index}]", entry) for index, entry in enumerate(value))


def _read(reader: Reader, path: str, value: object) -> Rule:
    fields = reader.mapping(path, value, {"contains", "matches", "text", "tool", "arguments", "model"})
    if fields and ("text" in fields) == ("tool" in fields):
        reader.tell(path, "write either text or tool")
    if "arguments" in fields and not (isinstance(fields["arguments"], dict) and "tool" in fields):
        reader.tell(f"{path}.arguments", "write a mapping, for a tool")
    for name in ("text", "tool"):
        if name in fields and not isinstance(fields[name], str):
            reader.tell(f"{path}.{name}", f"got {fields[name]!r}; write a text")
    model = fields.get("model")
    return Rule(
        pattern=_pattern(reader, path, fields),
        text=fields.get("text"),
        tool=fields.get("tool"),
        arguments=fields.get("arguments", {}),
        model=None if model is None else reader.one_of(f"{path}.model", model, MODELS),
    )


def _pattern(reader: Reader, path: str, fields: Mapping[str, Any]) -> re.Pattern[str]:
    contains, matches = fields.get("contains"), fields.get("matches")
    given = contains if matches is None else matches
    if (contains is None) == (matches is None) or not isinstance(given, str):
        reader.tell(path, "write either contains: a text, or matches: a regular expression")
        return re.compile("")
    try:
        return re.compile(re.escape(given) if matches is None else matches)
    except re.error as error:
        reader.tell(f"{path}.matches", f"is not a regular expression: {error}")
        return re.compile("")
