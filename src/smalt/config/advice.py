"""What works but should be mended."""

from collections.abc import Iterator, Sequence

from pydantic import SecretStr

from smalt.config.document import LITERAL, Document, Finding, KeyPath
from smalt.config.endpoint import is_loopback, is_private_link
from smalt.config.freeze import DEFAULT_RESOURCE, has_residency
from smalt.config.network import proxy_for
from smalt.config.references import reference
from smalt.config.schema import Deployment, Parameters, Settings
from smalt.config.unreached import unreached
from smalt.config.upstreams import is_provisioned, throughput
from smalt.wire.defaults import refuses
from smalt.wire.models import model_data


def warnings(settings: Settings, document: Document | None = None) -> tuple[str, ...]:
    """One line each, of checked settings; with places where they were read from a document.
    Raises ConfigurationError for a proxy of the environment that cannot be used."""
    document = document or Document()
    found = [*_warnings(settings), *unreached(settings), *_of_literals(settings, document)]
    return tuple(str(document.problem(path, message)) for path, message, _ in found)


def _warnings(settings: Settings) -> Iterator[Finding]:
    for name, resource in settings.resources.items():
        path: KeyPath = ("resources", name)
        if is_private_link(resource.endpoint):
            yield Finding(
                (*path, "endpoint"),
                "a privatelink host matches no TLS certificate; "
                f"{resource.base_url} is used, which DNS resolves to the private address",
            )
        if resource.base_url.startswith("http:") and proxy_for(settings.network, resource.base_url):
            yield Finding((*path, "endpoint"), "http by a proxy, which reads the key and all that is said")
        if resource.identity is not None and resource.api_keys and not _in_vault(resource.api_keys):
            message = "api_keys are there, too, and are used; remove one of the two"
            yield Finding((*path, "identity"), message)
        for deployment_name, deployment in resource.deployments.items():
            if is_provisioned(deployment.sku) and throughput(deployment) is None:
                yield Finding((*path, "deployments", deployment_name), _not_followed(deployment))
    yield from _of_defaults(settings)
    if DEFAULT_RESOURCE in settings.resources and has_residency(settings):
        yield Finding(
            ("resources", DEFAULT_RESOURCE),
            "only its listed deployments are served, because of the residency of a model",
        )


def _in_vault(keys: Sequence[SecretStr]) -> bool:
    """Whether an identity may be there to read them."""
    named = [reference(key.get_secret_value()) for key in keys]
    return any(one is not None and one.kind == "vault" for one in named)


def _of_literals(settings: Settings, document: Document) -> Iterator[Finding]:
    """Secrets in the file itself; not those of this very machine, as the emulator's are."""
    here = {("resources", name) for name, r in settings.resources.items() if is_loopback(r.base_url)}
    for path in document.literals:
        if path[:2] not in here:
            yield Finding(path, LITERAL)


def _of_defaults(settings: Settings) -> Iterator[Finding]:
    """Those that would never be sent to the model they are written for."""
    written: list[tuple[KeyPath, str, Parameters]] = [
        (("models", model, "defaults"), model, served.defaults) for model, served in settings.models.items()
    ]
    written += [(("agents", name), agent.model, agent) for name, agent in settings.agents.items()]
    for path, model, parameters in written:
        for name in parameters.given:
            if refuses(model_data(model), name):
                message = f"{model} does not take it; it is left out where that model answers"
                yield Finding((*path, name), message)


def _not_followed(deployment: Deployment) -> str:
    lacking = (
        "ptu is not set" if deployment.ptu is None else f"the throughput of {deployment.model} is not known"
    )
    return f"its utilization cannot be followed, since {lacking}; calls spill over when Azure refuses them"
