"""Parts of checked settings that no call can reach: the rest works, but somebody meant something by them."""

from collections.abc import Iterator, Mapping, Sequence

from smalt.config.document import Finding, KeyPath, meant
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.routes import Plan, is_pattern, plans
from smalt.config.schema import Settings
from smalt.config.upstreams import upstreams
from smalt.core.routes import AZURE_PREFIX, matches
from smalt.core.settings import UpstreamSpec
from smalt.types import AGENT_PREFIX

Planned = Mapping[str, Plan]
Specs = Mapping[str, UpstreamSpec]


def unreached(settings: Settings) -> Iterator[Finding]:
    """One finding for each such part."""
    specs = upstreams(settings)
    planned = plans(settings, specs)
    for model, served in settings.models.items():
        path: KeyPath = ("models", model)
        own = {name: spec for name, spec in specs.items() if spec.model == model}
        yield from _of_route((*path, "route"), served.route, own)
        yield from _of_fallbacks((*path, "fallbacks"), served.fallbacks, model, planned[model])
    for name, agent in settings.agents.items():
        plan = planned[AGENT_PREFIX + name]
        path = ("agents", name, "fallbacks")
        yield from _of_fallbacks(path, agent.fallbacks, agent.model, plan)
        yield from _of_needs(path, agent.fallbacks, plan, specs)
    yield from _of_deployments(settings, planned, specs)
    yield from _of_names(settings)
    yield from _of_gateway_keys(settings, planned)


def _of_route(path: KeyPath, route: Sequence[Sequence[str]], own: Specs) -> Iterator[Finding]:
    """What stands in it twice. `own`: the upstreams of the model; none of a pattern."""
    seen: set[str] = set()
    for index, pool in enumerate(route):
        for reference in pool:
            names = {name for name, spec in own.items() if reference in (name, spec.resource)} or {reference}
            if names <= seen:
                message = f"{reference} has its place in this route already; the first one counts"
                yield Finding((*path, index), message)
            seen |= names


def _of_fallbacks(path: KeyPath, fallbacks: Sequence[str], model: str, plan: Plan) -> Iterator[Finding]:
    """Those that are tried already, and those whose upstreams residency shuts out."""
    for index, fallback in enumerate(fallbacks):
        pool = plan.pools[fallback]
        if fallback in (model, *fallbacks[:index]):
            yield Finding((*path, index), f"{fallback} is tried already, before it; remove it here")
        elif not pool.tiers:
            yield Finding((*path, index), f"residency leaves no upstream of {fallback} to {model}")


def _of_needs(path: KeyPath, fallbacks: Sequence[str], plan: Plan, specs: Specs) -> Iterator[Finding]:
    for index, fallback in enumerate(fallbacks):
        names = [name for tier in plan.pools[fallback].tiers for name in tier]
        abilities = [specs[name].abilities for name in names]
        if abilities and not any(known is None or plan.needs <= known for known in abilities):
            what = ", ".join(sorted(plan.needs))
            yield Finding(
                (*path, index), f"no upstream of {fallback} can do all that the agent needs: {what}"
            )


def _of_deployments(settings: Settings, planned: Planned, specs: Specs) -> Iterator[Finding]:
    used = {name for plan in planned.values() for name in (*plan.upstreams, *plan.excluded)}
    weighted = {
        name
        for plan in planned.values()
        for pool in plan.pools.values()
        if pool.strategy == "weighted"
        for tier in pool.tiers
        for name in tier
    }
    for name, spec in specs.items():
        path: KeyPath = ("resources", spec.resource, "deployments", spec.deployment)
        if not {name, spec.resource} & used:
            message = "no route names it, and a resource of kind openai serves only where one does"
            yield Finding(path, f"{message}: models.{spec.model}.route")
        elif spec.weight != 1 and not {name, spec.resource} & weighted:
            yield Finding(
                (*path, "weight"), "counts only under the strategy weighted, which no route of it has"
            )


def _of_names(settings: Settings) -> Iterator[Finding]:
    """Quotas and zones that nothing refers to."""
    quotas = {d.quota for resource in settings.resources.values() for d in resource.deployments.values()}
    for name in settings.quotas:
        if name not in quotas:
            yield Finding(("quotas", name), "no deployment shares this quota: name it there, as quota")
    zones = {model.residency for model in settings.models.values()}
    for name in settings.residency:
        if name not in zones:
            yield Finding(("residency", name), "no model stays in this zone: name it there, as residency")


def _of_gateway_keys(settings: Settings, planned: Planned) -> Iterator[Finding]:
    if DEFAULT_RESOURCE in settings.resources:  # any name may be a deployment there
        return
    patterns = [name for name in planned if is_pattern(name)]
    names = {*planned, *(name.removeprefix(AZURE_PREFIX) for name in planned)} - {*patterns}
    for index, key in enumerate(settings.gateway.keys):
        for position, model in enumerate(key.models):
            if model not in names and not any(matches(pattern, model) for pattern in patterns):
                path: KeyPath = ("gateway", "keys", index, "models", position)
                yield Finding(path, f"nothing is called '{model}' here{meant(model, names)}")
