"""Bodies of requests that were compressed on their way."""

import zlib

from smalt.errors import InvalidRequest
from smalt.gateway.exchange import LARGEST_BODY, Headers, body_too_large

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # told apart by how the data begins
_ENCODINGS = {b"gzip", b"x-gzip", b"deflate"}
_RESOLUTION = ("Send the body as it is, or compressed once with gzip.",)


def plain(headers: Headers, body: bytes) -> bytes:
    """`body` without its content encoding; the same object if it has none. Raises PayloadTooLarge, and
    InvalidRequest for an encoding that is not gzip or deflate, or is not what it says."""
    if body.startswith(b"{"):  # JSON as it is; spares a look at the headers
        return body
    names = [value.strip().lower() for name, value in headers if name == b"content-encoding"]
    encodings = [name for name in names if name not in {b"", b"identity"}]
    if not encodings:
        return body
    if len(encodings) > 1 or encodings[0] not in _ENCODINGS:
        told = b", ".join(encodings).decode("latin-1")
        raise InvalidRequest(f"the content-encoding {told!r} is not understood", resolution=_RESOLUTION)
    return _inflated(body)


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        inflated = inflater.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise InvalidRequest(f"the compressed body cannot be read: {error}", resolution=_RESOLUTION) from None
    if len(inflated) > LARGEST_BODY:
        raise body_too_large()
    if not inflater.eof or inflater.unused_data:
        raise InvalidRequest("the compressed body does not end where it should", resolution=_RESOLUTION)
    return inflated
