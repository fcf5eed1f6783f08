"""The two loops that drive a call. They differ only in who waits."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar, assert_never

import msgspec

from smalt.core.call import Fail, Relay, Send, Wait
from smalt.core.final_error import named
from smalt.dispatch.dispatcher import OpenCall
from smalt.redact import HIDDEN, secrets_of, without
from smalt.types import AttemptRecord, Failure, FailureKind, Operation, Usage
from smalt.wire.classify import classify, error_object
from smalt.wire.error_body import error_body
from smalt.wire.hints import read_hints
from smalt.wire.tool_names import Renamed, restore
from smalt.wire.usage import read_id, read_usage

if TYPE_CHECKING:
    from smalt.dispatch.heads import Head
    from smalt.dispatch.watched import WatchedStream

Headers = Sequence[tuple[bytes, bytes]]
StreamT = TypeVar("StreamT")


class SendFailed(Exception):
    """An attempt brought no answer that can be used: an event between sender and loop, never shown."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.failure = Failure(kind, text)

    @classmethod
    def of(cls, failure: Failure) -> Self:
        """For a failure that is known more exactly."""
        failed = cls(failure.kind, failure.text)
        failed.failure = failure
        return failed


def hidden(failure: Failure, head: "Head") -> Failure:
    """An upstream that repeats the credential it was shown does not tell it to anybody else."""
    return msgspec.structs.replace(failure, text=without(failure.text, secrets_of(head.data)))


def without_secrets(told: bytes, head: "Head") -> bytes:
    """The same of what goes on to the caller."""
    for secret in secrets_of(head.data):
        told = told.replace(secret.encode("latin-1"), HIDDEN.encode())
    return told


class Answer(msgspec.Struct, Generic[StreamT]):
    """What an upstream answered: `body` whole, or `stream` to be relayed. Header names in lower case.

    `rewrites`: what was changed in the request. `usage`: as a whole answer reported it. `watched`: of a
    stream of events, which has begun. `renamed`: tools that the answer calls by other names than the caller.
    `head`: the request was sent with it.
    """

    status: int
    headers: Headers
    body: bytes = b""
    stream: StreamT | None = None
    rewrites: tuple[str, ...] = ()
    usage: Usage | None = None
    watched: "WatchedStream | None" = None
    renamed: Renamed | None = None
    head: "Head | None" = None


class Sender(Protocol[StreamT]):
    def __call__(self, upstream: str, call: OpenCall, /) -> Answer[StreamT]:
        """Send the call's request to `upstream` once. Raises SendFailed."""
        ...


class AsyncSender(Protocol[StreamT]):
    def __call__(self, upstream: str, call: OpenCall, /) -> Awaitable[Answer[StreamT]]:
        """Send the call's request to `upstream` once. Raises SendFailed."""
        ...


def run(call: OpenCall, send: Sender[StreamT]) -> Answer[StreamT]:
    """Drive `call` to its answer. Raises the final SmaltError when every attempt failed."""
    answer: Answer[StreamT] | None = None
    try:
        while True:
            match call.next():
                case Send(upstream=upstream):
                    try:
                        answer = send(upstream, call)
                        if _record(call, answer):
                            return _given(answer, call)
                    except SendFailed as failed:
                        call.record(failed.failure)
                case Wait(until_s=until_s):
                    _wait(call, until_s)
                case Relay():
                    return _given(answer, call)
                case Fail(error=error):
                    raise error
                case other:
                    assert_never(other)
    except BaseException:
        call.abandon()
        raise


async def run_async(call: OpenCall, send: AsyncSender[StreamT]) -> Answer[StreamT]:
    """Drive `call` to its answer. Raises the final SmaltError when every attempt failed."""
    answer: Answer[StreamT] | None = None
    try:
        while True:
            match call.next():
                case Send(upstream=upstream):
                    try:
                        answer = await send(upstream, call)
                        if _record(call, answer):
                            return _given(answer, call)
                    except SendFailed as failed:
                        call.record(failed.failure)
                case Wait(until_s=until_s):
                    await _wait_async(call, until_s)
                case Relay():
                    return _given(answer, call)
                case Fail(error=error):
                    raise error
                case other:
                    assert_never(other)
    except BaseException:
        call.abandon()
        raise


def _wait(call: OpenCall, until_s: float) -> None:
    """Until then, or until the call is woken."""
    woken = threading.Event()
    call.on_wake = woken.set
    if not call.woken:
        woken.wait(max(0.0, until_s - time.monotonic()))
    call.woken = False


async def _wait_async(call: OpenCall, until_s: float) -> None:
    woken, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(woken.set)
        except RuntimeError:  # the loop was closed with the call still waiting: nobody drives it any more
            call.abandon()

    call.on_wake = wake
    if not call.woken:
        with suppress(TimeoutError):
            async with asyncio.timeout(until_s - time.monotonic()):
                await woken.wait()
    call.woken = False


def judge(answer: Answer[StreamT]) -> Failure | None:
    """Why an answer counts as failed, None if it does not. Notes the usage of a whole answer."""
    if not 200 <= answer.status < 300:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        return classify(answer.status, headers, answer.body)
    if answer.stream is None:
        try:
            answer.usage = read_usage(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Failure(FailureKind.TRUNCATED, "the answer is no JSON object", answer.status)
    return None


def finish_whole(call: OpenCall, answer: Answer[StreamT]) -> None:
    """End the call of an answer that was taken whole; that of a refused request has ended already."""
    if answer.status < 400:
        usage = answer.usage or Usage(call.prompt_tokens)
        call.finish(usage, estimated=answer.usage is None)


def _record(call: OpenCall, answer: Answer[StreamT]) -> bool:
    """Whether it goes to the caller without a further look."""
    call.rewrites = answer.rewrites
    failure = judge(answer)
    head = answer.head
    if head is not None and (failure is not None or (answer.watched and answer.watched.tells_error)):
        answer.body = without_secrets(answer.body, head)
        answer.headers = [(name, without_secrets(value, head)) for name, value in answer.headers]
    if head is not None and failure is not None:
        failure = hidden(failure, head)
    if failure is not None and failure.kind is FailureKind.CREDENTIAL and head is not None:
        failure = _turned(failure, head)
    call.record(failure, read_hints(answer.headers))
    if failure is None and answer.stream is None and call.facts.operation is Operation.RESPONSES:
        call.keeps(read_id(answer.body))
    return failure is None


def _turned(failure: Failure, head: "Head") -> Failure:
    """Of a refused credential: whether there is another one, which requests carry now, or will soon be."""
    return msgspec.structs.replace(failure, kind=FailureKind.KEY) if head.refused() else failure


def _given(answer: Answer[StreamT] | None, call: OpenCall) -> Answer[StreamT]:
    if answer is None:
        raise RuntimeError("the call relays an answer that never came")
    if answer.status >= 400 and not error_object(answer.body):
        _make_readable(answer, call.attempts[-1])
    if answer.renamed:
        answer.body = restore(answer.body, answer.renamed)
    return answer


def _make_readable(answer: Answer[StreamT], attempt: AttemptRecord) -> None:
    """A refusal without words, or with a page of some proxy's, in the shape that SDKs read."""
    failure = attempt.failure
    if failure is not None:
        answer.body = error_body(named(failure)(f"{attempt.upstream} refused the request: {failure.text}"))
        headers = [header for header in answer.headers if header[0] != b"content-type"]
        answer.headers = [*headers, (b"content-type", b"application/json")]
