from typing import Any

import pytest

from smalt.emulator.params import Body
from smalt.emulator.refusals import Refusal
from smalt.emulator.responses.items import as_messages, check_calls, read_input
from smalt.emulator.responses.store import Record, Store

CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "lamp"}


def read(*items: Any, store: Store | None = None) -> list[Body]:
    return read_input(list(items), store or Store("east"), "x")


def test_a_text_is_a_message_of_the_user() -> None:
    """It is kept as an item with an id."""
    assert read_input("hi", Store(), "x") == [
        {
            "id": "msg_x0000",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}],
        }
    ]


def test_items_amount_to_a_conversation() -> None:
    """Calls and outputs are told as chat tells them, reasoning is not told."""
    image = {"type": "input_image", "image_url": "data:x", "detail": "low"}
    store = Store("east")
    thought = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": store.seal(b"0" * 12)}
    items = read(
        {"role": "user", "content": [image, {"type": "input_text", "text": "what?"}]},
        thought,
        CALL,
        OUTPUT,
        {"type": "custom_tool_call", "call_id": "c2", "name": "write", "input": "x"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "ok"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        store=store,
    )
    messages = as_messages(items, "be brief")
    assert [message["role"] for message in messages] == [
        *("developer", "user", "assistant", "tool", "assistant", "tool", "assistant"),
    ]
    assert messages[1]["content"][0] == {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}
    assert messages[2]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert messages[5]["content"] == [{"type": "text", "text": "ok"}]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (7, "input[0]"),
        ({"role": "nobody", "content": "x"}, "input[0].role"),
        ({"content": "x"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "user", "content": 5}, "input[0].content"),
        ({"role": "user", "content": [5]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url"),
        ({"type": "gadget"}, "input[0].type"),
        ({**CALL, "name": None}, "input[0].name"),
        ({**OUTPUT, "output": None}, "input[0].output"),
        ({"type": "reasoning", "summary": [], "status": None}, "input[0].status"),
        ({"type": "reasoning"}, "input[0].summary"),
        ({"type": "reasoning", "summary": [], "id": "rs_lost"}, "input"),
        ({"type": "item_reference", "id": "msg_lost"}, "input"),
    ],
)
def test_a_faulty_item_is_refused_at_its_place(item: object, param: str) -> None:
    """The refusal names the path."""
    with pytest.raises(Refusal) as caught:
        read(item)
    assert caught.value.canned.body["error"]["param"] == param


def test_encrypted_reasoning_of_another_resource_is_refused() -> None:
    """So is anything that is no such content."""
    for content in (Store("sweden").seal(b"0" * 12), "gAAAAAx", "ä"):
        with pytest.raises(Refusal, match="could not be verified"):
            read({"type": "reasoning", "summary": [], "encrypted_content": content})


def test_a_stored_item_is_referred_to() -> None:
    """By its id, whether it was given or said."""
    store, item = Store(), {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    store.add(Record({"id": "r", "output": [item]}, []), [])
    assert read({"type": "item_reference", "id": "msg_1"}, store=store) == [item]


def test_calls_and_outputs_go_together() -> None:
    """Neither stands alone."""
    check_calls(read(CALL, OUTPUT))
    with pytest.raises(Refusal, match="No tool call found for function call output with call_id c1"):
        check_calls(read(OUTPUT))
    with pytest.raises(Refusal, match="No tool output found for function call c1"):
        check_calls(read(CALL))
