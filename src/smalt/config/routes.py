"""Which upstreams serve a name that callers may ask for, and which of them residency shuts out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from smalt.config.upstreams import is_provisioned
from smalt.core.residency import why_outside
from smalt.core.routes import AZURE_PREFIX
from smalt.core.settings import PoolSpec, UpstreamSpec
from smalt.types import AGENT_PREFIX

if TYPE_CHECKING:
    from smalt.config.schema import Settings

Tiers = tuple[tuple[str, ...], ...]
Upstreams = Mapping[str, UpstreamSpec]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one name is served.

    `model`: the name, or the model of an agent. `pools`: by model, its own first, then those of its
    fallbacks; residency may have left any of them empty. `excluded`: why, by upstream.
    """

    model: str
    pools: Mapping[str, PoolSpec]
    needs: frozenset[str] = frozenset()
    excluded: Mapping[str, str] = field(default_factory=dict)

    @property
    def upstreams(self) -> tuple[str, ...]:
        return tuple(name for pool in self.pools.values() for tier in pool.tiers for name in tier)


def plans(settings: "Settings", upstreams: Upstreams) -> dict[str, Plan]:
    """By model, pattern, `azure/<deployment>` and `agent/<name>`, of settings that name nothing unknown."""
    pools = _pools(settings, upstreams)
    found = {name: _plan(name, pools, settings, upstreams) for name in pools}
    for name, agent in settings.agents.items():
        plan = found[agent.model]
        if agent.fallbacks:
            plan = _plan(agent.model, pools, settings, upstreams, agent.fallbacks)
        found[AGENT_PREFIX + name] = replace(plan, needs=frozenset(agent.needs))
    return found


def is_pattern(name: str) -> bool:
    return "*" in name


def with_fallbacks(model: str, settings: "Settings", own: Sequence[str] = ()) -> tuple[str, ...]:
    """The model, then its fallbacks with theirs: depth first, each once. `own`: before those of the model."""
    found = {model: None}
    ahead = [*_fallbacks(model, settings)[::-1], *own[::-1]]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = None
            ahead.extend(_fallbacks(name, settings)[::-1])
    return tuple(found)


def _fallbacks(model: str, settings: "Settings") -> Sequence[str]:
    written = settings.models.get(model)
    return written.fallbacks if written else ()


def why_excluded(spec: UpstreamSpec, asked: str, settings: "Settings") -> str | None:
    """Why residency keeps an upstream from serving the name `asked`, None if it may.

    The fence of that name counts, and that of the upstream's own model whatever name leads there.
    """
    for model in (asked, spec.model):
        written = settings.models.get(model)
        if written is not None and written.residency is not None:
            zone = written.residency
            if why := why_outside(spec, zone, settings.residency[zone]):
                return why
    return None


def _plan(
    name: str,
    pools: Mapping[str, PoolSpec],
    settings: "Settings",
    upstreams: Upstreams,
    own_fallbacks: Sequence[str] = (),
) -> Plan:
    models = with_fallbacks(name, settings, own_fallbacks)
    excluded = {
        upstream: why
        for model in models
        for tier in pools[model].tiers
        for upstream in tier
        if upstream in upstreams and (why := why_excluded(upstreams[upstream], name, settings))
    }
    fenced = {model: replace(pools[model], tiers=_without(excluded, pools[model].tiers)) for model in models}
    return Plan(name, fenced, excluded=excluded)


def _pools(settings: "Settings", upstreams: Upstreams) -> dict[str, PoolSpec]:
    """Of every model, pattern and `azure/<deployment>` by itself.

    Where no route is written it follows from the deployments: provisioned ones first, the rest share the
    load. Resources of kind `openai` serve only where a route names them.
    """
    served: dict[str, list[UpstreamSpec]] = defaultdict(list)
    for spec in upstreams.values():
        if settings.resources[spec.resource].kind == "azure":
            served[spec.model].append(spec)
            served[AZURE_PREFIX + spec.deployment].append(spec)
    pools = {name: PoolSpec(_by_sku(specs)) for name, specs in served.items()}
    for model, written in settings.models.items():
        if is_pattern(model):
            tiers: Tiers = tuple(tuple(dict.fromkeys(tier)) for tier in written.route)
        elif written.route:
            tiers = _as_written(written.route, model, upstreams)
        else:
            tiers = pools[model].tiers
        pools[model] = PoolSpec(tiers, written.strategy)
    return pools


def _by_sku(specs: Iterable[UpstreamSpec]) -> Tiers:
    tiers: tuple[list[str], list[str]] = ([], [])
    for spec in specs:
        tiers[not is_provisioned(spec.sku)].append(spec.name)
    return tuple(tuple(tier) for tier in tiers if tier)


def _as_written(route: Tiers, model: str, upstreams: Upstreams) -> Tiers:
    """Resource names become their upstreams; who stands in an earlier tier is left out of later ones."""
    tiers: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for pool in route:
        names = [
            name
            for reference in pool
            for name, spec in upstreams.items()
            if reference in (name, spec.resource) and spec.model == model
        ]
        tiers.append(tuple(name for name in dict.fromkeys(names) if name not in seen))
        seen.update(names)
    return tuple(tier for tier in tiers if tier)


def _without(excluded: Iterable[str], tiers: Tiers) -> Tiers:
    kept = (tuple(name for name in tier if name not in excluded) for tier in tiers)
    return tuple(tier for tier in kept if tier)
