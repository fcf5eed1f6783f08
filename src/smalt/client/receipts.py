"""The receipts of this process: what the last calls were and cost, found again by their answers."""

from collections import OrderedDict
from functools import partial
from typing import Any, Final

from smalt.exclusive import Exclusive
from smalt.types import CallRecord

MOST: Final = 4_096
REQUEST_ID: Final = "smalt_request_id"  # extension of an SDK's request


class Receipts:
    """A sink that keeps the newest, by smalt's id of the request and by the upstream's. Safe for threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_id: OrderedDict[str, CallRecord] = OrderedDict()
        self._lock = Exclusive()

    def __call__(self, record: CallRecord) -> None:
        if self._lock.held:
            self._lock.postpone(partial(self, record))
            return
        with self._lock:
            self._by_id[record.request_id] = record
            shown = record.upstream_ids.get("x-request-id")
            if shown is not None:
                self._by_id[shown] = record
            while len(self._by_id) > 2 * self._most:
                self._by_id.popitem(last=False)

    def start_afresh(self) -> None:
        """In a child process: the lock may have been held when it was made."""
        self._lock = Exclusive()
        self._by_id.clear()

    def find(self, request_id: str) -> CallRecord | None:
        with self._lock:
            return self._by_id.get(request_id)


RECEIPTS: Final = Receipts()  # of every fleet: an answer does not say which one it came through


def receipt(answer: Any) -> CallRecord | None:
    """What a call was and cost: usage, cost, upstream, attempts, times.

    `answer`: whatever an SDK gave for it: a parsed response, a raw response, a stream (once it has been read
    to its end), or an exception of the SDK. None if it is not known: not through smalt, still under way, or
    older than the last 4,096.
    """
    for request_id in _ids(answer):
        found = RECEIPTS.find(request_id)
        if found is not None:
            return found
    return None


def _ids(answer: Any) -> list[str]:
    """In the places where SDKs and HTTP libraries carry the id of a request."""
    response = getattr(answer, "response", None) or getattr(answer, "http_response", None)
    headers = getattr(answer, "headers", None) or getattr(response, "headers", None) or {}
    known = [headers.get(name) for name in ("x-smalt-request-id", "x-request-id")]
    known += [getattr(answer, name, None) for name in ("_request_id", "request_id")]
    if isinstance(answer, Exception):  # of a stream that broke, it knows its request only
        known.append(getattr(vars(answer).get("request"), "extensions", {}).get(REQUEST_ID))
    return [request_id for request_id in known if isinstance(request_id, str)]
