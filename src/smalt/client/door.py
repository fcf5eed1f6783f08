"""What the sync and the async transport have in common: everything but the I/O."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from smalt.assemble import Assembly
from smalt.dispatch.answer_headers import answer_headers, request_headers
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, SendFailed, finish_whole
from smalt.dispatch.watched import WatchedStream
from smalt.errors import SmaltError, Unauthorized, UnsupportedOperation, UpstreamAuthFailed
from smalt.types import FailureKind
from smalt.wire import paths
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.facts import read_facts

if TYPE_CHECKING:
    import httpx2


class Door:
    """Opens calls for requests of an SDK and turns answers and errors into what the SDK reads.

    `http`: the module `httpx` or `httpx2`, whichever the SDK rides; annotations name the latter for both.
    """

    def __init__(self, assembly: Assembly, http: ModuleType) -> None:
        self._assembly = assembly
        self._http = http

    def open(self, request: "httpx2.Request", body: bytes, request_id: str) -> OpenCall:
        """The call behind a request to any surface. Raises RequestError."""
        raw_path = request.url.raw_path.decode("ascii").partition("?")[0]
        asked = paths.parse(raw_path) if request.method == "POST" else None
        if asked is None:
            raise UnsupportedOperation(f"{request.method} {raw_path} is no operation smalt routes yet")
        total_s = self._assembly.timeouts.total_s
        patience_s = min(self._timeout(request)["read"] or total_s, total_s)
        return self._assembly.dispatcher.open(read_facts(asked, body), request_id, total_s=patience_s)

    def outgoing(
        self, upstream: str, call: OpenCall, request: "httpx2.Request", body: bytes
    ) -> tuple["httpx2.Request", tuple[str, ...]]:
        """One attempt as the HTTP library sends it, and what was rewritten."""
        resource, _, deployment = upstream.partition("/")
        target = self._assembly.targets[resource]
        outgoing = target.outgoing(call.facts, deployment, body)
        scheme = "https" if target.origin.tls else "http"
        sent: httpx2.Request = self._http.Request(
            "POST",
            f"{scheme}://{target.origin.authority}{outgoing.path}",
            headers=[*target.headers, ("x-ms-client-request-id", call.request_id)],
            content=outgoing.body,
            extensions={"timeout": self._timeout(request)},
        )
        return sent, outgoing.rewrites

    def failed(self, error: Exception) -> SendFailed:
        """What an exception of the HTTP library means: connecting and queueing come before the request, all
        else leaves open whether it was received."""
        http = self._http
        text = str(error) or type(error).__name__
        if isinstance(error, http.ConnectError | http.ConnectTimeout | http.PoolTimeout):
            return SendFailed(FailureKind.CONNECT, text)
        if isinstance(error, http.TimeoutException):
            return SendFailed(FailureKind.TIMEOUT, text)
        return SendFailed(FailureKind.RESET, text)

    def reply(
        self, call: OpenCall, answer: "Answer[httpx2.Response]", event_body: type[Any]
    ) -> "httpx2.Response":
        """The answer for the SDK. A whole one ends its call here; a stream does when it is read."""
        headers = answer_headers(call, answer)
        if answer.stream is None:
            finish_whole(call, answer)
            return self._response(answer.status, headers, content=answer.body)
        stream = event_body(self, WatchedStream(call), answer.stream)
        return self._response(answer.status, headers, stream=stream)

    def refusal(self, error: SmaltError, request_id: str) -> "httpx2.Response":
        """`error` as SDKs expect errors: an answer with a status, so that their own exceptions work."""
        if isinstance(error, UpstreamAuthFailed):
            error = Unauthorized(error.message, causes=error.causes, retry_after_s=error.retry_after_s)
        headers = [*error_headers(error), *request_headers(request_id)]
        return self._response(error.http_status or 500, headers, content=error_body(error))

    def _response(self, status: int, headers: list[tuple[bytes, bytes]], **body: Any) -> "httpx2.Response":
        response: httpx2.Response = self._http.Response(status, headers=headers, **body)
        return response

    def _timeout(self, request: "httpx2.Request") -> dict[str, float | None]:
        """The SDK's own, in seconds; connecting is never given longer than the fleet allows."""
        timeouts = self._assembly.timeouts
        wanted = {"read": timeouts.total_s, **request.extensions.get("timeout", {})}
        connect_s = min(wanted.get("connect") or timeouts.connect_s, timeouts.connect_s)
        return {**wanted, "connect": connect_s}
