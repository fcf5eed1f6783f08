"""The few declared changes to a request body. Every other value keeps its bytes.

Members keep their order; space between them goes, and of members with the same name the last one stays.
All functions raise InvalidRequest for a body that cannot be taken apart.
"""

from collections.abc import Mapping

import msgspec

from smalt.errors import InvalidRequest

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')


def set_model(body: bytes, model: str) -> bytes:
    """`body` with another model name."""
    return set_members(body, {"model": msgspec.Raw(msgspec.json.encode(model))})


def may_name_models(body: bytes) -> bool:
    """Whether `model` could be a member twice, spelled alike or with escapes: of two, others may read the one
    that we do not. Rarely true of a body that has one."""
    return body.count(b'"model"') != 1 or b"\\u006" in body


def ask_for_usage(body: bytes) -> bytes:
    """`body` of a streamed request with `stream_options.include_usage` on; other options are kept."""
    options = _members(body).get("stream_options")
    if options is None or bytes(options) == b"null":
        return set_members(body, {"stream_options": _INCLUDE_USAGE})
    asking = set_members(bytes(options), {"include_usage": _TRUE})
    return set_members(body, {"stream_options": msgspec.Raw(asking)})


def cap_completion_tokens(body: bytes) -> bytes:
    """`body` of a chat request with `max_tokens` as `max_completion_tokens`; the same object if it has none,
    or both."""
    members = _members(body)
    if members.get("max_tokens", _NULL) == _NULL or members.pop("max_completion_tokens", _NULL) != _NULL:
        return body
    names = {"max_tokens": "max_completion_tokens"}
    return msgspec.json.encode({names.get(name, name): value for name, value in members.items()})


def said(body: bytes) -> frozenset[str]:
    """The members that are not null."""
    return frozenset(name for name, value in _members(body).items() if value != _NULL)


def member(body: bytes, name: str) -> msgspec.Raw | None:
    """Its JSON; None if it is missing or null."""
    value = _members(body).get(name, _NULL)
    return None if value == _NULL else value


def set_members(body: bytes, values: Mapping[str, msgspec.Raw]) -> bytes:
    """`body` with these members, JSON by name."""
    return msgspec.json.encode({**_members(body), **values})


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request body cannot be read: {error}") from None
