"""smalt's own errors in the shape every OpenAI SDK reads."""

import msgspec

from smalt.errors import PAGE, SmaltError, StreamInterrupted, UpstreamError
from smalt.types import Operation


class Told(msgspec.Struct, frozen=True):
    """An error of smalt's as its body tells it."""

    message: str
    type: str
    code: str
    retryable: bool
    resolution: tuple[str, ...]
    grpc_status: str
    causes: tuple[str, ...] = ()


def error_body(error: SmaltError) -> bytes:
    """JSON body for `error`: OpenAI's four fields, then what helps people and programs further."""
    return msgspec.json.encode({"error": _fields(error)})


def error_event(error: SmaltError, operation: Operation = Operation.CHAT) -> bytes:
    """The same as the last event of a stream that broke. Clients of Responses know events by their type."""
    if operation is Operation.RESPONSES:
        return (
            b"event: error\ndata: "
            + msgspec.json.encode({"type": "error", "error": _fields(error)})
            + b"\n\n"
        )
    return b"data: " + error_body(error) + b"\n\n"


def _fields(error: SmaltError) -> dict[str, object]:
    more: dict[str, object] = {}
    if isinstance(error, UpstreamError) and error.causes:
        more["causes"] = error.causes
    if isinstance(error, StreamInterrupted) and error.partial:
        more["partial"] = error.partial
    return {
        "message": error.message,
        "type": error.type,
        "param": None,
        "code": error.code,
        "retryable": error.retryable,
        "resolution": error.resolution,
        "grpc_status": error.status,
        "doc_url": f"{PAGE}#{error.code.lower()}",
        **more,
    }


def read_error(error: object) -> Told | None:
    """What `error_body` wrote, as decoded from JSON and without its wrapper; None if it did not."""
    try:
        return msgspec.convert(error, Told)
    except msgspec.ValidationError:
        return None


def error_headers(error: SmaltError) -> list[tuple[bytes, bytes]]:
    """Headers of a final error: SDKs must not retry, that was done here; when a new call may succeed."""
    headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false")]
    if isinstance(error, UpstreamError) and error.retry_after_s is not None:
        milliseconds = max(0, round(error.retry_after_s * 1000))
        headers.append((b"retry-after-ms", str(milliseconds).encode()))
        headers.append((b"retry-after", str(-(-milliseconds // 1000)).encode()))
    return headers
