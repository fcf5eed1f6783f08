"""smalt's own errors in the shape every OpenAI SDK reads."""

import msgspec

from smalt.errors import SmaltError, UpstreamError


def error_body(error: SmaltError) -> bytes:
    """JSON body for `error`: OpenAI's four fields, then what helps people and programs further."""
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": error.type,
                "param": None,
                "code": error.code,
                "retryable": error.retryable,
                "resolution": error.resolution,
                "grpc_status": error.status,
            }
        }
    )


def error_event(error: SmaltError) -> bytes:
    """The same as the last event of a stream that broke."""
    return b"data: " + error_body(error) + b"\n\n"


def error_headers(error: SmaltError) -> list[tuple[bytes, bytes]]:
    """Headers of a final error: SDKs must not retry, that was done here; when a new call may succeed."""
    headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false")]
    if isinstance(error, UpstreamError) and error.retry_after_s is not None:
        milliseconds = max(0, round(error.retry_after_s * 1000))
        headers.append((b"retry-after-ms", str(milliseconds).encode()))
        headers.append((b"retry-after", str(-(-milliseconds // 1000)).encode()))
    return headers
