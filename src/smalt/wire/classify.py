"""What an upstream's error means, as an answer or as an event of a stream that had begun well.

Match on status, then `code`, then `innererror.code`; the text comes last, because its wording changes.
Three body shapes are parsed, and anything else is survived. Source: Azure OpenAI REST API reference
(errors), Azure "quota management" (429 and its headers), OpenAI API reference (error codes of Responses),
and bodies published by users.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from smalt.redact import HIDDEN, redacted
from smalt.types import Failure, FailureKind

LONGEST_TEXT = 300  # characters
LONGEST_READ = 4096  # characters; looking for secrets in more would hold up whoever waits

_CAPACITY_CODES = {"no_capacity", "nocapacity", "resource_unavailable", "too_many_requests"}
_CAPACITY_TEXT = re.compile(r"high demand|temporarily unable|overloaded|no healthy upstream", re.IGNORECASE)
_QUOTA_TEXT = re.compile(r"exceeded .{0,40}rate limit|rate limit (?:is exceeded|reached)", re.IGNORECASE)
_CONTEXT_TEXT = ("This model's maximum context length is", "Your input exceeds the context window")
_WAIT_TEXT = re.compile(r"(?:retry after|try again in) (\d+(?:\.\d+)?) second", re.IGNORECASE)
_WRONG_TENANT = ("Tenant provided in token does not match", "Token tenant does not match")
# Some servers repeat the key they refuse: OpenAI's form, or one long word with a digit in it.
_SECRET = re.compile(r"\bsk-[\w*.-]+|\b(?=\w*\d)\w{32,}")
_MISSING = {"DeploymentNotFound", "model_not_found"}
_FILTERED = {"content_filter", "content_policy_violation", "contentFilter"}
_BY_STATUS = {
    401: FailureKind.CREDENTIAL,
    403: FailureKind.ACCESS,
    408: FailureKind.TIMEOUT,
    409: FailureKind.SERVER,  # another operation was under way: the same request may succeed now
    410: FailureKind.DEPLOYMENT_NOT_FOUND,
    424: FailureKind.SERVER,
    429: FailureKind.QUOTA,
    503: FailureKind.CAPACITY,
}
# The status an error would have had as an answer, where an event names only a code or a type.
_STATUS_OF = {
    **dict.fromkeys(
        ("rate_limit_exceeded", "RateLimitReached", "too_many_requests", "rate_limit_error"), 429
    ),
    **dict.fromkeys((*_FILTERED, "context_length_exceeded", "invalid_request_error"), 400),
    **dict.fromkeys(_MISSING, 404),
    "Timeout": 408,
}
_REFUSED_CODE = re.compile(r"invalid_|unsupported_|\w*image|\w*policy")
_HTTP_DATE = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure behind an answer that is no success. `headers`: names in lower case."""
    error = error_object(body)
    code, text = _words(error.get("code")), _words(error.get("message"))
    return Failure(
        kind=_kind(status, code, text, error),
        text=_shown(status, text) or f"HTTP {status} without a readable body",
        status=status,
        wait_s=_wait_s(headers, text),
    )


def classify_event(error: object) -> Failure:
    """The failure behind an error that came as an event, under status 200. `error`: as decoded from JSON."""
    error = error if isinstance(error, dict) else {"message": error}
    code, text = _words(error.get("code")), _words(error.get("message"))
    status = _status_of(error, code, text)
    return Failure(
        kind=_kind(status, code, text, error),
        text=_shown(status, text) or "an error in the stream without a readable text",
        status=200,
        wait_s=_wait_s({}, text),
    )


def _kind(status: int, code: str, text: str, error: dict[str, Any]) -> FailureKind:
    if status == 401 and code == "PermissionDenied":
        return FailureKind.ACCESS
    if status == 400:
        return _kind_of_bad_request(code, text, error)
    if status == 404 and code in _MISSING:
        return FailureKind.DEPLOYMENT_NOT_FOUND
    if status == 429 and (code.lower() in _CAPACITY_CODES or _CAPACITY_TEXT.search(text)):
        return FailureKind.CAPACITY
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # a redirect is not followed: the credential belongs to the host it was sent to
    return FailureKind.SERVER if status >= 500 or status < 400 else FailureKind.REQUEST


def _kind_of_bad_request(code: str, text: str, error: dict[str, Any]) -> FailureKind:
    """Texts count from their first word on: inside, they may repeat what the caller wrote."""
    if code.startswith(_WRONG_TENANT) or text.startswith(_WRONG_TENANT):
        return FailureKind.ACCESS
    if code in _FILTERED or _inner_code(error) == "ResponsibleAIPolicyViolation":
        return FailureKind.CONTENT_FILTER
    if code == "context_length_exceeded" or text.startswith(_CONTEXT_TEXT):
        return FailureKind.CONTEXT
    return FailureKind.REQUEST


def _status_of(error: dict[str, Any], code: str, text: str) -> int:
    """As an answer the error would have had this status; 500 if nothing tells."""
    for named in (error.get("status"), code):
        if re.fullmatch("[45][0-9][0-9]", str(named)):
            return int(str(named))
    for word in (code, _words(error.get("type"))):
        if word in _STATUS_OF:
            return _STATUS_OF[word]
    if _REFUSED_CODE.match(code):
        return 400
    if _CAPACITY_TEXT.search(text):
        return 503
    return 429 if _QUOTA_TEXT.search(text) else 500


def _shown(status: int, text: str) -> str:
    if len(text) > LONGEST_READ:  # no half word: what is left of a secret may not look like one
        text = text[:LONGEST_READ].rpartition(" ")[0] or text[:LONGEST_READ]
    return redacted(_SECRET.sub(HIDDEN, text) if status in {401, 403} else text)[:LONGEST_TEXT]


def error_object(body: bytes) -> dict[str, Any]:
    """The error that a body tells, without its wrapper; empty if it cannot be read."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(decoded, dict):
        return {}
    error = decoded.get("error")
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else decoded


def _words(value: object) -> str:
    return " ".join(str(value).split()) if isinstance(value, (str, int)) else ""


def _inner_code(error: dict[str, Any]) -> str | None:
    inner = error.get("innererror") or error.get("inner_error")
    return inner.get("code") if isinstance(inner, dict) else None


def _wait_s(headers: Mapping[str, str], text: str) -> float | None:
    """`retry-after-ms`, else `retry-after` in seconds or as a date, else the seconds the text names. A time
    that is over says nothing."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        value = headers.get(name, "")
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) and float(value) > 0:
            return float(value) / per_second
    # The answer's own date is the clock: the one that made the other date.
    until_s, now_s = _unix_s(headers.get("retry-after", "")), _unix_s(headers.get("date", ""))
    if until_s is not None and now_s is not None and until_s > now_s:
        return until_s - now_s
    named = _WAIT_TEXT.search(text)
    return (float(named.group(1)) or None) if named else None


def _unix_s(value: str) -> float | None:
    """An HTTP date in the one form that may be sent (RFC 9110, 5.6.7), as seconds; None if it is none."""
    date = _HTTP_DATE.fullmatch(value)
    if date is None:
        return None
    day, year, hour, minute, second = map(int, date.group(1, 3, 4, 5, 6))
    try:
        moment = datetime(year, _MONTHS.index(date[2]) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp()
