"""One resource's answers: who may ask, what it costs, what is said, what is recorded."""

import asyncio
import functools
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import parse_qsl

import msgspec

from smalt.emulator.answers import Answer
from smalt.emulator.bill import Line
from smalt.emulator.catalogue import REGIONS, listed, listing, model_of
from smalt.emulator.clock import wall_s
from smalt.emulator.deployments import Deployment
from smalt.emulator.faults.filters import AsyncFilter
from smalt.emulator.faults.layers import CODING, Scene, layered
from smalt.emulator.faults.strike import greet, strike
from smalt.emulator.identity.access import Gate
from smalt.emulator.log import Entry
from smalt.emulator.operations import OPERATIONS
from smalt.emulator.params import Body, require
from smalt.emulator.quota import Load, prompt_chars
from smalt.emulator.refusals import Billed, Canned, Refusal, invalid_request, named
from smalt.emulator.relay import RELAYED
from smalt.emulator.responses import desk
from smalt.emulator.responses.store import Job
from smalt.emulator.routes import Route, find
from smalt.emulator.sending import Bill, Sender
from smalt.emulator.server import Reply, Request, Welcome
from smalt.emulator.serving import Served, Serving, spills
from smalt.emulator.steps import Data, Pace, Steps, Wait, of_answer, of_canned
from smalt.emulator.world import Resource, World


