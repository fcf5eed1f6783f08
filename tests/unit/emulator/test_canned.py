import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from smalt.emulator import chat
from smalt.emulator.answers import Answer, Call
from smalt.emulator.canned import Rule, choose, read_answers
from smalt.emulator.reading import Reader

Make = Callable[..., Call]
PARIS = Rule(re.compile("capital of France"), text="Paris.")
ORDER = Rule(re.compile(r"order \d+"), tool="look", arguments={"id": "1"})
TOOL = {"type": "function", "function": {"name": "look"}}


def message(answer: Answer) -> dict[str, Any]:
    assert answer.body
    told: dict[str, Any] = answer.body["choices"][0]["message"]
    return told


def asked(make: Make, text: str, **body: Any) -> Call:
    body.setdefault("messages", [{"role": "user", "content": text}])
    return replace(make(**body), rules=(PARIS, ORDER))


def test_the_first_fitting_rule_counts() -> None:
    """A rule for a tool fits only where that tool can be called, one for a model only there."""
    assert choose([PARIS, ORDER], "the capital of France?", "gpt-4o", ()) == PARIS
    assert choose([PARIS, ORDER], "order 12", "gpt-4o", {"look"}) == ORDER
    assert choose([PARIS, ORDER], "order 12", "gpt-4o", ()) is None
    only = replace(PARIS, model="gpt-4.1")
    assert choose([only], "the capital of France?", "gpt-4o", ()) is None


def test_a_text_is_said_and_counted(chat_call: Make) -> None:
    """Stop sequences and limits hold for it as for any other, and the whole text is billed."""
    answer = chat.answer(asked(chat_call, "the capital of France?"))
    assert message(answer)["content"] == "Paris."
    assert answer.output_tokens == 2
    short = chat.answer(asked(chat_call, "the capital of France?", max_tokens=1))
    assert message(short)["content"] == "Paris"


def test_a_tool_is_called_once(chat_call: Make) -> None:
    """After its result the model speaks: the user's last words still fit the rule."""
    calling = message(chat.answer(asked(chat_call, "order 7", tools=[TOOL])))
    assert calling["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"id":"1"}'}
    messages = [
        {"role": "user", "content": "order 7"},
        calling,
        {"role": "tool", "tool_call_id": calling["tool_calls"][0]["id"], "content": "shipped"},
    ]
    assert message(chat.answer(asked(chat_call, "", messages=messages, tools=[TOOL])))["content"]


def test_rules_are_read() -> None:
    """A plain text is found as it is written, an expression as it is meant."""
    reader = Reader()
    plain, expression = read_answers(
        reader,
        [
            {"contains": "a.b", "text": "x"},
            {"matches": "a.b", "tool": "t", "arguments": {"n": 1}, "model": "gpt-4o"},
        ],
    )
    assert not reader.problems
    assert (bool(plain.pattern.search("acb")), bool(expression.pattern.search("acb"))) == (False, True)
    assert (expression.tool, expression.arguments, expression.model) == ("t", {"n": 1}, "gpt-4o")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x", "answers: write a list"),
        ([{"contains": "x"}], "answers[0]: write either text or tool"),
        ([{"contains": "x", "matches": "x", "text": "y"}], "answers[0]: write either contains"),
        ([{"contains": 1, "text": "y"}], "answers[0]: write either contains"),
        ([{"matches": "(", "text": "y"}], "answers[0].matches: is not a regular expression"),
        ([{"contains": "x", "text": 5}], "answers[0].text: got 5"),
        ([{"contains": "x", "text": "y", "arguments": {}}], "answers[0].arguments: write a mapping"),
        ([{"contains": "x", "text": "y", "model": "gpt-1"}], "answers[0].model: got 'gpt-1'"),
        ([{"contains": "x", "text": "y", "say": "z"}], "answers[0].say: is not known"),
    ],
)
def test_a_faulty_rule_is_told(value: object, problem: str) -> None:
    """With its place and what to write."""
    reader = Reader()
    read_answers(reader, value)
    assert [told[: len(problem)] for told in reader.problems] == [problem]
