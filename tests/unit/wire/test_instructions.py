"""What an agent says before its callers."""

import json
import sys
from typing import Any

import pytest

from smalt.errors import InvalidRequest, MissingExtra
from smalt.types import Operation
from smalt.wire.instructions import Instructions, put_first

SYSTEM = {"role": "system", "content": "Own."}
USER = {"role": "user", "content": "hello"}


def first(operation: Operation = Operation.CHAT, **members: Any) -> Any:
    """The body with `Ours.` put first."""
    return json.loads(put_first(json.dumps(members).encode(), operation, "Ours."))


def test_a_text_says_itself() -> None:
    """Whatever variables there are, and whatever single braces it holds."""
    text = 'Answer as JSON: {"mood": "..."}\n'
    assert Instructions("narrator", text).render({"mood": "grim"}) == text


def test_a_template_reads_its_variables() -> None:
    """With all that Jinja2 offers, and nothing escaped."""
    narrator = Instructions(
        "narrator", "{{ hero.name }}{% for item in bag %}, {{ item|upper }}{% endfor %}\n"
    )
    assert narrator.render({"hero": {"name": "<Ada>"}, "bag": ["rope", "torch"]}) == "<Ada>, ROPE, TORCH\n"


def test_missing_variables_are_named() -> None:
    """All of them, in one line; those with a default are not missing by themselves."""
    narrator = Instructions("narrator", "{{ hero }} in {{ place }}, {{ range(3) | list }}")
    with pytest.raises(InvalidRequest) as refused:
        narrator.render({"other": 1})
    assert refused.value.message == (
        "the instructions of the agent 'narrator' need variables that the request does not give: hero, place"
    )
    assert Instructions("narrator", "{{ hero | default('Ada') }}").render({}) == "Ada"


@pytest.mark.parametrize(
    ("template", "cause"),
    [
        ("{{ hero.nme }}", "'dict object' has no attribute 'nme'"),
        ("{{ 1 / 0 }}", "division by zero"),
        (
            "{{ '\\ud800' }}",
            "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
        ),
        ("{{ hero.__class__.__mro__ }}", "access to attribute '__class__' of 'dict' object is unsafe."),
        ("{{ hero.update({'name': 'Eve'}) }}", "access to attribute 'update' of 'dict' object is unsafe."),
        (
            "{{ range(10 ** 9) | list }}",
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).",
        ),
    ],
)
def test_what_a_template_may_not_do_is_one_clear_error(template: str, cause: str) -> None:
    """It runs in a sandbox: it reads what it is given, and changes nothing."""
    hero = {"name": "Ada"}
    with pytest.raises(InvalidRequest) as refused:
        Instructions("narrator", template).render({"hero": hero})
    assert refused.value.message == f"the instructions of the agent 'narrator' cannot be written: {cause}"
    assert hero == {"name": "Ada"}


def test_a_template_that_cannot_be_read_is_told_with_its_line() -> None:
    """When it is made, not when it is used."""
    with pytest.raises(ValueError, match=r"^line 2 of the template: Encountered unknown tag 'fi'"):
        Instructions("narrator", "{% if x %}\n{% fi %}")


def test_only_templates_need_the_optional_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text goes without."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert Instructions("narrator", "Narrate.").render({}) == "Narrate."
    with pytest.raises(MissingExtra, match=r"pip install 'smalt\[agents\]'"):
        Instructions("narrator", "Narrate {{ what }}.")


def test_chat_begins_with_a_system_message() -> None:
    """The caller's own comes after it."""
    ours = {"role": "system", "content": "Ours."}
    assert first(messages=[USER], seed=1) == {"messages": [ours, USER], "seed": 1}
    assert first(messages=[SYSTEM, USER])["messages"] == [ours, SYSTEM, USER]
    assert first(messages=[])["messages"] == [ours]


def test_beside_developer_messages_it_is_one() -> None:
    """Reasoning models refuse both kinds in one request."""
    theirs = {"role": "developer", "content": "Own."}
    assert first(messages=[USER, theirs])["messages"] == [
        {"role": "developer", "content": "Ours."},
        USER,
        theirs,
    ]


@pytest.mark.parametrize(
    ("theirs", "whole"),
    [
        ({}, "Ours."),
        ({"instructions": None}, "Ours."),
        ({"instructions": ""}, "Ours."),
        ({"instructions": "Own."}, "Ours.\n\nOwn."),
    ],
)
def test_responses_have_a_member_for_it(theirs: dict[str, Any], whole: str) -> None:
    """The caller's own text follows after an empty line."""
    told = first(Operation.RESPONSES, input="hello", **theirs)
    assert told == {"input": "hello", "instructions": whole}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Operation.EMBEDDINGS, b'{"input": "hello"}'),
        (Operation.COMPLETIONS, b'{"prompt": "hello"}'),
        (Operation.CHAT, b'{"input": "hello"}'),
        (Operation.CHAT, b'{"messages": "hello"}'),
        (Operation.CHAT, b'{"messages": ["hello"]}'),
        (Operation.CHAT, b'{"messages": [{"role": "\xff"}]}'),
        (Operation.RESPONSES, b'{"instructions": ["x"]}'),
    ],
)
def test_where_it_has_no_place_the_body_stays(operation: Operation, body: bytes) -> None:
    """The upstream says what is wrong with it, if anything is."""
    assert put_first(body, operation, "Ours.") is body


def test_other_values_keep_their_bytes() -> None:
    """Numbers are not read, escapes not resolved."""
    body = b'{"temperature":1.0e0,"messages":[{"role":"user","content":"\\u00e4"}]}'
    assert put_first(body, Operation.CHAT, "O") == (
        b'{"temperature":1.0e0,"messages":[{"role":"system","content":"O"},'
        b'{"role":"user","content":"\\u00e4"}]}'
    )
