"""From checked settings to what the engine decides by."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smalt.core.settings import EngineSettings, PoolSpec, RetrySpec, RouteSpec, UpstreamSpec
from smalt.wire.models import TokenPrice

if TYPE_CHECKING:
    from smalt.config.schema import Settings

DEFAULT_RESOURCE = "default"  # takes every `azure/<deployment>` that no configured deployment has
Tiers = tuple[tuple[str, ...], ...]


def freeze(settings: "Settings") -> EngineSettings:
    """Upstreams by `resource/deployment`; routes by model and by `azure/<deployment>`.

    A route that is not written follows from the deployments: provisioned ones first, the rest share the
    load. Resources of kind `openai` serve only where a route names them. `azure/<deployment>` without a
    configured deployment of that name is left to the resource named `default`, if there is one.
    """
    upstreams: dict[str, UpstreamSpec] = {}
    by_name: dict[str, dict[str, UpstreamSpec]] = {}
    for resource_name, resource in settings.resources.items():
        for name, deployment in resource.deployments.items():
            spec = UpstreamSpec(
                name=f"{resource_name}/{name}",
                model=deployment.model,
                region=resource.region,
                sku=deployment.sku,
                limit_tpm=deployment.limit_tpm or deployment.quota_tpm,
            )
            upstreams[spec.name] = spec
            if resource.kind == "azure":
                by_name.setdefault(deployment.model, {})[spec.name] = spec
                by_name.setdefault(f"azure/{name}", {})[spec.name] = spec
    routes = {name: RouteSpec(name, (PoolSpec(_by_sku(specs.values())),)) for name, specs in by_name.items()}
    for model, served in settings.models.items():
        if served.route:
            routes[model] = RouteSpec(model, (PoolSpec(_as_written(served.route, model, upstreams)),))
    retry = settings.retry
    return EngineSettings(
        upstreams,
        routes,
        retry=RetrySpec(retry.max_attempts, retry.base_s, retry.cap_s, retry.jitter_s, retry.after_timeout),
        default_resource=DEFAULT_RESOURCE if DEFAULT_RESOURCE in settings.resources else None,
    )


def own_prices(settings: "Settings") -> dict[str, TokenPrice]:
    """By model, of checked settings."""
    return {
        model: TokenPrice(price.input_usd, price.output_usd, price.cached_usd, price.cache_write_usd)
        for model, price in settings.prices.items()
        if price.input_usd is not None and price.output_usd is not None
    }


def _by_sku(specs: Iterable[UpstreamSpec]) -> Tiers:
    tiers: tuple[list[str], list[str]] = ([], [])
    for spec in specs:
        tiers["provisioned" not in (spec.sku or "").lower()].append(spec.name)
    return tuple(tuple(tier) for tier in tiers if tier)


def _as_written(route: Tiers, model: str, upstreams: dict[str, UpstreamSpec]) -> Tiers:
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
