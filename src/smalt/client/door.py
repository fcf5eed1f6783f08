"""What the sync and the async transport have in common: everything but the I/O."""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from smalt.assemble import Assembly
from smalt.client import circumstances
from smalt.client.hop import Outbound
from smalt.dispatch.answer_headers import answer_headers, request_headers
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, finish_whole
from smalt.errors import SmaltError, Unauthorized, UnsupportedOperation, UpstreamAuthFailed
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
        self._heads = {
            name: [(key.encode(), value.encode()) for key, value in target.headers]
            for name, target in assembly.targets.items()
        }

    def open(self, request: "httpx2.Request", body: bytes, request_id: str) -> OpenCall:
        """The call behind a request to any surface. Raises RequestError."""
        raw_path = request.url.raw_path.decode("ascii").partition("?")[0]
        asked = paths.parse(raw_path) if request.method == "POST" else None
        if asked is None:
            raise UnsupportedOperation(f"{request.method} {raw_path} is no operation smalt routes yet")
        total_s = self._assembly.timeouts.total_s
        patience_s = min(self._timeout(request)["read"] or total_s, total_s)
        return self._assembly.dispatcher.open(
            read_facts(asked, body), request_id, total_s=patience_s, circumstances=circumstances.current()
        )

    def outbound(self, upstream: str, call: OpenCall, request: "httpx2.Request", body: bytes) -> Outbound:
        """One attempt as it leaves."""
        resource, _, deployment = upstream.partition("/")
        target = self._assembly.targets[resource]
        outgoing = target.outgoing(call.facts, deployment, body)
        headers = [
            *self._heads[resource],
            (b"x-ms-client-request-id", call.request_id.encode()),
            (b"content-length", str(len(outgoing.body)).encode()),
        ]
        return Outbound(target.origin, headers, outgoing, self._timeout(request))

    def whole(self, call: OpenCall, answer: Answer[Any]) -> "httpx2.Response":
        """An answer for the SDK; its call ends here."""
        headers = answer_headers(call, answer)
        finish_whole(call, answer)
        return self._response(answer.status, headers, content=answer.body)

    def stream(self, call: OpenCall, answer: Answer[Any], events: Any) -> "httpx2.Response":
        """A streamed answer for the SDK; its call ends when the events have been read."""
        return self._response(answer.status, answer_headers(call, answer), stream=events)

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


class Doors:
    """The door of the moment: another one whenever the fleet was reloaded."""

    def __init__(self, current: Callable[[], Assembly], http: ModuleType) -> None:
        self._current = current
        self._http = http
        self._door: tuple[Assembly, Door] | None = None

    @property
    def now(self) -> Door:
        assembly = self._current()
        if self._door is None or self._door[0] is not assembly:
            self._door = assembly, Door(assembly, self._http)
        return self._door[1]
