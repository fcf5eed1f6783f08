"""What callers are told in place of an error, when nobody can serve for now: the same in every door."""

from typing import Final, NamedTuple

from smalt.core.degraded import Degraded
from smalt.dispatch.answer_headers import request_headers
from smalt.dispatch.dispatcher import Dispatcher, wall_clock
from smalt.errors import ServiceUnavailable, SmaltError, UpstreamError
from smalt.types import Facts
from smalt.wire.degraded import text_answer
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.prices import usd_text

RETRY_AFTER_S: Final = 10.0  # where nobody knows when an upstream returns
MARK: Final = (b"x-smalt-degraded", b"true")


class StandIn(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def stand_in(
    dispatcher: Dispatcher, facts: Facts | None, error: SmaltError, request_id: str
) -> StandIn | None:
    """In place of `error`; None if it is to be told itself. `facts`: None if the request was not read."""
    found = None if facts is None else dispatcher.degraded.find(facts, error)
    if facts is None or found is None:
        return None
    marked = [MARK, *request_headers(request_id)]
    return _text(found, facts, request_id, marked) or _refusal(found, error, marked)


def _text(
    found: Degraded, facts: Facts, request_id: str, marked: list[tuple[bytes, bytes]]
) -> StandIn | None:
    """An answer, if one is configured and the operation can be answered so."""
    if found.status >= 400 or found.message is None:
        return None
    made_s = int(wall_clock().timestamp())
    body = text_answer(facts, found.message, request_id.replace("-", ""), made_s)
    if body is None:
        return None
    media = b"text/event-stream" if facts.stream else b"application/json"
    headers = [(b"content-type", media), (b"x-smalt-cost-usd", usd_text(0).encode())]
    return StandIn(found.status, headers + marked, body)


def _refusal(found: Degraded, error: SmaltError, marked: list[tuple[bytes, bytes]]) -> StandIn:
    known_s = error.retry_after_s if isinstance(error, UpstreamError) else None
    told = ServiceUnavailable(
        found.message or error.message, retry_after_s=RETRY_AFTER_S if known_s is None else known_s
    )
    status = found.status if found.status >= 400 else 503
    return StandIn(status, error_headers(told) + marked, error_body(told))
