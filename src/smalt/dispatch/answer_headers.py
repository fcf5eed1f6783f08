"""The headers an answer goes to the caller with, the same for every door."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, Headers
from smalt.types import CallRecord
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
_FINAL = (b"x-should-retry", b"false")
StreamT = TypeVar("StreamT")


def answer_headers(call: OpenCall, answer: Answer[StreamT]) -> list[tuple[bytes, bytes]]:
    """Azure's own, then smalt's: who answered, after how many attempts, what was rewritten, what it cost.
    An answer that is final says that SDKs must not retry it."""
    upstream = call.upstream
    name, region = (upstream.name, upstream.region) if upstream else (None, None)
    cost_nusd = call.cost_nusd(answer.usage) if answer.usage else None
    headers = _forwarded(answer.headers, call.request_id)
    headers += _story(len(call.attempts), name, region, answer.rewrites, cost_nusd)
    if answer.status >= 400:
        headers.append(_FINAL)
    return headers


def record_headers(record: CallRecord, upstream_headers: Headers) -> list[tuple[bytes, bytes]]:
    """The same of an answer that several calls or none were needed for, by the record of the whole."""
    cost_nusd = None if record.estimated else record.cost_nusd
    headers = _forwarded(upstream_headers, record.request_id)
    headers += _story(len(record.attempts), record.upstream, record.region, record.rewrites, cost_nusd)
    if record.cached:
        headers.append((b"x-smalt-cache", b"hit"))
    if record.error is not None:
        headers.append(_FINAL)
    return headers


def _forwarded(upstream_headers: Headers, request_id: str) -> list[tuple[bytes, bytes]]:
    forwarded = [header for header in upstream_headers if header[0].startswith(FORWARDED)]
    return forwarded + request_headers(request_id, forwarded)


def _story(
    attempts: int, upstream: str | None, region: str | None, rewrites: Sequence[str], cost_nusd: int | None
) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-smalt-attempts", str(attempts).encode())]
    if upstream is not None:
        headers.append((b"x-smalt-upstream", _header_value(upstream)))
        if region:
            headers.append((b"x-smalt-region", _header_value(region)))
    if rewrites:
        headers.append((b"x-smalt-rewrites", ",".join(rewrites).encode()))
    if cost_nusd is not None:
        headers.append((b"x-smalt-cost-usd", usd_text(cost_nusd).encode()))
    return headers


def request_headers(request_id: str, upstream_headers: Headers = ()) -> list[tuple[bytes, bytes]]:
    """smalt's id of the request; also as x-request-id, which SDKs show, unless the upstream set one."""
    told = request_id.encode()
    headers = [(b"x-smalt-request-id", told)]
    for name, _ in upstream_headers:
        if name == b"x-request-id":
            return headers
    headers.append((b"x-request-id", told))
    return headers


@lru_cache(maxsize=1_000)
def _header_value(name: str) -> bytes:
    """A name as it may stand in a header: deployments can be called anything, line breaks included."""
    return quote(name, safe="/-._~ :+@").encode()