class DataPlane:
    """The handler of a resource's port."""

    def __init__(self, world: World, resource: Resource) -> None:
        self._world = world
        self._resource = resource

    def greet(self, request: Request, reused: bool) -> Welcome:  # noqa: FBT001  # the listener's call
        """How a request is treated before it is read; `reused`: its connection has served others."""
        return greet(self._world, self._resource, request, reused=reused)

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
        self._book = world.bill
        self._deployment: Deployment | None = None
        self._serving: Serving | None = None
        self._served: Served | None = None
        self._used = Load()
        self._prompt_chars = 0
        self._body: Body = {}
        apim_id = str(uuid.uuid4())
        self._client_id = request.header("x-ms-client-request-id") or apim_id
        self._headers = {
            "apim-request-id": apim_id,
            "x-request-id": str(uuid.uuid4()),
            "x-ms-region": REGIONS[resource.spec.region],
        }

    async def run(self) -> None:
        struck = strike(self._world, self._resource, self._request)
        layers, opened = list(struck.layers), AsyncExitStack()
        try:
            try:
                answer = await self._relayed(self._answer(struck.failure), opened)
            except Refusal as refusal:
                layers = [layer for layer in layers if layer.DEPTH >= CODING]
                steps, bill = self._refused(refusal)
            else:
                steps, bill = self._answered(answer)
                if self._filtered_late(answer):
                    layers.append(AsyncFilter())
            await Sender(self._world, self._reply, self._entry, bill).send(
                layered(steps, layers, self._scene())
            )
        finally:
            if self._serving:
                self._serving.settle(self._used)
            await opened.aclose()

    def _answered(self, answer: Answer) -> tuple[Steps, Bill]:
        headers = {**self._headers, "x-ms-client-request-id": self._client_id}
        headers |= self._served.headers if self._served else {}
        if answer.job:
            shown, bill = self._detached(answer, answer.job), _unbilled
            return of_answer(shown, headers, self._pace), bill
        return of_answer(answer, headers, self._pace), functools.partial(self._bill, answer)

    def _detached(self, answer: Answer, job: Job) -> Answer:
        """What the caller sees of a response that is generated, billed and settled without it."""
        serving, self._serving = self._serving, None
        assert serving  # noqa: S101  # narrows the type
        job.task = self._world.background.start(self._generate(answer, job, serving))
        return Answer(0, 0, body=answer.body, events=desk.follow(job), paced=True)

    async def _generate(self, answer: Answer, job: Job, serving: Serving) -> None:
        said = 0
        billed: Billed = "partial"
        try:
            for step in of_answer(replace(answer, body=None), {}, self._pace):
                match step:
                    case Wait(ms):
                        await asyncio.sleep(self._world.clock.outside_s(ms / 1_000))
                    case Data(data, tokens):
                        job.push(data)
                        said += tokens
            billed = "full"
        finally:
            self._bill(answer, said, billed)
            serving.settle(self._used)
            job.end()

    @property
    def _pace(self) -> Pace:
        switches = self._resource.switches
        return Pace(switches.latency_ms, switches.first_token_ms, switches.token_ms)

    def _refused(self, refusal: Refusal) -> tuple[Steps, Bill]:
        """A ready-made answer, with ids of its own where it has any."""
        canned = refusal.canned
        headers = {name: self._headers.get(name, value) for name, value in canned.headers.items()}
        if "apim-request-id" in headers:
            headers["x-ms-client-request-id"] = self._client_id

        def bill(_tokens: int, _billed: Billed) -> None:
            if canned.billed != "none" and refusal.input_tokens:
                told = Answer(*canned.usage(refusal.input_tokens))
                self._bill(told, told.output_tokens, canned.billed)

        return of_canned(canned, headers, latency_ms=self._resource.switches.latency_ms), bill

    def _filtered_late(self, answer: Answer) -> bool:
        is_async = self._deployment is not None and self._deployment.content_filter == "async"
        return is_async and answer.body is None and self._entry.operation in AsyncFilter.OF

    def _scene(self) -> Scene:
        return Scene(
            resource=self._resource.spec.name,
            operation=self._entry.operation or "",
            target=self._request.target,
            urls=self._world.urls,
            prompt_chars=self._prompt_chars,
        )

    def _answer(self, fault: Canned | None) -> Answer:
        """Raises `Refusal`. A fault comes before all else.

        One that is billed, or that spillover is for, still needs to know which deployment it befalls.
        """
        if fault and fault.billed == "none" and not spills(fault):
            raise Refusal(fault)
        try:
            route, body = self._find()
        except Refusal:
            if fault:
                raise Refusal(fault) from None
            raise
        if self._deployment is None:
            if fault:
                raise Refusal(fault)
            return self._resource_wide(route)
        operation, self._body = OPERATIONS[route.operation], body
        self._prompt_chars = prompt_chars(body.get(operation.prompt))
        self._serving = Serving(self._world, self._resource, operation, route.version, body)
        spillover = self._request.header("x-ms-spillover-deployment")
        self._served = self._serving.serve(self._deployment, fault, spillover)
        self._deployment = self._served.deployment
        self._entry.deployment = self._deployment.name
        return self._served.answer

    async def _relayed(self, answer: Answer, opened: AsyncExitStack) -> Answer:
        """The answer in the words of another server, if there is one. `opened`: to be closed after."""
        relay, operation, deployment = self._world.relay, self._entry.operation, self._deployment
        if relay is None or deployment is None or operation not in RELAYED:
            return answer
        model = model_of(deployment.model, deployment.version)
        return await relay.answer(operation, self._body, answer, model, opened)

    def _resource_wide(self, route: Route) -> Answer:
        """What no deployment is needed for. Raises `Refusal`."""
        if route.operation != "models":
            query = dict(parse_qsl(self._request.query))
            action = route.operation.partition("/")[2]
            return desk.answer(action, route.id, query, self._resource.responses)
        body = listed(route.id) if route.id else listing()
        if body is None:
            text = f"The model `{route.id}` does not exist or you do not have access to it."
            raise named("model_not_found_v1", message=text)
        return Answer(0, 0, body=body)

    def _find(self) -> tuple[Route, Body]:
        """In Azure's order: key, path and version, deployment, body. Raises `Refusal`."""
        entry, resource, now = self._entry, self._resource, wall_s()
        gate, keys = Gate(self._world.directory, resource.spec.arm_id), resource.keys
        caller = gate.authenticate(self._request, None if resource.switches.disable_local_auth else keys, now)
        self._key = caller.name
        route = find(self._request)
        gate.authorize(caller, route.operation, now)
        entry.operation = route.operation
        if not route.on_deployment:
            return route, {}
        body = self._read_body() if route.deployment is None else {}
        entry.deployment = _wanted(body) if route.deployment is None else route.deployment
        self._deployment = resource.spec.deployments.get(entry.deployment)
        if self._deployment is None:
            raise named("deployment_not_found")
        return route, body or self._read_body()

    def _read_body(self) -> Body:
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

    def _bill(self, answer: Answer, output_tokens: int, billed: Billed) -> None:
        """`output_tokens`: those that were generated until the answer ended."""
        entry, deployment = self._entry, self._deployment
        if deployment is None:
            return
        entry.input_tokens, entry.output_tokens = answer.input_tokens, output_tokens
        self._used = Load(answer.input_tokens, output_tokens, answer.cached_tokens)
        self._book.add(
            Line(
                resource=self._resource.spec.name,
                deployment=deployment.name,
                model=deployment.model,
                key=self._key,
                client_request_id=self._client_id,
                input_tokens=answer.input_tokens,
                output_tokens=output_tokens,
                complete=billed in {"full", "prompt"},
                cached_tokens=answer.cached_tokens,
                reasoning_tokens=min(answer.reasoning_tokens, output_tokens),
                filtered=billed == "prompt",
                provisioned=deployment.provisioned,
                spilled_from=self._served.spilled_from if self._served else None,
            )
        )


def _unbilled(_tokens: int, _billed: Billed) -> None:
    """Somebody else does."""


def _wanted(body: Body) -> str:
    """The deployment a body of the v1 surface names."""
    name = require(body, "model")
    return name if isinstance(name, str) else ""
