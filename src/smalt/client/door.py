"""What the sync and the async transport have in common: everything but the I/O."""

import time
from collections.abc import Callable
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from smalt.assemble import Assembly
from smalt.client import circumstances
from smalt.client.hop import Outbound
from smalt.client.receipts import REQUEST_ID
from smalt.dispatch.answer_headers import answer_headers, record_headers, request_headers
from smalt.dispatch.degraded import stand_in
from smalt.dispatch.dispatcher import Circumstances, OpenCall, wall_clock
from smalt.dispatch.heads import Head
from smalt.dispatch.run import Answer, Headers, finish_whole
from smalt.dispatch.target import Target, request_head
from smalt.errors import SmaltError, Unauthorized, UnsupportedOperation, UpstreamAuthFailed
from smalt.types import CallRecord, Facts, Operation, Usage
from smalt.wire import embeddings, paths
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.facts import read_facts

if TYPE_CHECKING:
    import httpx2

NEVER: Final = float("inf")
JSON: Final[Headers] = ((b"content-type", b"application/json"),)


class Inbound(Struct, frozen=True):
    """A request as it came. `connect_s`, `read_s`: the SDK's own timeouts, infinite if it has none."""

    facts: Facts
    body: bytes
    request_id: str
    connect_s: float
    read_s: float
    circumstances: Circumstances
    started_s: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=wall_clock)

    def record(self, **told: Any) -> CallRecord:
        """Of a request that is not a call by itself, ended now."""
        duration_s = time.monotonic() - self.started_s
        return CallRecord(
            self.request_id,
            self.facts.operation,
            self.facts.model,
            session=self.circumstances.session,
            tags=self.circumstances.tags,
            duration_s=duration_s,
            first_byte_s=duration_s,
            started_at=self.started_at,
            trace=self.circumstances.trace,
            **told,
        )


