"""Why a call failed, told from whatever exception came of it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final, TypeVar

from smalt.client.receipts import receipt
from smalt.core.final_error import cause, named
from smalt.dispatch.dispatcher import UPSTREAM_IDS
from smalt.errors import (
    BY_CODE,
    NoUpstreamAvailable,
    RequestError,
    SmaltError,
    StreamInterrupted,
    UpstreamError,
    UpstreamTimeout,
)
from smalt.types import AttemptRecord, CallRecord, Failure
from smalt.wire.classify import classify, classify_event, error_object
from smalt.wire.error_body import read_error

# What `annotated` adds. `message`, `code`, `type` and `request_id` are the SDK's own and stay so.
ANNOTATIONS: Final = (
    "http_status",
    "status",
    "retryable",
    "retry_after_s",
    "cause",
    "resolution",
    "causes",
    "upstream_ids",
    "attempts",
)
OF_THE_CLASS: Final = ("code", "type", "http_status", "status", "retryable", "resolution")
ErrorT = TypeVar("ErrorT", bound=Exception)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a call failed; as text it is made for a terminal.

    `code`: one of docs/reference/errors.md; `upstream_code`: the finer one of an answer that is Azure's own.
    `http_status`: None if no answer came. `status`: gRPC's name. `retryable`: whether the same call may
    succeed if it is made again; `retry_after_s`: when, None if unknown. `message`: what happened, in Azure's
    words where they are its own; `cause`: what that kind of error means; `resolution`: the steps that mend
    it. `causes`: a line for each attempt, and for each upstream that was not asked. `request_id`: smalt's;
    `upstream_ids`: Azure's, by header. `attempts`: as the receipt has them; empty if another process does.
    """

    code: str
    type: str
    upstream_code: str | None = None
    http_status: int | None
    status: str
    retryable: bool
    retry_after_s: float | None = None
    message: str
    cause: str
    resolution: Sequence[str]
    causes: Sequence[str] = ()
    request_id: str | None = None
    upstream_ids: Mapping[str, str] = field(default_factory=dict)
    attempts: Sequence[AttemptRecord] = ()

    def __str__(self) -> str:
        """What happened; the attempts; what to do; whom to ask."""
        answer = f"HTTP {self.http_status}, " if self.http_status else ""
        kind = f"{self.code} ({self.type}, {answer}{self.status})"
        happened = [f"{kind}: {self.cause}" if self.cause else kind, self._said()]
        ids = {"request": self.request_id, **{f"Azure's {name}": i for name, i in self.upstream_ids.items()}}
        return "\n\n".join(
            "\n".join(lines)
            for lines in (
                happened,
                [f"  {line}" for line in self.causes],
                [f"  {number}. {step}" for number, step in enumerate(self.resolution, 1)],
                [self._again(), ", ".join(f"{name} {value}" for name, value in ids.items() if value)],
            )
            if lines
        ).rstrip()

    def _said(self) -> str:
        """The message without the causes, which have lines of their own."""
        said = self.message.removesuffix("; ".join(self.causes)).removesuffix(": ") or self.message
        return said if self.upstream_code in {None, self.code} else f"{said} (code: {self.upstream_code})"

    def _again(self) -> str:
        if not self.retryable:
            return "Do not repeat the call as it is."
        when = "" if self.retry_after_s is None else f" in {ceil(self.retry_after_s):,} s"
        return f"The same call may succeed{when}."


def explain(exception: BaseException) -> Explanation | None:
    """`exception`: of smalt, of the openai package (through smalt or not), or of a framework around it: then
    its cause or context is looked at. None if no call and no setting of smalt's is behind it."""
    seen: list[BaseException] = []
    error: BaseException | None = exception
    while error is not None and error not in seen:
        seen.append(error)
        explained = _of_smalt(error) if isinstance(error, SmaltError) else _of_the_sdk(error)
        if explained is not None:
            return explained
        error = error.__cause__ or error.__context__
    return None


