"""semantic-kernel over a fleet: kernels whose services are the agents of the settings.

    async with KernelManager.load("smalt.yaml") as manager:
        answer = await manager.kernel("narrator").invoke_prompt("Describe the cellar.")

Retries, prices and connections are the fleet's; here services are named, no more.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from smalt.client.agents import require_agent
from smalt.client.explain import raised
from smalt.client.fleet import Fleet
from smalt.config import Settings
from smalt.config.document import meant
from smalt.config.freeze import DEFAULT_RESOURCE, has_residency
from smalt.errors import ConfigurationError, MissingExtra
from smalt.types import AGENT_PREFIX, Operation
from smalt.wire.models import infer_model, model_data

if TYPE_CHECKING:
    from semantic_kernel import Kernel

# semantic-kernel reads AZURE_OPENAI_ENDPOINT and refuses one without TLS, although the client has its own.
UNUSED_ENDPOINT = "https://smalt.invalid"
PROBE = "Answer with one word."


class Service(NamedTuple):
    """One service of a kernel. `model`: what it asks the fleet for."""

    service_id: str
    model: str
    embeds: bool


class KernelManager:
    """Kernels over one fleet. For one event loop, in which `async with` or `aclose` ends it.

    `fleet`: a fleet, or settings to make one of. `embedding_model`: what the agents' embedding services ask
    for; None: the only embedding model that is deployed, if there is one. Raises ConfigurationError with
    every problem, and MissingExtra without semantic-kernel.

    What fails in a kernel is raised as semantic-kernel's own exceptions; `smalt.explain` says of them what
    happened, which of smalt's codes it has, and what to do.
    """

    def __init__(self, fleet: Fleet | Settings, *, embedding_model: str | None = None) -> None:
        self.fleet = fleet if isinstance(fleet, Fleet) else Fleet(fleet)
        self._embedding_model = embedding_model
        services(self.fleet.settings, embedding_model)
        self._classes = _semantic_kernel()
        self._client = self.fleet.async_azure_openai()

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        overlay: str | None = None,
        env: Mapping[str, str] | None = None,
        embedding_model: str | None = None,
    ) -> Self:
        """Settings are found as by `Fleet.load`."""
        return cls(Fleet.load(path, overlay=overlay, env=env), embedding_model=embedding_model)

    def kernel(self, agent: str | None = None) -> "Kernel":
        """A new kernel with a chat service for each agent, by its name, and an embedding service,
        `<name>-embedding`; an agent whose model embeds is an embedding service itself.

        `agent`: with the services of this one only, so that whatever names no service is its own. Raises
        ModelNotAvailableError if there is no such agent.
        """
        settings = self.fleet.settings
        if agent is not None:
            require_agent(agent, settings.agents)
        kernel: Kernel = self._classes.kernel()
        for service in services(settings, self._embedding_model, agent):
            service_class = self._classes.embedding if service.embeds else self._classes.chat
            kernel.add_service(
                service_class(
                    service_id=service.service_id,
                    deployment_name=service.model,
                    async_client=self._client,
                    endpoint=UNUSED_ENDPOINT,
                )
            )
        return kernel

    async def connect(self) -> None:
        """See that every agent is answered: a small request to each model asked for, billed as any other.

        Raises the SmaltError that tells what the first one met, such as NoUpstreamAvailable, Unauthorized or
        DeploymentNotFound, with the service's name in its notes.
        """
        asked = {service.model: service for service in services(self.fleet.settings, self._embedding_model)}
        for model, service in asked.items():
            try:
                if service.embeds:
                    await self._client.embeddings.create(model=model, input=PROBE)
                else:
                    await self._client.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": PROBE}]
                    )
            except self._classes.failure as error:
                failure = raised(error)
                failure.add_note(f"asked for by the service {service.service_id!r}")
                raise failure from error

    async def aclose(self) -> None:
        """Close the connections of every kernel made here."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def services(
    settings: Settings, embedding_model: str | None = None, agent: str | None = None
) -> list[Service]:
    """Of all agents, or of one. Raises ConfigurationError if they cannot be told."""
    if not settings.agents:
        raise ConfigurationError("no agents: name at least one under `agents` in the settings")
    model = _embedding_model(settings, embedding_model)
    chosen = [name for name in settings.agents if agent in {None, name}]
    return [service for name in chosen for service in _of_agent(name, settings, model)]


def _of_agent(name: str, settings: Settings, embedding_model: str | None) -> Iterator[Service]:
    embeds = settings.agents[name].model in _embedding_models(settings)
    yield Service(name, f"{AGENT_PREFIX}{name}", embeds=embeds)
    if embedding_model is not None and not embeds:
        yield Service(f"{name}-embedding", embedding_model, embeds=True)


def _embedding_model(settings: Settings, named: str | None) -> str | None:
    known = _embedding_models(settings)
    if named is not None:
        deployed = {model for model, _ in _deployed(settings)} | settings.models.keys()
        if named not in deployed and not _serves_any(settings):
            raise ConfigurationError(
                f"embedding_model: no deployment serves '{named}'{meant(named, deployed)}"
            )
        return named
    if len(known) > 1:
        raise ConfigurationError(f"several embedding models ({', '.join(known)}): choose by embedding_model=")
    return next(iter(known), None)


def _embedding_models(settings: Settings) -> list[str]:
    """Deployed models that are known to embed; by the deployment's name where the model's is one's own."""
    found = [
        model
        for model, deployment in _deployed(settings)
        for data in [model_data(model) or model_data(infer_model(deployment) or "")]
        if data is not None and Operation.EMBEDDINGS in data.apis
    ]
    return list(dict.fromkeys(found))


def _deployed(settings: Settings) -> Iterator[tuple[str, str]]:
    for resource in settings.resources.values():
        for name, deployment in resource.deployments.items():
            yield deployment.model, name


def _serves_any(settings: Settings) -> bool:
    """Whether there is a resource that lists no deployments, so that which it has is known by asking."""
    default = settings.resources.get(DEFAULT_RESOURCE)
    return default is not None and not default.deployments and not has_residency(settings)


class _Classes(NamedTuple):
    kernel: Any
    chat: Any
    embedding: Any
    failure: type[Exception]


def _semantic_kernel() -> _Classes:
    try:
        package = import_module("semantic_kernel")
    except ModuleNotFoundError as error:
        if error.name != "semantic_kernel":
            raise
        raise MissingExtra("KernelManager", package="semantic-kernel") from None
    of_azure = import_module("semantic_kernel.connectors.ai.open_ai")
    failure = import_module("openai").OpenAIError
    return _Classes(package.Kernel, of_azure.AzureChatCompletion, of_azure.AzureTextEmbedding, failure)
