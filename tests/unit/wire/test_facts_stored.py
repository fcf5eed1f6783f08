"""What the service keeps of a request, and what a request builds on."""

from typing import Any

import pytest
from tests.unit.wire.test_facts import COMPLETIONS, EMBEDDINGS, OPENAI, RESPONSES, facts

from smalt.wire.facts import read_facts
from smalt.wire.paths import Asked


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, False),
        ({"store": None}, False),
        ({"store": True}, False),
        ({"store": False}, True),
        ({"store": False, "background": False}, True),
        ({"store": False, "background": None}, True),
        ({"store": False, "background": True}, False),
        ({"background": True}, False),
    ],
)
def test_which_responses_may_be_sent_twice(members: dict[str, bool | None], expected: bool) -> None:
    """A response that the service keeps or works on later would be there twice."""
    assert facts(RESPONSES, input="hi", **members).repeatable is expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, False),
        ({"previous_response_id": None, "conversation": None}, False),
        ({"previous_response_id": ""}, False),
        ({"previous_response_id": "resp_1"}, True),
        ({"conversation": "conv_1"}, True),
        ({"conversation": {"id": "conv_1"}}, True),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, True),
        ({"input": [{"type": "message", "role": "user", "content": '"type": "item_reference"'}]}, False),
    ],
)
def test_which_responses_build_on_what_is_kept(members: dict[str, Any], expected: bool) -> None:
    """Only the resource that made it knows a response, a conversation, or an item of theirs."""
    assert facts(RESPONSES, **{"input": "hi", **members}).bound is expected


def test_other_operations_build_on_nothing() -> None:
    """Whatever members they have."""
    assert facts(OPENAI, previous_response_id="resp_1", conversation="conv_1").bound is False


def test_a_reference_is_no_file() -> None:
    """Its bytes count like those of any text."""
    body = b'{"model":"m","input":[{"type":"item_reference","id":"msg_1"},"data:image/png;base64,AAAA"]}'
    assert read_facts(RESPONSES, body).prompt_bytes == len(body)


@pytest.mark.parametrize("asked", [OPENAI, EMBEDDINGS, COMPLETIONS])
def test_other_operations_may_be_sent_twice(asked: Asked) -> None:
    """Chat, embeddings and completions create nothing that a caller could find twice."""
    assert facts(asked, store=True, background=True).repeatable is True