class Door:
    """Opens calls for requests of an SDK and turns answers and errors into what the SDK reads.

    `http`: the module `httpx` or `httpx2`, whichever the SDK rides; annotations name the latter for both.
    """

    def __init__(self, assembly: Assembly, http: ModuleType) -> None:
        self._assembly = assembly
        self._cache = assembly.cache
        self._http = http

    def inbound(self, request: "httpx2.Request", body: bytes, request_id: str) -> Inbound:
        """A request to any surface. Raises RequestError."""
        request.extensions[REQUEST_ID] = request_id
        raw_path = request.url.raw_path.decode("ascii").partition("?")[0]
        asked = paths.parse(raw_path) if request.method == "POST" else None
        if asked is None:
            raise UnsupportedOperation(f"{request.method} {raw_path} is no operation smalt routes yet")
        told = circumstances.of(request.headers)
        facts = self._assembly.dispatcher.profiles.added(read_facts(asked, body), told.variables)
        timeout = request.extensions.get("timeout", {})
        connect_s, read_s = (timeout.get(phase) or NEVER for phase in ("connect", "read"))
        return Inbound(facts, body, request_id, connect_s, read_s, told)

    def largest_quota(self, facts: Facts) -> float:
        """Tokens; infinite if it is not known. Raises ModelNotAvailableError."""
        dispatcher = self._assembly.dispatcher
        return dispatcher.do(lambda _now: dispatcher.engine.route(facts).largest_quota)

    def open(self, inbound: Inbound) -> OpenCall:
        """The call behind a request. Raises RequestError."""
        return self._assembly.dispatcher.open(
            inbound.facts,
            inbound.request_id,
            total_s=min(inbound.read_s, self._assembly.timeouts.total_s),
            circumstances=inbound.circumstances,
        )

    def outbound(self, upstream: str, call: OpenCall, inbound: Inbound) -> Outbound:
        """One attempt as it leaves. Of the SDK's timeouts and the fleet's the shorter ones count. Waits for a
        credential if it must. Raises SendFailed."""
        target, answer_s = self._target(upstream), self._answer_s(call, inbound)
        head = target.heads.at_once(time.monotonic()) or target.heads.obtain(answer_s)
        return self._outbound(target, head, upstream, call, inbound, answer_s)

    async def outbound_async(self, upstream: str, call: OpenCall, inbound: Inbound) -> Outbound:
        """The same for event loops."""
        target, answer_s = self._target(upstream), self._answer_s(call, inbound)
        head = target.heads.at_once(time.monotonic()) or await target.heads.obtain_async(answer_s)
        return self._outbound(target, head, upstream, call, inbound, answer_s)

    def _target(self, upstream: str) -> Target:
        return self._assembly.targets[upstream.partition("/")[0]]

    def _answer_s(self, call: OpenCall, inbound: Inbound) -> float:
        limits = self._assembly.timeouts
        return min(inbound.read_s, limits.stream_first_byte_s if call.facts.stream else limits.total_s)

    def _outbound(
        self, target: Target, head: Head, upstream: str, call: OpenCall, inbound: Inbound, answer_s: float
    ) -> Outbound:
        outgoing = target.outgoing(call.facts, upstream.partition("/")[2], inbound.body)
        limits = self._assembly.timeouts
        return Outbound(
            target.origin,
            head,
            request_head(outgoing, call.request_id, head),
            outgoing,
            connect_s=min(inbound.connect_s, limits.connect_s),
            answer_s=answer_s,
            idle_s=min(inbound.read_s, limits.stream_idle_s),
            heard=call.heard,
        )

    def kept(self, inbound: Inbound) -> "httpx2.Response | None":
        """The answer that the same request was given before; its receipt says so."""
        if self._cache is None:
            return None
        kept = self._cache.find(inbound.facts, inbound.body, time.monotonic())
        if kept is None:
            return None
        record = inbound.record(usage=kept.usage, cost_nusd=0, cached=True)
        self._assembly.dispatcher.tell(record)
        inbound.circumstances.tell(record)
        _report_done(inbound)
        return self.composed(record, 200, JSON, kept.body)

    def keep(self, inbound: Inbound, answer: bytes, usage: Usage | None) -> None:
        """For the next time."""
        if self._cache is not None:
            self._cache.keep(inbound.facts, inbound.body, answer, usage, time.monotonic())

    def whole(self, inbound: Inbound, call: OpenCall, answer: Answer[Any]) -> "httpx2.Response":
        """An answer for the SDK; its call ends here."""
        headers = answer_headers(call, answer)
        finish_whole(call, answer)
        if answer.status == 200:
            self.keep(inbound, answer.body, answer.usage)
            _report_done(inbound)
        return self._response(answer.status, headers, content=answer.body)

    def stream(self, call: OpenCall, answer: Answer[Any], events: Any) -> "httpx2.Response":
        """A streamed answer for the SDK; its call ends when the events have been read."""
        return self._response(answer.status, answer_headers(call, answer), stream=events)

    def composed(
        self, record: CallRecord, status: int, upstream_headers: Headers, body: bytes
    ) -> "httpx2.Response":
        """An answer that is not that of one call."""
        return self._response(status, record_headers(record, upstream_headers), content=body)

    def refusal(
        self, error: SmaltError, request_id: str, inbound: Inbound | None = None
    ) -> "httpx2.Response":
        """`error` as SDKs expect errors: an answer with a status, so that their own exceptions work; or what
        is configured in its place. `inbound`: None if the request could not be read."""
        facts = inbound.facts if inbound is not None else None
        answered = stand_in(self._assembly.dispatcher, facts, error, request_id)
        if answered is not None:
            return self._response(answered.status, answered.headers, content=answered.body)
        if isinstance(error, UpstreamAuthFailed):
            error = Unauthorized(error.message, causes=error.causes, retry_after_s=error.retry_after_s)
        headers = [*error_headers(error), *request_headers(request_id)]
        return self._response(error.http_status or 500, headers, content=error_body(error))

    def _response(self, status: int, headers: list[tuple[bytes, bytes]], **body: Any) -> "httpx2.Response":
        response: httpx2.Response = self._http.Response(status, headers=headers, **body)
        return response


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


def _report_done(inbound: Inbound) -> None:
    """A request for embeddings that was not split is done as a whole."""
    callback = circumstances.progress_callback()
    if callback is not None and inbound.facts.operation is Operation.EMBEDDINGS:
        total = len(embeddings.inputs(inbound.body))
        callback(total, total)
