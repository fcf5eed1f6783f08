"""One resource's answers: who may ask, what it costs, what is said, what is recorded."""

import asyncio
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from smalt.emulator import chat, embeddings
from smalt.emulator.answers import Answer, Call
from smalt.emulator.bill import Line
from smalt.emulator.catalogue import MODELS, REGIONS, listing
from smalt.emulator.log import Entry
from smalt.emulator.params import Body, require
from smalt.emulator.quota import Verdict, charge
from smalt.emulator.refusals import JSON, Canned, Refusal, catalogue, invalid_request, named
from smalt.emulator.routes import find, key_name
from smalt.emulator.server import Reply, Request
from smalt.emulator.world import Resource, World

OPERATIONS = {"chat/completions": chat.OPERATION, "embeddings": embeddings.OPERATION}


class DataPlane:
    """The handler of a resource's port."""

    def __init__(self, world: World, resource: Resource) -> None:
        self._world = world
        self._resource = resource

    async def __call__(self, request: Request, reply: Reply) -> None:
        entry = self._world.log.open(self._resource.spec.name, request, self._world.now())
        with self._resource.busy():
            try:
                await _Exchange(self._world, self._resource, request, reply, entry).run()
                entry.outcome = "cut" if reply.was_cut else "answered"
            except asyncio.CancelledError:
                entry.outcome = "cut" if reply.was_cut else "cancelled"
                raise
            finally:
                entry.finished_s = self._world.now()


