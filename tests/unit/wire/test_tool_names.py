"""Invalid names of tools are exchanged in the request and put back in the answer."""

import json
import re
from typing import Any
from zlib import crc32

import pytest

from smalt.wire.tool_names import rename, restore

BAD = "weather.get/current"
SENT = "weather_get_current_381bc5a6"
VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def chat_tool(name: str, kind: str = "function") -> dict[str, Any]:
    return {"type": kind, kind: {"name": name}}


def dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_askedwith_everything_else_byte_true() -> None:
    """Only the name changes: numbers, escapes and schemas stay as they were written."""
    body = (
        b'{"model":"gpt-4o","t":1.0e-5,"tools":[{"type":"function","function":{"name":"weather.get/current",'
        b'"description":"a\\u00fc\\/\xff","parameters":{"type" : "object", "properties": {"name": {}}}}}],'
        b'"messages":[ {"role" : "user", "name": "J. Doe", "content": "\\"name\\": \\"a b\\""} ]}'
    )
    told, renamed = rename(body)
    assert told == body.replace(BAD.encode(), SENT.encode())
    assert renamed == {SENT.encode(): b'"weather.get/current"'}


def test_the_name_that_is_sent_follows_from_the_callers_alone() -> None:
    """Readable, with a checksum: the same through a conversation, whatever else is offered."""
    assert f"weather_get_current_{crc32(BAD.encode()):08x}" == SENT
    for others in ([], ["weather_get_current"], ["weather-get-current", "weather get current", "ü"]):
        body, _ = rename(dumped({"tools": [chat_tool(name) for name in (*others, BAD)]}))
        assert json.loads(body)["tools"][-1] == chat_tool(SENT)


@pytest.mark.parametrize("name", [BAD, "a b", "ü", "", "x" * 65, "x" * 64 + "/", "\n", "日本", "a\\", '"'])
def test_every_refused_name_becomes_valid(name: str) -> None:
    """And comes back as it was."""
    body, renamed = rename(dumped({"tools": [chat_tool(name)]}))
    sent = json.loads(body)["tools"][0]["function"]["name"]
    assert VALID.fullmatch(sent)
    assert renamed
    assert json.loads(restore(dumped({"name": sent}), renamed)) == {"name": name}


def test_one_name_in_several_places() -> None:
    """It is sent as one."""
    body, renamed = rename(dumped({"tools": [chat_tool(BAD)], "tool_choice": chat_tool(BAD)}))
    assert json.loads(body) == {"tools": [chat_tool(SENT)], "tool_choice": chat_tool(SENT)}
    assert renamed == {SENT.encode(): dumped(BAD)}


def test_long_names_with_the_same_beginning_stay_apart() -> None:
    """The checksum is of the whole name."""
    names = ["x" * 64 + tail for tail in "abc"]
    body, renamed = rename(dumped({"tools": [chat_tool(name) for name in names]}))
    assert len({tool["function"]["name"] for tool in json.loads(body)["tools"]}) == 3
    assert renamed
    assert sorted(renamed.values()) == [dumped(name) for name in names]


def test_a_name_that_is_taken_is_not_given_twice() -> None:
    """Neither that of another tool nor that of a tool that was called before."""
    body, renamed = rename(dumped({"tools": [chat_tool(SENT), chat_tool(BAD)]}))
    first, second = (tool["function"]["name"] for tool in json.loads(body)["tools"])
    assert first == SENT
    assert second != SENT
    assert second.startswith("weather_get_current_")
    assert renamed == {second.encode(): dumped(BAD)}


