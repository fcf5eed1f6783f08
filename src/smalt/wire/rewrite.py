"""The few declared changes to a request body. Everything not named keeps its bytes."""

import msgspec

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')


def set_model(body: bytes, model: str) -> bytes:
    """`body` with another model name."""
    return _replace(body, "model", msgspec.Raw(msgspec.json.encode(model)))


def ask_for_usage(body: bytes) -> bytes:
    """`body` of a streamed request with `stream_options.include_usage` on; other options are kept."""
    options = _decoder.decode(body).get("stream_options")
    if options is None or bytes(options) == b"null":
        return _replace(body, "stream_options", _INCLUDE_USAGE)
    return _replace(body, "stream_options", msgspec.Raw(_replace(bytes(options), "include_usage", _TRUE)))


_TRUE = msgspec.Raw(b"true")


def _replace(body: bytes, key: str, value: msgspec.Raw) -> bytes:
    fields = _decoder.decode(body)
    fields[key] = value
    return msgspec.json.encode(fields)
