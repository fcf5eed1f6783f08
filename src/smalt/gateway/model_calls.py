"""The way of a model call through the gateway: key, facts, call, answer."""

import uuid
from functools import lru_cache
from urllib.parse import quote

from smalt.dispatch.connections import Response
from smalt.dispatch.dispatcher import Dispatcher, OpenCall
from smalt.dispatch.relay import relay_bytes, relay_events
from smalt.dispatch.run import Answer, run_async
from smalt.dispatch.target import Timeouts
from smalt.dispatch.upstreams import Upstreams
from smalt.errors import SmaltError, UnsupportedOperation
from smalt.gateway.exchange import Exchange
from smalt.gateway.principals import GatewayKeys
from smalt.types import Usage
from smalt.wire import paths
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.facts import read_facts
from smalt.wire.prices import usd_text

# Azure's answer headers that callers may rely on; all others stay behind.
FORWARDED = (b"x-ms-", b"x-ratelimit-", b"retry-after", b"apim-request-id", b"x-request-id", b"openai-")
DESCRIBES_BODY = {b"content-type", b"content-encoding"}


class ModelCalls:
    """Handles every operation that goes to a model. Its method `handle` is the gateway's hot path."""

    def __init__(
        self, dispatcher: Dispatcher, upstreams: Upstreams, keys: GatewayKeys, timeouts: Timeouts
    ) -> None:
        self._dispatcher = dispatcher
        self._upstreams = upstreams
        self._keys = keys
        self._timeouts = timeouts

    async def handle(self, exchange: Exchange) -> None:
        request_id = str(uuid.uuid4())
        try:
            call = self._open(exchange, request_id)
            body = exchange.body

            async def send(upstream: str, call: OpenCall) -> Answer[Response]:
                return await self._upstreams.send(upstream, call, body)

            answer = await run_async(call, send)
        except SmaltError as error:
            headers = [*error_headers(error), (b"x-smalt-request-id", request_id.encode())]
            exchange.respond(error.http_status or 500, headers, error_body(error))
            return
        await self._answer(exchange, call, answer)

    def _open(self, exchange: Exchange, request_id: str) -> OpenCall:
        principal = self._keys.principal(exchange.headers)
        asked = paths.parse(exchange.raw_path)
        if asked is None:
            raise UnsupportedOperation(f"{exchange.raw_path} is no operation of this gateway")
        facts = read_facts(asked, exchange.body)
        principal.require(facts.model)
        return self._dispatcher.open(facts, request_id, total_s=self._timeouts.total_s)

    async def _answer(self, exchange: Exchange, call: OpenCall, answer: Answer[Response]) -> None:
        headers = self._headers(call, answer)
        if answer.stream is None:
            self._respond(exchange, call, answer, headers)
            return
        exchange.start(answer.status, headers)
        relay = relay_events if call.facts.stream else relay_bytes
        await relay(answer.stream, call, exchange, idle_s=self._timeouts.stream_idle_s)

    def _respond(
        self,
        exchange: Exchange,
        call: OpenCall,
        answer: Answer[Response],
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        if 200 <= answer.status < 300:
            usage = answer.usage or Usage(call.facts.prompt_tokens)
            cost_nusd = call.cost_nusd(usage)
            if cost_nusd is not None:
                headers.append((b"x-smalt-cost-usd", usd_text(cost_nusd).encode()))
            call.finish(usage, estimated=answer.usage is None)
        else:
            headers.append((b"x-should-retry", b"false"))
        exchange.respond(answer.status, headers, answer.body)

    def _headers(self, call: OpenCall, answer: Answer[Response]) -> list[tuple[bytes, bytes]]:
        headers = [
            (name, value)
            for name, value in answer.headers
            if name in DESCRIBES_BODY or name.startswith(FORWARDED)
        ]
        headers.append((b"x-smalt-request-id", call.request_id.encode()))
        headers.append((b"x-smalt-attempts", str(len(call.attempts)).encode()))
        if call.upstream is not None:
            headers.append((b"x-smalt-upstream", _header_value(call.upstream.name)))
            if call.upstream.region:
                headers.append((b"x-smalt-region", _header_value(call.upstream.region)))
        if answer.rewrites:
            headers.append((b"x-smalt-rewrites", ",".join(answer.rewrites).encode()))
        return headers


@lru_cache(maxsize=1_000)
def _header_value(name: str) -> bytes:
    """A name as it may stand in a header: deployments can be called anything, line breaks included."""
    return quote(name, safe="/-._~ :+@").encode()