def test_names_with_one_checksum_stay_apart() -> None:
    """They would be sent as the same: one of them is told apart."""
    names = ["**>*@:.&*.", ";@!.*!(=&/"]
    body, renamed = rename(dumped({"tools": [chat_tool(name) for name in names]}))
    first, second = (tool["function"]["name"] for tool in json.loads(body)["tools"])
    assert first == "___________7cf95d3c"
    assert second not in {first, names[1]}
    assert renamed == {first.encode(): dumped(names[0]), second.encode(): dumped(names[1])}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"tools": [chat_tool(BAD, "custom")]}, {"tools": [chat_tool(SENT, "custom")]}),
        ({"tools": [{"type": "function", "name": BAD}]}, {"tools": [{"type": "function", "name": SENT}]}),
        ({"tools": [{"type": "custom", "name": BAD}]}, {"tools": [{"type": "custom", "name": SENT}]}),
        ({"functions": [{"name": BAD}]}, {"functions": [{"name": SENT}]}),
        ({"function_call": {"name": BAD}}, {"function_call": {"name": SENT}}),
        ({"tool_choice": chat_tool(BAD)}, {"tool_choice": chat_tool(SENT)}),
        (
            {"tool_choice": {"type": "function", "name": BAD}},
            {"tool_choice": {"type": "function", "name": SENT}},
        ),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [chat_tool(BAD)]}}},
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [chat_tool(SENT)]}}},
        ),
        (
            {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": BAD}]}},
            {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": SENT}]}},
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", **chat_tool(BAD)}]}]},
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", **chat_tool(SENT)}]}]},
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": BAD}}]},
            {"messages": [{"role": "assistant", "function_call": {"name": SENT}}]},
        ),
        ({"messages": [{"role": "tool", "name": BAD}]}, {"messages": [{"role": "tool", "name": SENT}]}),
        (
            {"messages": [{"role": "function", "name": BAD}]},
            {"messages": [{"role": "function", "name": SENT}]},
        ),
        (
            {"input": [{"type": "function_call", "name": BAD}]},
            {"input": [{"type": "function_call", "name": SENT}]},
        ),
        (
            {"input": [{"type": "custom_tool_call", "name": BAD}]},
            {"input": [{"type": "custom_tool_call", "name": SENT}]},
        ),
    ],
)
def test_every_place_of_a_name(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    """In chat, its older form and Responses: offered, chosen, called before, answered."""
    body, renamed = rename(dumped(asked))
    assert json.loads(body) == expected
    assert renamed == {SENT.encode(): dumped(BAD)}


@pytest.mark.parametrize(
    "asked",
    [
        {"tools": [chat_tool("weather-get_Current1"), chat_tool("x" * 64)]},
        {"messages": [{"role": "user", "name": "J. Doe", "content": "hi"}]},
        {"messages": [{"role": "assistant", "name": "J. Doe", "content": "hi"}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
        {"metadata": {"name": "a b"}},
        {"tools": [{"type": "function", "function": {"parameters": {"default": {"name": "a b"}}}}]},
        {"tools": [{"type": "mcp", "name": "a b"}], "tool_choice": {"type": "mcp", "name": "a b"}},
        {"input": [{"type": "mcp_call", "name": "a b"}, {"type": "message", "name": "a b"}]},
        {
            "input": "a",
            "tools": 5,
            "messages": {"name": "a b"},
            "tool_choice": "auto",
            "function_call": "auto",
        },
        {"tools": [5, None, {"function": "a b"}, {"function": {"name": 5}}], "name": "a b"},
        {},
    ],
)
def test_what_is_no_tools_name_stays(asked: dict[str, Any]) -> None:
    """Names of people, schemas and servers' tools, and what is of another kind."""
    body = dumped(asked)
    told, renamed = rename(body)
    assert told is body
    assert renamed is None


@pytest.mark.parametrize(
    "body", [b'{"name":"a b"', b'{"tools":[{"function":{"name":"\\ud800"}}]}', b"[]", b""]
)
def test_what_cannot_be_read_stays(body: bytes) -> None:
    """The upstream says what is wrong with it."""
    assert rename(body) == (body, None)


RENAMED = {SENT.encode(): b'"weather.get/current"', b"say_00000000": b'"s\xc3\xa4y \\"hi\\""'}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"{}", "name" : "%b"}}]}}],"t":1.0}',
        b'{"choices":[{"message":{"function_call":{"name":"%b","arguments":"{}"}}}]}',
        b'data: {"choices":[{"delta":{"tool_calls":[{"custom":{"name":"%b"}}]}}]}\r\n\r\n: x\n\n',
        b'{"output":[{"type":"function_call","name":"%b"}],"tools":[{"type":"function", "name":"%b"}]}',
    ],
)
def test_the_callers_name_comes_back(answer: bytes) -> None:
    """In whole answers and events, of chat and Responses; every other byte stays."""
    places = answer.count(b"%b")
    sent, asked = (answer % ((name.encode(),) * places) for name in (SENT, BAD))
    assert restore(sent, RENAMED) == asked


def test_a_name_comes_back_as_json() -> None:
    """Whatever characters it has."""
    assert json.loads(restore(b'{"name":"say_00000000"}', RENAMED)) == {"name": 'säy "hi"'}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"name":"other"}',
        b'{"content":"I call weather_get_current_381bc5a6 \\"name\\":\\"weather_get_current_381bc5a6\\""}',
        b'{"name":"weather_get_current_381bc5a6_"}',
        b'{"name":["weather_get_current_381bc5a6"],"names":"weather_get_current_381bc5a6"}',
        b'"name": "\xff"',
        b"",
    ],
)
def test_what_an_answer_says_otherwise_stays(answer: bytes) -> None:
    """Other names, and texts that speak of tools."""
    assert restore(answer, RENAMED) == answer
