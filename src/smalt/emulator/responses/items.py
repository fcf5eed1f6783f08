"""The input of a response: its items, and the conversation they amount to."""

from typing import Any

from smalt.emulator.messages import check_images
from smalt.emulator.params import Body, Rule, check, require, wrong_type
from smalt.emulator.refusals import invalid_request, named
from smalt.emulator.responses.store import Store

_OBJECT = Rule("object")
_STRING = Rule("string")
_TEXT = Rule("string", high=10_485_760)
_ROLES = Rule("string", choices=("assistant", "system", "developer", "user"))
_DETAILS = Rule("string", choices=("low", "high", "auto"))
_MEMBERS = {  # texts that an item of a kind must have
    "message": (),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id",),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id",),
    "reasoning": (),
    "item_reference": ("id",),
}
_KINDS = Rule("string", choices=tuple(_MEMBERS))
_PARTS = Rule("string", choices=("input_text", "input_image", "output_text", "refusal"))


def read_input(given: object, store: Store, made_id: str) -> list[Body]:
    """The items of `input`, as they are kept. Raises `Refusal`. `made_id`: begins the missing ids."""
    if isinstance(given, str):
        check("input", given, _TEXT)
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise wrong_type("input", given, expected="string")
    check("input", given, Rule("array", 1, 2_048))
    return [_read(item, f"input[{at}]", store, f"{made_id}{at:04x}") for at, item in enumerate(given)]


def check_calls(items: list[Body]) -> None:
    """Every call of a tool has its output, and the other way round. Raises `Refusal`."""
    outputs = {item["call_id"] for item in items if item["type"].endswith("_output")}
    calls = {item["call_id"] for item in items if item["type"] in {"function_call", "custom_tool_call"}}
    if missing := sorted(outputs - calls):
        raise invalid_request(
            f"No tool call found for function call output with call_id {missing[0]}.", param="input"
        )
    if unanswered := sorted(calls - outputs):
        raise invalid_request(f"No tool output found for function call {unanswered[0]}.", param="input")


def as_messages(items: list[Body], instructions: str | None) -> list[Body]:
    """The same conversation as chat would tell it; reasoning is left out."""
    messages: list[Body] = [{"role": "developer", "content": instructions}] if instructions else []
    for item in items:
        match item["type"]:
            case "message":
                content = [_as_part(part) for part in item["content"]]
                messages.append({"role": item["role"], "content": content})
            case "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                messages.append(_calling({"id": item["call_id"], "type": "function", "function": function}))
            case "custom_tool_call":
                custom = {"name": item["name"], "input": item["input"]}
                messages.append(_calling({"id": item["call_id"], "type": "custom", "custom": custom}))
            case "function_call_output" | "custom_tool_call_output":
                output = item["output"]
                said = output if isinstance(output, str) else [_as_part(part) for part in output]
                messages.append({"role": "tool", "content": said})
    check_images(messages)
    return messages


def _read(item: object, path: str, store: Store, made_id: str) -> Body:
    check(path, item, _OBJECT)
    assert isinstance(item, dict)  # noqa: S101  # narrows the type
    kind = item.get("type") or "message"
    check(f"{path}.type", kind, _KINDS)
    for name in _MEMBERS[kind]:
        check(f"{path}.{name}", require(item, name, param=f"{path}.{name}"), _STRING)
    match kind:
        case "item_reference":
            return _referred(item["id"], store)
        case "message":
            return _message(item, path, made_id)
        case "reasoning":
            return _reasoning(item, path, store, made_id)
        case "function_call_output" | "custom_tool_call_output":
            output = require(item, "output", param=f"{path}.output")
            _check_content(output, f"{path}.output")
    return {"status": "completed", **item, "id": item.get("id") or f"{kind[:2]}_{made_id}"}


def _message(item: Body, path: str, made_id: str) -> Body:
    check(f"{path}.role", require(item, "role", param=f"{path}.role"), _ROLES)
    content = require(item, "content", param=f"{path}.content")
    _check_content(content, f"{path}.content")
    if isinstance(content, str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    return {
        "id": item.get("id") or f"msg_{made_id}",
        "type": "message",
        "status": "completed",
        "role": item["role"],
        "content": content,
    }


def _check_content(content: object, path: str) -> None:
    if isinstance(content, str):
        check(path, content, _TEXT)
        return
    check(path, content, Rule("array"))
    assert isinstance(content, list)  # noqa: S101  # narrows the type
    for at, part in enumerate(content):
        _check_part(part, f"{path}[{at}]")


def _check_part(part: Any, path: str) -> None:
    check(path, part, _OBJECT)
    kind = require(part, "type", param=f"{path}.type")
    check(f"{path}.type", kind, _PARTS)
    member = {"input_image": "image_url", "refusal": "refusal"}.get(kind, "text")
    check(f"{path}.{member}", require(part, member, param=f"{path}.{member}"), Rule("string"))
    if kind == "input_image":
        check(f"{path}.detail", part.get("detail") or "auto", _DETAILS)


def _reasoning(item: Body, path: str, store: Store, made_id: str) -> Body:
    if "status" in item:  # told by answers of other operators, refused by this one
        raise named(
            "unknown_parameter", message=f"Unknown parameter: '{path}.status'.", param=f"{path}.status"
        )
    check(f"{path}.summary", require(item, "summary", param=f"{path}.summary"), Rule("array"))
    content = item.get("encrypted_content")
    if content is not None:
        check(f"{path}.encrypted_content", content, Rule("string"))
        if not store.sealed(content):
            raise named(
                "invalid_encrypted_content",
                message=f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. "
                "Reason: Encrypted content could not be decrypted or parsed.",
            )
    elif item.get("id") is not None and store.item(item["id"]) is None:
        raise _no_item(item["id"])
    return {**item, "id": item.get("id") or f"rs_{made_id}"}


def _referred(item_id: str, store: Store) -> Body:
    item = store.item(item_id)
    if item is None:
        raise _no_item(item_id)
    return item


def _no_item(item_id: object) -> Exception:
    return invalid_request(
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try "
        "again with `store` set to true, or remove this item from your input.",
        param="input",
    )


def _calling(call: Body) -> Body:
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _as_part(part: Body) -> Body:
    match part["type"]:
        case "input_image":
            url = {"url": part["image_url"], "detail": part.get("detail") or "auto"}
            return {"type": "image_url", "image_url": url}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case _:
            return {"type": "text", "text": part["text"]}
