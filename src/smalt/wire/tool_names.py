"""Names of tools that Azure refuses, exchanged for valid ones in a request and put back in its answer.

A name must match `^[a-zA-Z0-9_-]{1,64}$` (OpenAI API reference, function definitions). The name that is sent
follows from the caller's alone: it stays the same through a conversation, whichever tools are offered when,
so that the prompt cache and responses kept by the service go on to fit.
"""

import re
from collections.abc import Collection, Mapping
from zlib import crc32

import msgspec

from smalt.wire.edit import Edit, apply, each, in_turn, members, text, when

Renamed = Mapping[bytes, bytes]  # the caller's names, as JSON, by those that were sent

LONGEST_NAME = 64
_VALID = re.compile(rf"[a-zA-Z0-9_-]{{1,{LONGEST_NAME}}}")
_REFUSED_CHARACTER = re.compile(r"[^a-zA-Z0-9_-]")
# Inside a text the quotes would be escaped, so these are members for certain.
_SUSPECT = re.compile(rb'"name"\s*:\s*"(?!%b")' % _VALID.pattern.encode())
_NAMED = re.compile(rb'("name"\s*:\s*)"(%b)"' % _VALID.pattern.encode())
_CALLABLE = (b'"function"', b'"custom"')
_CALLS = (b'"function_call"', b'"custom_tool_call"')
_ANSWERS = (b'"tool"', b'"function"')


def rename(body: bytes) -> tuple[bytes, Renamed | None]:
    """`body` with valid names, the same object if they were; and what it takes to put the caller's back."""
    if _SUSPECT.search(body) is None:
        return body, None
    taken = {name.decode() for _, name in _NAMED.findall(body)}
    sent: dict[str, str] = {}

    def valid(name: str) -> str:
        if _VALID.fullmatch(name):
            return name
        if name not in sent:
            sent[name] = _valid_name(name, taken)
            taken.add(sent[name])
        return sent[name]

    body = apply(_names_of_request(text(valid)), body)
    return body, {told.encode(): msgspec.json.encode(name) for name, told in sent.items()} or None


def restore(answer: bytes, renamed: Renamed) -> bytes:
    """`answer`, whole or events of a stream, with the caller's names in place of those that were sent."""

    def asked(match: re.Match[bytes]) -> bytes:
        name = renamed.get(match[2])
        return match[0] if name is None else match[1] + name

    return _NAMED.sub(asked, answer)


def _valid_name(name: str, taken: Collection[str]) -> str:
    """A readable one with a checksum of the whole."""
    told, valid = name, ""
    while not valid or valid in taken:
        checksum = f"_{crc32(told.encode()):08x}"
        valid = _REFUSED_CHARACTER.sub("_", name)[: LONGEST_NAME - len(checksum)] + checksum
        told += "'"
    return valid


def _names_of_request(name: Edit) -> Edit:
    """Wherever a chat or Responses request names a tool. Chat nests what defines it
    (`{"type": "function", "function": {"name": ...}}`), Responses does not; `functions` is chat's old way."""
    named = members({"name": name})
    tool = in_turn(members({"function": named, "custom": named}), when("type", _CALLABLE, named))
    some = members({"tools": each(tool)})
    calls = members({"tool_calls": each(tool), "function_call": named})
    return members(
        {
            "tools": each(tool),
            "tool_choice": in_turn(tool, some, members({"allowed_tools": some})),
            "functions": each(named),
            "function_call": named,
            "messages": each(in_turn(calls, when("role", _ANSWERS, named))),
            "input": each(when("type", _CALLS, named)),
        }
    )