class _Exchange:
    """One request on its way. What it costs is billed before its last byte is written, never twice."""

    def __init__(
        self, world: World, resource: Resource, request: Request, reply: Reply, entry: Entry
    ) -> None:
        self._world = world
        self._resource = resource
        self._request = request
        self._reply = reply
        self._entry = entry
        apim_id = str(uuid.uuid4())
        self._client_id = request.header("x-ms-client-request-id") or apim_id
        self._headers = {
            "apim-request-id": apim_id,
            "x-request-id": str(uuid.uuid4()),
            "x-ms-region": REGIONS[resource.spec.region],
        }

    async def run(self) -> None:
        mode, error = self._resource.take_mode()
        if mode == "hang":
            await asyncio.get_running_loop().create_future()
        try:
            if error:
                raise Refusal(catalogue()[error])
            answer = self._answer()
        except Refusal as refusal:
            await self._pause(self._resource.switches.latency_ms)
            self._refuse(refusal.canned)
            return
        await self._pause(self._resource.switches.latency_ms)
        headers = {**self._headers, "x-ms-client-request-id": self._client_id}
        if answer.body is None:
            await self._stream(answer, headers)
        else:
            self._bill(answer.input_tokens, answer.output_tokens, complete=True)
            self._head(200)
            self._reply.send(200, {**JSON, **headers}, msgspec.json.encode(answer.body))

    def _answer(self) -> Answer:
        """In Azure's order: key, path and version, deployment, quota, body. Raises `Refusal`."""
        entry, spec = self._entry, self._resource.spec
        self._key = key_name(self._request, spec.keys)
        route = find(self._request)
        entry.operation = route.operation
        if route.operation == "models":
            return Answer(0, 0, body=listing())
        body = self._body() if route.deployment is None else {}
        entry.deployment = _wanted(body) if route.deployment is None else route.deployment
        deployment = spec.deployments.get(entry.deployment)
        if deployment is None:
            raise named("deployment_not_found")
        model, operation = MODELS[deployment.model], OPERATIONS[route.operation]
        body = body or self._body()
        if operation.kind != model.kind:
            text = f"The {operation.verb} operation does not work with the specified model, {model.name}. "
            raise named(
                "operation_not_supported", message=text + "Please choose different model and try again."
            )
        tokens = charge(body.get(operation.prompt), operation.max_output(body))
        verdict = self._resource.windows[deployment.name].admit(tokens, self._world.now())
        limits = _limit_headers(verdict)
        if not verdict.admitted:
            raise _over_quota(verdict, operation.azure_name, route.version, limits)
        self._headers |= {"x-ms-deployment-name": deployment.name, **limits}
        call = Call(
            model=model,
            version=route.version,
            body=body,
            seed=self._world.seed,
            serial=next(self._world.serial),
            created_s=int(datetime.now(UTC).timestamp()),
        )
        return operation.answer(call)

    def _body(self) -> Body:
        media = (self._request.header("content-type") or "application/json").partition(";")[0]
        if media.strip().lower() != "application/json":
            raise named("unsupported_media_type")
        try:
            body = msgspec.json.decode(self._request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise invalid_request(
                "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
                "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was "
                "not valid JSON.)"
            )
        return body

    async def _stream(self, answer: Answer, headers: Mapping[str, str]) -> None:
        self._head(200, streaming=True)
        self._reply.start(200, {"content-type": "text/event-stream; charset=utf-8", **headers})
        sent, complete = 0, False
        try:
            for event in answer.events:
                self._reply.write(event.data)
                self._entry.chunks += 1
                sent += event.tokens
                await self._reply.drained()
                await self._pause(self._resource.switches.token_ms)
            complete = True
        finally:
            self._bill(answer.input_tokens, sent, complete=complete)
        self._entry.chunks += 1
        self._reply.end(answer.end)

    def _refuse(self, canned: Canned) -> None:
        """Send a ready-made answer with ids of its own where it has any."""
        headers = {name: self._headers.get(name, value) for name, value in canned.headers.items()}
        if "apim-request-id" in headers:
            headers["x-ms-client-request-id"] = self._client_id
        self._head(canned.status)
        if canned.stream is None:
            self._reply.send(canned.status, headers, canned.payload)
            return
        self._reply.start(canned.status, headers)
        if canned.cut:
            self._reply.write(canned.payload)
            self._reply.cut()
        else:
            self._reply.end(canned.payload)

    def _head(self, status: int, *, streaming: bool = False) -> None:
        self._entry.status = status
        self._entry.head_s = self._world.now()
        if streaming:
            self._entry.outcome = "streaming"

    def _bill(self, input_tokens: int, output_tokens: int, *, complete: bool) -> None:
        entry, spec = self._entry, self._resource.spec
        if entry.deployment is None:
            return
        entry.input_tokens, entry.output_tokens = input_tokens, output_tokens
        self._world.bill.add(
            Line(
                resource=spec.name,
                deployment=entry.deployment,
                model=spec.deployments[entry.deployment].model,
                key=self._key,
                client_request_id=self._client_id,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                complete=complete,
            )
        )

    async def _pause(self, delay_ms: float) -> None:
        await asyncio.sleep(delay_ms / 1_000)  # 0 too: it is here that a caller's hang-up takes effect


def _wanted(body: Body) -> str:
    """The deployment a body of the v1 surface names."""
    name = require(body, "model")
    return name if isinstance(name, str) else ""


def _limit_headers(verdict: Verdict) -> dict[str, str]:
    return {
        "x-ratelimit-limit-tokens": str(verdict.limit),
        "x-ratelimit-remaining-tokens": str(verdict.remaining),
        "x-ratelimit-reset-tokens": str(math.ceil(verdict.reset_s)),
    }


def _over_quota(verdict: Verdict, operation: str, version: str, limits: Mapping[str, str]) -> Refusal:
    wait_s = math.ceil(verdict.retry_s)
    waits: dict[str, Any] = {
        "retry-after": str(wait_s),
        "retry-after-ms": str(math.ceil(verdict.retry_s * 1_000)),
    }
    return named(
        "rate_limit_tokens_classic",
        headers={**limits, **waits},
        message=f"Requests to the {operation} Operation under Azure OpenAI API version {version} have "
        "exceeded token rate limit of your current OpenAI S0 pricing tier. "
        f"Please retry after {wait_s} seconds.",
    )
