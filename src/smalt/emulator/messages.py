"""What a conversation must look like: roles, contents, and every tool call answered."""

from typing import Any

from smalt.emulator.params import Body, Rule, check, require, wrong_type
from smalt.emulator.refusals import invalid_request

_ROLES = Rule("string", choices=("system", "assistant", "user", "function", "tool", "developer"))
_PARTS = Rule("string", choices=("text", "image_url", "refusal", "input_audio"))
_DETAILS = Rule("string", choices=("auto", "low", "high"))
_MAX_IMAGES = 50
_TEXT = Rule("string", high=1_048_576)
_CALLS = Rule("string", choices=("function", "custom"))
_OBJECT = Rule("object")
_STRING = Rule("string")


def check_messages(messages: list[object]) -> None:
    """Raises `Refusal` for the first message that Azure would refuse."""
    open_calls: set[str] = set()  # tool calls of the last assistant message that no tool has answered
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        checked = _check_message(message, path)
        if checked["role"] == "tool":
            call = require(checked, "tool_call_id", param=f"{path}.tool_call_id")
            check(f"{path}.tool_call_id", call, _STRING)
            if call not in open_calls:
                raise invalid_request(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                    "with 'tool_calls'.",
                    param=f"{path}.role",
                )
            open_calls.discard(call)
            continue
        _check_answered(open_calls, path)
        open_calls = _calls(checked, path)
    _check_answered(open_calls, f"messages[{len(messages)}]")
    check_images(messages)


def check_images(messages: list[Any]) -> None:
    """`messages`: checked ones. Raises `Refusal`."""
    contents = (message["content"] for message in messages if isinstance(message.get("content"), list))
    if sum(part["type"] == "image_url" for content in contents for part in content) > _MAX_IMAGES:
        raise invalid_request(f"Too many images in request. Max is {_MAX_IMAGES}.", param="messages")


def _check_message(message: object, path: str) -> Body:
    if not isinstance(message, dict):
        raise wrong_type(path, message, expected="object")
    check(f"{path}.role", require(message, "role", param=f"{path}.role"), _ROLES)
    if message.get("name") is not None:
        check(f"{path}.name", message["name"], _STRING)
    content = message.get("content")
    if content is None and not (message["role"] == "assistant" and _calls_something(message)):
        raise invalid_request(
            f"Invalid value for 'content': expected a string, got null. ({path})",
            param=f"{path}.content",
            code="invalid_type",
        )
    if isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(part, f"{path}.content[{index}]")
    elif content is not None:
        check(f"{path}.content", content, _TEXT)
    if message.get("function_call") is not None:
        _check_called(message["function_call"], f"{path}.function_call", "arguments")
    return message


def _calls_something(message: Body) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def _check_part(part: object, path: str) -> None:
    if not isinstance(part, dict):
        raise wrong_type(path, part, expected="object")
    kind = require(part, "type", param=f"{path}.type")
    check(f"{path}.type", kind, _PARTS)
    value = require(part, kind, param=f"{path}.{kind}")
    check(f"{path}.{kind}", value, _TEXT if kind in {"text", "refusal"} else _OBJECT)
    if kind == "image_url":
        check(f"{path}.image_url.url", require(value, "url", param=f"{path}.image_url.url"), _STRING)
        check(f"{path}.image_url.detail", value.get("detail", "auto"), _DETAILS)


def _calls(message: Body, path: str) -> set[str]:
    """The ids of the tool calls a message makes."""
    calls = message.get("tool_calls")
    if calls is None:
        return set()
    check(f"{path}.tool_calls", calls, Rule("array", low=1, high=128))
    for index, call in enumerate(calls):
        at = f"{path}.tool_calls[{index}]"
        check(at, call, _OBJECT)
        check(f"{at}.id", require(call, "id", param=f"{at}.id"), _STRING)
        kind = call.get("type") or "function"
        check(f"{at}.type", kind, _CALLS)
        called = require(call, kind, param=f"{at}.{kind}")
        _check_called(called, f"{at}.{kind}", "arguments" if kind == "function" else "input")
    return {call["id"] for call in calls}


def _check_called(called: object, path: str, *members: str) -> None:
    check(path, called, _OBJECT)
    assert isinstance(called, dict)  # noqa: S101  # narrows the type
    for name in ("name", *members):
        check(f"{path}.{name}", require(called, name, param=f"{path}.{name}"), _STRING)


def _check_answered(open_calls: set[str], path: str) -> None:
    if open_calls:
        ids = ", ".join(sorted(open_calls))
        raise invalid_request(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {ids}",
            param=f"{path}.role",
        )
