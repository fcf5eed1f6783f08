from typing import Any

import pytest

from smalt.emulator.messages import check_messages
from smalt.emulator.refusals import Refusal

USER = {"role": "user", "content": "hi"}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [{"role": "system", "content": "be brief"}, USER, {"role": "assistant", "content": "ok"}, USER],
        [{"role": "developer", "content": "be brief", "name": "Ann"}, USER],
        [USER, CALLING, RESULT],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "x"}},
                ],
            }
        ],
    ],
)
def test_a_regular_conversation_passes(messages: list[object]) -> None:
    """All roles, parts and answered tool calls are accepted."""
    check_messages(messages)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (["hi"], "messages[0]"),
        ([{"content": "hi"}], "messages[0].role"),
        ([{"role": "king", "content": "hi"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([USER, {"role": "user", "content": 5}], "messages[1].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
            "messages[0].content[0].image_url.url",
        ),
        ([{**USER, "name": 1}], "messages[0].name"),
        ([{**CALLING, "tool_calls": [{"id": "c"}]}], "messages[0].tool_calls[0].function"),
        ([USER, RESULT], "messages[1].role"),
        ([USER, CALLING, {**RESULT, "tool_call_id": None}], "messages[2].tool_call_id"),
        ([USER, CALLING], "messages[2].role"),
        ([USER, CALLING, USER], "messages[2].role"),
    ],
)
def test_a_fault_is_refused_at_its_place(messages: list[Any], param: str) -> None:
    """The refusal names the path of the first fault."""
    with pytest.raises(Refusal) as caught:
        check_messages(messages)
    assert caught.value.canned.body["error"]["param"] == param


def test_unanswered_tool_calls_are_named() -> None:
    """The message lists the ids no tool has answered."""
    with pytest.raises(Refusal, match="did not have response messages: c1"):
        check_messages([USER, CALLING])
