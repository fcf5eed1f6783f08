"""The headers an answer goes to the caller with, the same for every door."""

from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, Headers
from smalt.wire.prices import usd_text

# Azure's answer headers that callers may rely on; all others stay behind.
FORWARDED = (
    b"x-ms-",
    b"x-ratelimit-",
    b"retry-after",
    b"apim-request-id",
    b"x-request-id",
    b"openai-",
    b"content-type",
)
StreamT = TypeVar("StreamT")


def answer_headers(call: OpenCall, answer: Answer[StreamT]) -> list[tuple[bytes, bytes]]:
    """Azure's own, then smalt's: who answered, after how many attempts, what was rewritten, what it cost.
    An answer that is final says that SDKs must not retry it."""
    headers = [(name, value) for name, value in answer.headers if name.startswith(FORWARDED)]
    headers += request_headers(call.request_id, answer.headers)
    headers.append((b"x-smalt-attempts", str(len(call.attempts)).encode()))
    if call.upstream is not None:
        headers.append((b"x-smalt-upstream", _header_value(call.upstream.name)))
        if call.upstream.region:
            headers.append((b"x-smalt-region", _header_value(call.upstream.region)))
    if answer.rewrites:
        headers.append((b"x-smalt-rewrites", ",".join(answer.rewrites).encode()))
    cost_nusd = call.cost_nusd(answer.usage) if answer.usage else None
    if cost_nusd is not None:
        headers.append((b"x-smalt-cost-usd", usd_text(cost_nusd).encode()))
    if answer.status >= 400:
        headers.append((b"x-should-retry", b"false"))
    return headers


def request_headers(request_id: str, upstream_headers: Headers = ()) -> list[tuple[bytes, bytes]]:
    """smalt's id of the request; also as x-request-id, which SDKs show, unless the upstream set one."""
    headers = [(b"x-smalt-request-id", request_id.encode())]
    if not any(name == b"x-request-id" for name, _ in upstream_headers):
        headers.append((b"x-request-id", request_id.encode()))
    return headers


@lru_cache(maxsize=1_000)
def _header_value(name: str) -> bytes:
    """A name as it may stand in a header: deployments can be called anything, line breaks included."""
    return quote(name, safe="/-._~ :+@").encode()
