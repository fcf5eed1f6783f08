"""Which deployment takes a request, or why none does: limits, capacity, spillover."""

from dataclasses import dataclass, replace

from smalt.emulator.answers import Answer, Call, Operation
from smalt.emulator.catalogue import REGIONS, model_of
from smalt.emulator.deployments import Deployment
from smalt.emulator.faults.strike import strike_again
from smalt.emulator.params import Body
from smalt.emulator.quota import Load, Quota, prompt_charge
from smalt.emulator.rates import FLEX_MODELS
from smalt.emulator.refusals import Canned, Refusal, invalid_request, named
from smalt.emulator.throttling import Asked, high_demand, limit_headers, no_flex, over_limit
from smalt.emulator.world import Resource, World

_SPILLED = {429, 500, 503}


@dataclass(frozen=True, slots=True)
class Served:
    """`headers`: beyond those of every answer. `spilled_from`: the deployment that was asked first."""

    answer: Answer
    deployment: Deployment
    headers: dict[str, str]
    spilled_from: str | None = None


def spills(canned: Canned) -> bool:
    """Whether an answer of a provisioned deployment is one that spillover is for."""
    error = canned.body.get("error", {}) if isinstance(canned.body, dict) else {}
    return canned.status in _SPILLED or error.get("code") == "context_length_exceeded"


class Serving:
    """One request on the deployments of a resource. `settle` is to be called when it has ended."""

    def __init__(
        self, world: World, resource: Resource, operation: Operation, version: str, body: Body
    ) -> None:
        self._world = world
        self._resource = resource
        self._operation = operation
        self._version = version
        self._body = body
        self._held: tuple[Quota, Load] | None = None

    def serve(self, deployment: Deployment, fault: Canned | None, spillover: str | None) -> Served:
        """Raises `Refusal`.

        `fault`: is answered in place of whatever else. `spillover`: the deployment the caller names for it;
        the one that is set up wins.
        """
        try:
            return self._attempt(deployment, fault)
        except Refusal as refusal:
            target = deployment.spillover or spillover
            if not deployment.provisioned or not target or not spills(refusal.canned):
                raise
            return self._spill(deployment, target, refusal.canned)

    def settle(self, used: Load) -> None:
        """Replace what the request was charged by what it used. Later calls do nothing."""
        if self._held:
            (quota, estimate), self._held = self._held, None
            quota.settle(estimate, used, self._world.clock.now())

    def _spill(self, full: Deployment, target: str, canned: Canned) -> Served:
        fault = strike_again(self._world, self._resource, self._operation.api, target)
        try:
            served = self._attempt(self._standard(target), fault)
        except Refusal as failure:
            headers = {**canned.headers, "x-ms-spillover-error": str(failure.canned.status)}
            raise Refusal(replace(canned, headers=headers)) from None
        headers = {**served.headers, "x-ms-spillover-from-deployment": full.name}
        return replace(served, headers=headers, spilled_from=full.name)

    def _standard(self, name: str) -> Deployment:
        deployment = self._resource.spec.deployments.get(name)
        if deployment is None:
            raise named("deployment_not_found")
        if deployment.provisioned:
            raise invalid_request(f"The spillover deployment {name} is not a standard deployment.")
        return deployment

    def _attempt(self, deployment: Deployment, fault: Canned | None) -> Served:
        try:
            served = self._take(deployment)
        except Refusal as refusal:
            self.settle(Load(refusal.input_tokens))
            if fault:
                raise Refusal(fault) from None
            raise
        if fault:
            billed = served.answer.input_tokens if fault.billed != "none" else 0
            self.settle(Load(billed))
            raise Refusal(fault, billed)
        return served

    def _take(self, deployment: Deployment) -> Served:
        """In Azure's order: operation, quota, capacity, body."""
        world, operation, body = self._world, self._operation, self._body
        model = model_of(deployment.model, deployment.version)
        if operation.api not in model.apis:
            text = f"The {operation.verb} operation does not work with the specified model, {model.name}. "
            raise named(
                "operation_not_supported", message=text + "Please choose different model and try again."
            )
        quota = self._resource.quotas[deployment.name]
        load = Load(prompt_charge(body.get(operation.prompt)), operation.max_output(body))
        verdict = quota.admit(load, world.clock.now())
        if verdict.refused:
            raise over_limit(verdict, self._asked(deployment), world.clock)
        self._held = quota, load
        limits = limit_headers(verdict, world.clock)
        self._check_capacity(deployment, limits)
        call = Call(
            model=replace(model, window=model.window_on(deployment.sku)),
            version=self._version,
            body=body,
            seed=world.seed,
            serial=next(world.serial),
            created_s=world.wall_s(),
            sku=deployment.sku,
            cache=self._resource.caches[deployment.name],
            store=self._resource.responses,
            rules=world.answers,
        )
        answer = operation.answer(call)
        return Served(answer, deployment, {"x-ms-deployment-name": deployment.name, **limits})

    def _check_capacity(self, deployment: Deployment, limits: dict[str, str]) -> None:
        world, switches = self._world, self._resource.switches
        if self._body.get("service_tier") == "flex":
            if deployment.model not in FLEX_MODELS or deployment.sku != "GlobalStandard":
                raise named("flex_unsupported")
            if switches.flex_full:
                raise no_flex(world.clock)
        if not deployment.provisioned and world.dice.random() < switches.pressure:
            raise high_demand(world.clock, limits)

    def _asked(self, deployment: Deployment) -> Asked:
        return Asked(
            deployment=deployment.name,
            model=deployment.model,
            region=REGIONS[self._resource.spec.region],
            operation=self._operation.azure_name,
            version=self._version,
        )
