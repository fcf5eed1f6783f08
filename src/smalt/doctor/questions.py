"""Requests to one deployment: those that Azure refuses for free, and one small real one.

A request without messages, input or prompt is refused by validation (400), which comes after all else was
looked at: the key, or the token and its role; the api-version; the deployment. So a 400 proves all of them;
nothing is generated, nothing billed. Source: Azure OpenAI REST reference (required parameters); what is
billed is what was answered with success ("Monitoring Azure OpenAI", metrics of tokens).
"""

from dataclasses import dataclass
from typing import Any

from smalt.config.schema import Resource
from smalt.types import Operation
from smalt.wire.models import ModelData, model_behind, model_data
from smalt.wire.paths import Surface, azure_surface, path_names_deployment, resource_path

ANSWER_TOKENS = 16  # the least that every model takes
_NOTHING: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: {"messages": []},
    Operation.RESPONSES: {"max_output_tokens": 1},  # too few, and no input
    Operation.COMPLETIONS: {"prompt": [], "max_tokens": -1},
    Operation.EMBEDDINGS: {"input": []},
}
QUESTION = "Answer with the one word: pong"


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment of a resource, and how it is asked. `api_version`: of the classic surface."""

    resource: Resource
    deployment: str
    model: str
    operation: Operation
    api_version: str

    @property
    def path(self) -> str:
        """With query."""
        api, base_path = self.resource.spoken_api, self.resource.base_path
        return resource_path(api, base_path, self.operation, self.deployment, self.api_version)

    @property
    def names_deployment(self) -> bool:
        """Whether the path does; else the body."""
        classic = self.resource.kind == "azure" and not self.resource.on_v1
        surface = azure_surface(self.operation, self.api_version) if classic else Surface.V1
        return path_names_deployment(surface, self.operation)

    @property
    def askable(self) -> bool:
        """Whether there is a small question for the model."""
        data = model_data(self.model)
        return data is None or self.operation.value in data.apis

    @property
    def refused(self) -> dict[str, Any]:
        """What no server can answer."""
        return {**self._named, **_NOTHING[self.operation]}

    @property
    def small(self) -> dict[str, Any]:
        """What is answered in a few tokens, and billed."""
        data = model_data(self.model)
        match self.operation:
            case Operation.EMBEDDINGS:
                asked: dict[str, Any] = {"input": QUESTION}
            case Operation.RESPONSES:
                asked = {"input": QUESTION, "max_output_tokens": ANSWER_TOKENS, "store": False}
            case Operation.COMPLETIONS:
                asked = {"prompt": QUESTION, "max_tokens": ANSWER_TOKENS}
            case _:
                new = data is not None and "max_tokens" in data.refuses
                cap = "max_completion_tokens" if new else "max_tokens"
                asked = {"messages": [{"role": "user", "content": QUESTION}], cap: ANSWER_TOKENS}
        return {**self._named, **asked}

    @property
    def _named(self) -> dict[str, Any]:
        return {} if self.names_deployment else {"model": self.deployment}


def place(resource: Resource, deployment: str, api_version: str | None = None) -> Place:
    """`api_version`: None for the configured one."""
    spec = resource.deployments[deployment]
    model = model_behind(spec.model, deployment)
    version = api_version or spec.api_version or resource.api_version
    return Place(resource, deployment, model, _operation(model_data(model)), version)


def _operation(data: ModelData | None) -> Operation:
    """The cheapest that the model serves; chat if that is not known."""
    apis = data.apis if data else frozenset()
    order = (Operation.CHAT, Operation.EMBEDDINGS, Operation.RESPONSES, Operation.COMPLETIONS)
    return next((operation for operation in order if operation.value in apis), Operation.CHAT)
