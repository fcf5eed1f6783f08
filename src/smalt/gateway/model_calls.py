"""The way of a model call through the gateway: key, facts, call, answer."""

from collections.abc import Awaitable
from typing import Final

from smalt.dispatch.answer_headers import answer_headers, request_headers
from smalt.dispatch.connections import Response
from smalt.dispatch.degraded import stand_in
from smalt.dispatch.dispatcher import Circumstances, Dispatcher, OpenCall, new_id
from smalt.dispatch.relay import relay_bytes, relay_events
from smalt.dispatch.run import Answer, finish_whole, run_async
from smalt.dispatch.target import Timeouts
from smalt.dispatch.upstreams import Upstreams
from smalt.errors import InvalidGatewayKey, SmaltError
from smalt.gateway.brought import BROUGHT_HEADERS, Brought, as_the_callers, brings
from smalt.gateway.circumstances import CIRCUMSTANCE_HEADERS, circumstances
from smalt.gateway.content import plain
from smalt.gateway.exchange import Exchange, refuse
from smalt.gateway.forwarded import RefusedKeys
from smalt.gateway.guarding import Guards
from smalt.gateway.principals import KEY_HEADERS, GatewayKeys, Principal
from smalt.types import Facts
from smalt.wire.facts import read_facts

READ_HEADERS: Final = KEY_HEADERS | CIRCUMSTANCE_HEADERS | BROUGHT_HEADERS


class ModelCalls:
    """Handles every operation that goes to a model. Its method `handle` is the gateway's hot path."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        upstreams: Upstreams,
        keys: GatewayKeys,
        timeouts: Timeouts,
        brought: Brought,
        refused: RefusedKeys,
        guards: Guards | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._upstreams = upstreams
        self._keys = keys
        self._timeouts = timeouts
        self._brought = brought
        self._refused = refused
        self._guards = guards

    async def handle(self, exchange: Exchange) -> None:
        request_id = new_id()
        facts: Facts | None = None
        headers = [header for header in exchange.headers if header[0] in READ_HEADERS]
        upstreams, own = self._upstreams, brings(headers)
        try:
            principal = self._keys.principal(headers)
            if principal.slots is not None:
                exchange.occupy(principal.slots)
            told = circumstances(headers)
            body = plain(exchange.headers, exchange.body)
            if body is not exchange.body:
                exchange.hold(len(body))
            facts = read_facts(exchange.asked, body)
            if self._guards is not None:
                principal.require(facts.model)
                body = await self._guards.request(body)
            if own:
                call, upstreams = await self._brought.open(principal, facts, headers, request_id, told)
            else:
                call = self._open(principal, facts, request_id, told)

            def send(upstream: str, call: OpenCall) -> Awaitable[Answer[Response]]:
                return upstreams.send(upstream, call, body)

            answer = await run_async(call, send)
        except SmaltError as error:
            if isinstance(error, InvalidGatewayKey):
                self._refused.note(exchange)
            answered = None if own else stand_in(self._dispatcher, facts, error, request_id)
            if answered is not None:
                exchange.respond(*answered)
            else:
                refuse(exchange, as_the_callers(error) if own else error, request_headers(request_id))
            return
        try:
            await self._answer(exchange, call, answer)
        except BaseException:
            call.abandon()
            raise

    def _open(self, principal: Principal, facts: Facts, request_id: str, told: Circumstances) -> OpenCall:
        principal.require(facts.model)
        return self._dispatcher.open(
            self._dispatcher.profiles.added(facts),
            request_id,
            total_s=self._timeouts.total_s,
            caller=principal.alias,
            circumstances=told,
        )

    async def _answer(self, exchange: Exchange, call: OpenCall, answer: Answer[Response]) -> None:
        headers = answer_headers(call, answer)
        if answer.stream is None:
            finish_whole(call, answer)
            exchange.respond(answer.status, headers, answer.body)
            return
        exchange.start(answer.status, headers)
        idle_s = self._timeouts.stream_idle_s
        if answer.watched is not None:
            await relay_events(answer.stream, answer.watched, exchange, idle_s=idle_s)
        else:
            await relay_bytes(answer.stream, call, exchange, idle_s=idle_s)