def raised(error: Exception, partial: str = "") -> SmaltError:
    """smalt's own error for the SDK's: its class by the code, message and steps the same. `partial`: what was
    said before."""
    told = explain(error)
    if told is None:
        return SmaltError(str(error))
    kind = BY_CODE[told.code]
    if issubclass(kind, StreamInterrupted):
        return kind(told.message, partial=partial)
    if issubclass(kind, UpstreamError):
        return kind(
            told.message,
            causes=told.causes,
            retry_after_s=told.retry_after_s,
            resolution=told.resolution,
        )
    return kind(told.message, resolution=told.resolution)


def annotated(error: ErrorT) -> ErrorT:
    """An exception of the SDK, with attributes of what `explain` says. Its class and its own attributes stay,
    but for a `code` that the answer left empty."""
    explained = explain(error)
    if explained is not None:
        told = {name: getattr(explained, name) for name in ANNOTATIONS}
        vars(error).update(told, smalt_request_id=explained.request_id)
        if getattr(error, "code", None) is None:
            vars(error)["code"] = explained.code
    return error


def _of_smalt(error: SmaltError) -> Explanation:
    told: dict[str, Any] = {"message": error.message, "resolution": error.resolution}
    if isinstance(error, UpstreamError):
        told |= {"causes": error.causes, "retry_after_s": error.retry_after_s}
    return _explanation(type(error), told)


def _of_the_sdk(error: BaseException) -> Explanation | None:
    """None if it is none of the SDK's: whoever holds one of those has imported the package."""
    sdk = sys.modules.get("openai")
    if sdk is None or not isinstance(error, sdk.APIError):
        return None
    record, response = receipt(error), getattr(error, "response", None)
    told = _of_record(record) if record else {}
    if response is not None:
        headers = {name.lower(): value for name, value in response.headers.items()}
        failure = classify(response.status_code, headers, _content(response))
        told = {"http_status": response.status_code, **_of_headers(headers), **told}
        return _of_answer(error_object(_content(response)), failure, named(failure), told)
    told["http_status"] = None
    if isinstance(error.body, dict):  # it came as an event, in the midst of an answer
        failure = classify_event(error.body)
        error_class = named(failure)
        broke = not issubclass(error_class, RequestError)
        return _of_answer(error.body, failure, StreamInterrupted if broke else error_class, told)
    error_class = UpstreamTimeout if isinstance(error, sdk.APITimeoutError) else NoUpstreamAvailable
    return _explanation(error_class, {"message": error.message, **told})


def _of_answer(
    said: Mapping[str, Any], failure: Failure, error_class: type[SmaltError], told: dict[str, Any]
) -> Explanation:
    """`said`: the error of the answer; `error_class`: what it is called if it is Azure's own."""
    told["retry_after_s"] = failure.wait_s
    ours = read_error(said)
    if ours is not None:
        told |= {name: getattr(ours, name) for name in ("code", "type", "message", "retryable", "resolution")}
        told |= {"status": ours.grpc_status, "causes": ours.causes or told.get("causes", ())}
        return _explanation(BY_CODE.get(ours.code, SmaltError), told)
    told["message"] = failure.text  # some servers repeat the key they refuse; there it is left out
    if failure.status not in {401, 403} and isinstance(said.get("message"), str):
        told["message"] = said["message"]
    told["type"] = str(said.get("type") or error_class.type)
    told["upstream_code"] = None if said.get("code") is None else str(said["code"])
    return _explanation(error_class, told)


def _of_record(record: CallRecord) -> dict[str, Any]:
    return {
        "request_id": record.request_id,
        "upstream_ids": record.upstream_ids,
        "attempts": tuple(record.attempts),
        "causes": tuple(cause(attempt) for attempt in record.attempts),
    }


def _of_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """For the call of another process: a gateway's, or one that never went through smalt."""
    ours = headers.get("x-smalt-request-id")
    known = sorted(name.decode() for name in UPSTREAM_IDS)
    theirs = {name: headers[name] for name in known if headers.get(name, ours) != ours}
    return {"request_id": ours, "upstream_ids": theirs}


def _explanation(error_class: type[SmaltError], told: Mapping[str, Any]) -> Explanation:
    """What is not told is as the class says."""
    usual = {name: getattr(error_class, name) for name in OF_THE_CLASS}
    return Explanation(**{**usual, "cause": error_class.cause(), **told})


def _content(response: Any) -> bytes:
    try:
        content: bytes = response.content
    except RuntimeError:  # of a streamed response that nobody has read
        return b""
    return content
