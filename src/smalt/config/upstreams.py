"""Deployments as the core sees them: what is written, completed by what is known of their models."""

from typing import TYPE_CHECKING

from smalt.core.settings import QuotaGroup, Throughput, UpstreamSpec
from smalt.wire.models import ModelData, model_data

if TYPE_CHECKING:
    from smalt.config.schema import Deployment, Resource, Settings

_PAID_BY_TOKEN = frozenset({"standard", "globalstandard", "datazonestandard"})


def upstreams(settings: "Settings") -> dict[str, UpstreamSpec]:
    """Every deployment by `resource/deployment`. ValueError if an endpoint is not usable."""
    specs = (
        _spec(resource_name, name, settings)
        for resource_name, resource in settings.resources.items()
        for name in resource.deployments
    )
    return {spec.name: spec for spec in specs}


def is_provisioned(sku: str | None) -> bool:
    """Whether a deployment type is paid by the hour."""
    return "provisioned" in (sku or "").lower()


def throughput(deployment: "Deployment") -> Throughput | None:
    """Of a provisioned deployment with all its PTUs; None if it is not known."""
    data = model_data(deployment.model)
    if data is None or data.throughput is None or deployment.ptu is None:
        return None
    unit = data.throughput
    return Throughput(unit.input_tpm * deployment.ptu, unit.output_weight, unit.cached_weight)


def _spec(resource_name: str, name: str, settings: "Settings") -> UpstreamSpec:
    resource = settings.resources[resource_name]
    deployment = resource.deployments[name]
    data = model_data(deployment.model)
    return UpstreamSpec(
        name=f"{resource_name}/{name}",
        model=deployment.model,
        region=resource.region,
        sku=deployment.sku,
        limit_tpm=deployment.limit_tpm or deployment.quota_tpm,
        limit_rpm=_limit_rpm(resource, deployment, data),
        throughput=throughput(deployment),
        group=QuotaGroup(deployment.quota, settings.quotas[deployment.quota]) if deployment.quota else None,
        weight=deployment.weight,
        context_tokens=data.context_tokens if data else None,
        abilities=data.abilities if data else None,
        address=f"{resource.base_url}/{name}",
    )


def _limit_rpm(resource: "Resource", deployment: "Deployment", data: ModelData | None) -> float | None:
    """As written, or else the requests that Azure grants with the tokens: by the whole quota, whatever our
    own limit. Source: Azure OpenAI, "Quotas and limits"."""
    if deployment.quota_rpm is not None:
        return deployment.quota_rpm
    ratio = data.rpm_per_1k_tpm if data else None
    by_token = resource.kind == "azure" and (deployment.sku or "").lower() in _PAID_BY_TOKEN
    if ratio is None or deployment.quota_tpm is None or not by_token:
        return None
    return float(ratio * deployment.quota_tpm / 1_000)
