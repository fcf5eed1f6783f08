"""Whether everything that can be asked for leads to upstreams: routes, fallbacks, residency, agents."""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from smalt.config.document import Finding, KeyPath, meant
from smalt.config.routes import Plan, is_pattern, plans
from smalt.config.schema import ModelSettings, Parameters, Settings
from smalt.config.upstreams import upstreams
from smalt.core.routes import AZURE_PREFIX, matches
from smalt.core.settings import UpstreamSpec
from smalt.types import AGENT_PREFIX
from smalt.wire.models import model_table


def of_routes(settings: Settings) -> Iterator[Finding]:
    """What is wrong with names, each by itself."""
    known = _known_models(settings)
    for model, served in settings.models.items():
        yield from (_of_pattern if is_pattern(model) else _of_model)(model, served, settings)
        for index, fallback in enumerate(served.fallbacks):
            if fallback not in known:
                yield _unknown(("models", model, "fallbacks", index), fallback, known, settings)
    for chain in _cycles({model: served.fallbacks for model, served in settings.models.items()}):
        yield Finding(("models", chain[0], "fallbacks"), f"{' -> '.join(chain)} leads back to the start")
    yield from _of_zones(settings)
    for name, agent in settings.agents.items():
        if not agent.model:
            yield Finding(("agents", name, "model"), "model is required: the name of the model it uses")
        elif agent.model not in known:
            yield _unknown(("agents", name, "model"), agent.model, known, settings)
        for index, fallback in enumerate(agent.fallbacks):
            if fallback not in known:
                yield _unknown(("agents", name, "fallbacks", index), fallback, known, settings)


def of_unserved(settings: Settings) -> Iterator[Finding]:
    """Names that nothing can serve, of settings that are right otherwise."""
    specs = upstreams(settings)
    for name, plan in plans(settings, specs).items():
        if name.startswith(AGENT_PREFIX):
            yield from _of_needs(name.removeprefix(AGENT_PREFIX), plan, specs)
        elif not plan.upstreams and name in settings.models:
            why = ", ".join(f"{upstream} ({reason})" for upstream, reason in plan.excluded.items())
            key = "route" if is_pattern(name) else "residency"
            yield Finding(("models", name, key), f"residency leaves no upstream: {why}")


def _of_needs(agent: str, plan: Plan, specs: dict[str, UpstreamSpec]) -> Iterator[Finding]:
    abilities = [specs[upstream].abilities for upstream in plan.upstreams]
    if abilities and not any(known is None or plan.needs <= known for known in abilities):
        what = ", ".join(sorted(plan.needs))
        yield Finding(("agents", agent, "needs"), f"no upstream of {plan.model} can do all of this: {what}")


def _of_model(model: str, served: ModelSettings, settings: Settings) -> Iterator[Finding]:
    path: KeyPath = ("models", model)
    if not served.route and model not in _deployed_models(settings):
        deployed = _deployed_models(settings)
        yield Finding((*path, "route"), f"no deployment serves this model{meant(model, deployed)}")
    for index, pool in enumerate(served.route):
        for reference in pool:
            if fault := _fault_of_reference(reference, model, settings):
                yield Finding((*path, "route", index), fault)
    if served.residency is not None and served.residency not in settings.residency:
        zone, zones = served.residency, settings.residency
        hint = meant(zone, zones) or "; list its regions under residency"
        yield Finding((*path, "residency"), f"no residency zone is named '{zone}'{hint}")


def _of_pattern(pattern: str, served: ModelSettings, settings: Settings) -> Iterator[Finding]:
    path: KeyPath = ("models", pattern)
    if pattern.startswith((AZURE_PREFIX, AGENT_PREFIX)):
        yield Finding(path, f"patterns are not tried for names with {AZURE_PREFIX} or {AGENT_PREFIX}")
    if not served.route:
        yield Finding((*path, "route"), "a pattern needs a route: resources, or upstreams")
    for key in ("fallbacks", "residency"):
        if getattr(served, key):
            yield Finding((*path, key), "not for patterns; name the models themselves")
    if served.defaults != Parameters():
        yield Finding((*path, "defaults"), "not for patterns; name the models themselves")
    fenced = [name for name, other in settings.models.items() if other.residency and matches(pattern, name)]
    for index, pool in enumerate(served.route):
        for reference in pool:
            if fault := _fault_of_reference(reference, None, settings):
                yield Finding((*path, "route", index), fault)
            elif fenced and "/" not in reference:
                yield Finding(
                    (*path, "route", index),
                    f"may lead to a deployment of {fenced[0]} that is not listed, past its residency; "
                    "name upstreams, or choose a narrower pattern",
                )


def _fault_of_reference(reference: str, model: str | None, settings: Settings) -> str | None:
    """What is wrong with `resource/deployment` or `resource` in a route; of a pattern without a model."""
    resource_name, slash, deployment_name = reference.partition("/")
    resource = settings.resources.get(resource_name)
    if resource is None:
        return f"no resource is named '{resource_name}'{meant(resource_name, settings.resources)}"
    if not slash:
        if model is None or any(d.model == model for d in resource.deployments.values()):
            return None
        return f"resource {resource_name} has no deployment of {model}"
    deployment = resource.deployments.get(deployment_name)
    if deployment is None:
        suggestion = meant(deployment_name, resource.deployments)
        return f"resource {resource_name} has no deployment '{deployment_name}'{suggestion}"
    if model is not None and deployment.model != model:
        return f"{reference} serves {deployment.model}, not {model}"
    return None


def _of_zones(settings: Settings) -> Iterator[Finding]:
    """Deployments of a data zone are judged by the zone's name, so that must be true of its regions."""
    table = model_table()
    for zone, regions in settings.residency.items():
        for index, region in enumerate(regions):
            other = table.zone_of(region)
            if zone.lower() in table.zones and other not in (None, zone.lower()):
                yield Finding(("residency", zone, index), f"{region} lies in Azure's data zone {other}")


def _cycles(fallbacks: dict[str, tuple[str, ...]]) -> Iterator[list[str]]:
    """Chains that lead back to their start, until none is left."""
    while True:
        try:
            TopologicalSorter(fallbacks).prepare()
        except CycleError as error:
            chain = error.args[1][::-1]
            yield chain
            fallbacks = {model: names for model, names in fallbacks.items() if model != chain[0]}
        else:
            return


def _known_models(settings: Settings) -> list[str]:
    """Those with a route of their own."""
    written = (model for model, served in settings.models.items() if served.route and not is_pattern(model))
    return list(dict.fromkeys([*_deployed_models(settings), *written]))


def _deployed_models(settings: Settings) -> list[str]:
    return [
        deployment.model
        for resource in settings.resources.values()
        if resource.kind == "azure"
        for deployment in resource.deployments.values()
    ]


def _unknown(path: KeyPath, name: str, known: Iterable[str], settings: Settings) -> Finding:
    """A model that nobody serves; perhaps a deployment was meant."""
    serves = [r.deployments[name].model for r in settings.resources.values() if name in r.deployments]
    hint = f"; the deployment {name} serves {serves[0]}" if serves else meant(name, known)
    return Finding(path, f"no model is named '{name}'{hint}")
