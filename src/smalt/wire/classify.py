"""What an upstream's error answer means.

Match on status, then `code`, then `innererror.code`; the text comes last, because its wording changes.
Three body shapes are parsed, and anything else is survived. Source: Azure OpenAI REST API reference
(errors), Azure "quota management" (429 and its headers), and bodies published by users.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from smalt.types import Failure, FailureKind

LONGEST_TEXT = 300

_CAPACITY_CODES = {"no_capacity", "nocapacity", "resource_unavailable", "too_many_requests"}
_CAPACITY_TEXT = re.compile(r"high demand|temporarily unable|overloaded|no healthy upstream", re.IGNORECASE)
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
    410: FailureKind.DEPLOYMENT_NOT_FOUND,
    424: FailureKind.SERVER,
    429: FailureKind.QUOTA,
    503: FailureKind.CAPACITY,
}


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure behind an answer that is no success. `headers`: names in lower case."""
    error = _error_object(body)
    code, text = _words(error.get("code")), _words(error.get("message"))
    shown = _SECRET.sub("[removed]", text) if status in {401, 403} else text
    return Failure(
        kind=_kind(status, code, text, error),
        text=shown[:LONGEST_TEXT] or f"HTTP {status} without a readable body",
        status=status,
        wait_s=_wait_s(headers, text),
    )


def _kind(status: int, code: str, text: str, error: dict[str, Any]) -> FailureKind:
    if status == 401 and code == "PermissionDenied":
        return FailureKind.ACCESS
    # from its first word on: inside, a text may repeat what the caller wrote
    if status == 400 and (code.startswith(_WRONG_TENANT) or text.startswith(_WRONG_TENANT)):
        return FailureKind.ACCESS
    if status == 400 and (code in _FILTERED or _inner_code(error) == "ResponsibleAIPolicyViolation"):
        return FailureKind.CONTENT_FILTER
    if status == 404 and code in _MISSING:
        return FailureKind.DEPLOYMENT_NOT_FOUND
    if status == 429 and (code.lower() in _CAPACITY_CODES or _CAPACITY_TEXT.search(text)):
        return FailureKind.CAPACITY
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # a redirect is not followed: the credential belongs to the host it was sent to
    return FailureKind.SERVER if status >= 500 or status < 400 else FailureKind.REQUEST


def _error_object(body: bytes) -> dict[str, Any]:
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
    """`retry-after-ms`, else `retry-after` in seconds, else the seconds the text names. 0 says nothing."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        value = headers.get(name, "")
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) and float(value) > 0:
            return float(value) / per_second
    named = _WAIT_TEXT.search(text)
    return (float(named.group(1)) or None) if named else None
