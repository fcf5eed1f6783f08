"""What is found in the texts of a body is replaced, wherever it stands and however it is written."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.errors import PolicyDenied
from smalt.gateway import guarded_texts as module
from smalt.gateway.guarded_texts import BLOCK, LONGEST_FINDING, HeldText, Texts, replaced
from smalt.guards import Finding

SECRET = re.compile(r"(?<!\w)s\d{3,}")  # begins to be one with its third digit
TEXTS = st.text("s123 ax", max_size=60)


def find(text: str) -> Iterator[Finding]:
    return (Finding(found.start(), found.end(), "[hidden]") for found in SECRET.finditer(text))


def edited(body: bytes, *, answer: bool = False) -> Any:
    return json.loads(Texts(find, 4).edited(body, answer=answer))


def test_findings_that_overlap_are_one() -> None:
    """Nothing of either is left."""
    assert replaced("abcdef", [Finding(2, 5, "<2>"), Finding(1, 3, "<1>"), Finding(3, 4, "<3>")]) == "a<1>f"


@given(TEXTS, st.lists(st.integers(0, 60), max_size=8))
def test_pieces_say_what_the_whole_says(text: str, cuts: list[int]) -> None:
    """And nothing of a finding goes on before it is known."""
    at = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    held = HeldText(find, 4)
    told = [held.feed(text[start:end]) for start, end in itertools.pairwise(at)]
    assert "".join(told) + held.rest() == replaced(text, find(text))


def test_a_finding_without_end_is_refused() -> None:
    """It would have to be held in memory."""
    held = HeldText(find, 4)
    assert held.feed("s" + "1" * LONGEST_FINDING) == ""
    with pytest.raises(PolicyDenied, match="does not end"):
        held.feed("1" * 9)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": ["s123", {"b": "x s1234"}], "n": 1.5}', {"a": ["[hidden]", {"b": "x [hidden]"}], "n": 1.5}),
        (b'{"a": "\\u0073123"}', {"a": "[hidden]"}),
        (b'{"a": "s123", "a": "x"}', {"a": "x"}),
        (
            b'{"model": "s123", "data": "s123", "b": {"data": {"c": "s123"}}}',
            {"model": "s123", "data": "s123", "b": {"data": {"c": "[hidden]"}}},
        ),
        (b'{"logprobs": true, "top_logprobs": 3}', {"logprobs": True, "top_logprobs": 3}),
    ],
)
def test_where_texts_stand(body: bytes, expected: object) -> None:
    """Names and ids of the API stay; of members that come twice the last one is sent, alone."""
    assert edited(body) == expected


def test_probabilities_of_an_answers_tokens_go() -> None:
    """They repeat its text."""
    assert edited(b'{"logprobs": {"content": ["s1", "23"]}}', answer=True) == {"logprobs": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": "x\\ns123", "n": 123}', {"a": "x\n[hidden]", "n": 123}),
        ('[{"name": "s123", "s123": 1}]', [{"name": "[hidden]", "[hidden]": 1}]),
    ],
)
def test_json_in_a_text_stays_json(text: str, expected: object) -> None:
    """What a tool is called with, and what it gives back; names are somebody's own there."""
    assert json.loads(edited(json.dumps({"arguments": text}).encode())["arguments"]) == expected


@pytest.mark.parametrize("text", ['{"a" : "x"}', "{s123", "[hello] s123"])
def test_texts_that_begin_like_json(text: str) -> None:
    """One in which nothing is found keeps its spaces."""
    assert edited(json.dumps({"a": text}).encode())["a"] == text.replace("s123", "[hidden]")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": "\xff"}', b'{"\xff": 1}', b"[" * 9_999, b'{"a": %b1%b}' % (b"[" * 900, b"]" * 900)],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    """A guard that cannot look lets nothing pass."""
    with pytest.raises(PolicyDenied, match="cannot be looked at"):
        edited(body)


def test_long_texts_are_looked_at_in_blocks() -> None:
    """Nothing is missed where they meet."""
    text = "x" * (BLOCK - 3) + " s123 " + "x" * BLOCK
    assert edited(json.dumps({"a": text}).encode())["a"] == text.replace("s123", "[hidden]")


def test_there_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking is work."""
    monkeypatch.setattr(module, "MOST_TEXT", 10)
    assert edited(b'{"a": "12345", "b": "12345"}')
    with pytest.raises(PolicyDenied, match="more than 10 characters"):
        edited(b'{"a": "12345", "b": "123456"}')
