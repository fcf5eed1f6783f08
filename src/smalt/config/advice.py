"""What works but should be mended."""

from collections.abc import Iterator, Sequence

from pydantic import SecretStr

from smalt.config.endpoint import is_private_link
from smalt.config.freeze import DEFAULT_RESOURCE, has_residency
from smalt.config.network import proxy_for
from smalt.config.references import reference
from smalt.config.schema import Deployment, Settings
from smalt.config.upstreams import is_provisioned, throughput
from smalt.wire.defaults import refuses
from smalt.wire.models import model_data


def warnings(settings: Settings) -> tuple[str, ...]:
    """One line each, of checked settings. Raises ConfigurationError for a proxy of the environment that
    cannot be used."""
    return tuple(_warnings(settings))


def _warnings(settings: Settings) -> Iterator[str]:
    for name, resource in settings.resources.items():
        if is_private_link(resource.endpoint):
            yield (
                f"resources.{name}.endpoint: a privatelink host matches no TLS certificate; "
                f"{resource.base_url} is used, which DNS resolves to the private address"
            )
        if resource.base_url.startswith("http:") and proxy_for(settings.network, resource.base_url):
            yield f"resources.{name}.endpoint: http by a proxy, which reads the key and all that is said"
        if resource.identity is not None and resource.api_keys and not _in_vault(resource.api_keys):
            yield f"resources.{name}.identity: api_keys are there, too, and are used; remove one of the two"
        for deployment_name, deployment in resource.deployments.items():
            if is_provisioned(deployment.sku) and throughput(deployment) is None:
                yield f"resources.{name}.deployments.{deployment_name}: {_not_followed(deployment)}"
    yield from _of_defaults(settings)
    if DEFAULT_RESOURCE in settings.resources and has_residency(settings):
        yield (
            f"resources.{DEFAULT_RESOURCE}: only its listed deployments are served, because of the residency "
            "of a model"
        )


def _in_vault(keys: Sequence[SecretStr]) -> bool:
    """Whether an identity may be there to read them."""
    named = [reference(key.get_secret_value()) for key in keys]
    return any(one is not None and one.kind == "vault" for one in named)


def _of_defaults(settings: Settings) -> Iterator[str]:
    """Those that would never be sent to the model they are written for."""
    written = [
        (f"models.{model}.defaults", model, served.defaults) for model, served in settings.models.items()
    ]
    written += [(f"agents.{name}", agent.model, agent) for name, agent in settings.agents.items()]
    for path, model, parameters in written:
        for name in parameters.given:
            if refuses(model_data(model), name):
                yield f"{path}.{name}: {model} does not take it; it is left out where that model answers"


def _not_followed(deployment: Deployment) -> str:
    lacking = (
        "ptu is not set" if deployment.ptu is None else f"the throughput of {deployment.model} is not known"
    )
    return f"its utilization cannot be followed, since {lacking}; calls spill over when Azure refuses them"
