"""Has guards look at the texts of requests and answers, around the handling of model calls."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from smalt.config.plugins import load
from smalt.config.schema import GuardSettings
from smalt.dispatch.connections import Response
from smalt.errors import ConfigurationError, PolicyDenied
from smalt.gateway.exchange import Exchange, Handler, Headers, refuse
from smalt.gateway.guarded_events import GuardedEvents
from smalt.gateway.guarded_texts import Texts
from smalt.gateway.load import Slots
from smalt.guards import Finding, Guard
from smalt.types import Operation
from smalt.wire.error_body import error_event

logger = logging.getLogger("smalt.gateway")

AT_ONCE: Final = 4  # bodies that are looked at; others wait, so that those of callers who left do not pile up
_IDS: Final = {b"x-smalt-request-id", b"x-request-id"}
_REWRITES = b"x-smalt-rewrites"
_REWRITE = b"guards"


class Guards:
    """Those of the settings, in their order. Raises ConfigurationError for one that cannot be made."""

    def __init__(self, settings: Sequence[GuardSettings]) -> None:
        self._guards = [_made(index, told) for index, told in enumerate(settings)]
        self._window = max((guard.window for guard in self._guards), default=0)
        self._threads = ThreadPoolExecutor(AT_ONCE, "smalt-guards")
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def request(self, body: bytes) -> bytes:
        """`body` as it may be sent. Raises PolicyDenied."""
        texts = Texts(self._found_in_request, self._window)
        return await self._in_thread(partial(texts.edited, body, answer=False))

    async def answer(self, body: bytes) -> bytes:
        """A whole answer as it may go on. Raises PolicyDenied."""
        texts = Texts(self._found_in_answer, self._window)
        return await self._in_thread(partial(texts.edited, body, answer=True))

    def events(self) -> GuardedEvents:
        return GuardedEvents(self._found_in_answer, self._window)

    def _found_in_request(self, text: str) -> list[Finding]:
        return [finding for guard in self._guards for finding in guard.request(text)]

    def _found_in_answer(self, text: str) -> list[Finding]:
        return [finding for guard in self._guards for finding in guard.answer(text)]

    async def _in_thread(self, look: Callable[[], bytes]) -> bytes:
        """A turn ends with the thread's work, also if nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        await self._turns.acquire()
        work = self._threads.submit(look)
        work.add_done_callback(lambda _work: loop.call_soon_threadsafe(self._turns.release))
        return await asyncio.wrap_future(work)


def guarded(handler: Handler, guards: Guards) -> Handler:
    """`handler`, whose answers are looked at before they go on."""

    async def handle(exchange: Exchange) -> None:
        behind = _Guarded(exchange, guards)
        try:
            await handler(behind)
            await behind.look_at_answer()
        except PolicyDenied as error:
            behind.refuse(error)

    return handle


class _Guarded:
    """The exchange as the handler sees it."""

    def __init__(self, exchange: Exchange, guards: Guards) -> None:
        self._exchange = exchange
        self._guards = guards
        self._whole: tuple[int, Headers, bytes] | None = None
        self._events: GuardedEvents | None = None

        self.asked = exchange.asked
        self.headers: Headers = exchange.headers
        self.body = exchange.body

    @property
    def peer(self) -> str:
        return self._exchange.peer

    def hold(self, count: int) -> None:
        self._exchange.hold(count)

    def occupy(self, slots: Slots) -> None:
        self._exchange.occupy(slots)

    async def look_at_answer(self) -> None:
        """Of an answer that was taken whole. Raises PolicyDenied."""
        if self._whole is None:
            return
        status, headers, body = self._whole
        if _is_events(headers):
            events = self._guards.events()
            body = events.feed(body) + events.rest()
        elif self.asked.operation is not Operation.EMBEDDINGS:
            body = await self._guards.answer(body)
        self._exchange.respond(status, _declared(headers), body)

    def refuse(self, error: PolicyDenied) -> None:
        """In the middle of a stream as its last event."""
        logger.warning("a guard refused an answer of %s: %s", self.asked.operation, error.message)
        if self._events is None:
            ids = [header for header in self._whole[1] if header[0] in _IDS] if self._whole else []
            refuse(self._exchange, error, ids)
        else:
            self._exchange.write(error_event(error, self.asked.operation))
            self._exchange.end()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self._whole = status, headers, body

    def start(self, status: int, headers: Headers) -> None:
        """Only events can be looked at in pieces; for others the first piece is refused."""
        if _is_events(headers):
            self._exchange.start(status, _declared(headers))
            self._events = self._guards.events()

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


def _is_events(headers: Headers) -> bool:
    return dict(headers).get(b"content-type", b"").lower().startswith(b"text/event-stream")


def _declared(headers: Headers) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name != _REWRITES]
    made = [value for name, value in headers if name == _REWRITES]
    return [*others, (_REWRITES, b",".join([*made, _REWRITE]))]


def _made(index: int, told: GuardSettings) -> Guard:
    where = f"gateway.guards[{index}]"
    try:
        guard: Guard = load(told.use)(**told.options)
    except Exception as error:  # whatever a class of somebody's own may raise
        raise ConfigurationError(f"{where}: {told.use} cannot be used: {error!r}") from error
    missing = [name for name in ("request", "answer", "window") if not hasattr(guard, name)]
    if missing:
        raise ConfigurationError(f"{where}: {told.use} is no guard: it has no {' and no '.join(missing)}")
    return guard
