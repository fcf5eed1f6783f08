"""Has guards look at the texts of requests and answers, around the handling of model calls."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from smalt.config.plugins import load
from smalt.config.schema import GuardSettings
from smalt.dispatch.connections import Response
from smalt.errors import ConfigurationError, PolicyDenied, SmaltError
from smalt.gateway.content import plain
from smalt.gateway.exchange import Exchange, Handler, Headers, refuse
from smalt.gateway.guarded_events import NO_TEXT, GuardedEvents, replaced
from smalt.gateway.load import Slots
from smalt.gateway.principals import GatewayKeys
from smalt.guards import Finding, Guard
from smalt.types import Operation
from smalt.wire import edit
from smalt.wire.error_body import error_event

logger = logging.getLogger("smalt.gateway")

_REWRITES = b"x-smalt-rewrites"
_REWRITE = b"guards"
_NULL: Final = msgspec.Raw(b"null")


class Guards:
    """Those of the settings, in their order. Raises ConfigurationError for one that cannot be made."""

    def __init__(self, settings: Sequence[GuardSettings]) -> None:
        self._guards = [_made(index, told) for index, told in enumerate(settings)]
        self.window = max((guard.window for guard in self._guards), default=0)

    def request(self, text: str) -> list[Finding]:
        """Raises PolicyDenied."""
        return [finding for guard in self._guards for finding in guard.request(text)]

    def answer(self, text: str) -> list[Finding]:
        """Raises PolicyDenied."""
        return [finding for guard in self._guards for finding in guard.answer(text)]


def guarded(handler: Handler, guards: Guards, keys: GatewayKeys) -> Handler:
    """`handler` behind guards. Strangers get no further than their key: looking at texts is work."""

    async def handle(exchange: Exchange) -> None:
        try:
            keys.principal(exchange.headers)
        except SmaltError:
            await handler(exchange)  # which refuses it
            return
        behind = _Guarded(exchange, guards)
        try:
            await behind.look_at_request()
            await handler(behind)
            await behind.look_at_answer()
        except SmaltError as error:
            behind.refuse(error)

    return handle


class _Guarded:
    """The exchange as the handler sees it: with the request as it may be sent, and an answer on its way."""

    def __init__(self, exchange: Exchange, guards: Guards) -> None:
        self._exchange = exchange
        self._guards = guards
        self._whole: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
        self._events: GuardedEvents | None = None
        self._changed = False
        self.asked = exchange.asked
        self.headers: Headers = exchange.headers
        self.body = b""

    @property
    def peer(self) -> str:
        return self._exchange.peer

    def hold(self, count: int) -> None:
        self._exchange.hold(count)

    def occupy(self, slots: Slots) -> None:
        self._exchange.occupy(slots)

    async def look_at_request(self) -> None:
        """Raises PolicyDenied, and what `plain` does."""
        body = plain(self.headers, self._exchange.body)
        if body is not self._exchange.body:
            self.hold(len(body))
        self.headers = [(name, value) for name, value in self.headers if name != b"content-encoding"]
        self.body = await asyncio.to_thread(_edited, body, self._guards.request)
        self._changed = self.body is not body

    async def look_at_answer(self) -> None:
        """Of an answer that was taken whole. Raises PolicyDenied."""
        if self._whole is None:
            return
        status, headers, body = self._whole
        if self.asked.operation is not Operation.EMBEDDINGS:
            looked_at = await asyncio.to_thread(_edited, body, self._guards.answer)
            self._changed |= looked_at is not body
            body = looked_at
        self._exchange.respond(status, _declared(headers) if self._changed else headers, body)

    def refuse(self, error: SmaltError) -> None:
        """In the middle of a stream as its last event."""
        if isinstance(error, PolicyDenied):
            logger.warning("a guard refused a request for %s: %s", self.asked.operation, error.message)
        if self._events is None:
            refuse(self._exchange, error)
        else:
            self._exchange.write(error_event(error, self.asked.operation))
            self._exchange.end()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self._whole = status, list(headers), body

    def start(self, status: int, headers: Headers) -> None:
        """Only events can be looked at in pieces; for others the first piece is refused."""
        if dict(headers).get(b"content-type", b"").startswith(b"text/event-stream"):
            self._exchange.start(status, _declared(headers))
            find = self._guards.answer
            self._events = GuardedEvents(find, lambda event: _edited(event, find), self._guards.window)

    def write(self, data: bytes) -> None:
        """Raises PolicyDenied."""
        self._exchange.write(self._looked_at().feed(data))

    def end(self) -> None:
        """Raises PolicyDenied."""
        self._exchange.write(self._looked_at().rest())
        self._exchange.end()

    def abort(self) -> None:
        self._exchange.abort()

    def throttle(self, source: Response) -> None:
        self._exchange.throttle(source)

    def _looked_at(self) -> GuardedEvents:
        if self._events is None:
            raise PolicyDenied("the answer is too large to be looked at")
        return self._events


def _declared(headers: Headers) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name != _REWRITES]
    made = [value for name, value in headers if name == _REWRITES]
    return [*others, (_REWRITES, b",".join([*made, _REWRITE]))]


def _edited(body: bytes, find: Callable[[str], Iterable[Finding]]) -> bytes:
    """The same object if nothing is to be replaced."""
    text = edit.text(lambda text: replaced(text, find(text)))
    return edit.apply(edit.everywhere(text, _OF_MEMBERS), body)


def _nothing(value: msgspec.Raw) -> msgspec.Raw:
    return value if bytes(value) in {b"null", b"[]"} else _NULL


_OF_MEMBERS: Final[Mapping[str, edit.Edit]] = {
    **dict.fromkeys(NO_TEXT, lambda value: value),
    "logprobs": _nothing,  # they repeat the text
}


def _made(index: int, told: GuardSettings) -> Guard:
    where = f"gateway.guards[{index}]"
    try:
        guard: Guard = load(told.use)(**told.options)
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {told.use} cannot be used: {error}") from error
    missing = [name for name in ("request", "answer", "window") if not hasattr(guard, name)]
    if missing:
        raise ConfigurationError(f"{where}: {told.use} is no guard: it has no {' and no '.join(missing)}")
    return guard
