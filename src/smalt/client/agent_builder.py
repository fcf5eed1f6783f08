"""An agent made of nothing but what a program says: one model, its key or token, and tools."""

from collections.abc import Callable
from typing import Any, Self

from smalt.client.agents import Agent
from smalt.client.fleet import Fleet
from smalt.config import from_data
from smalt.errors import ConfigurationError, InvalidDeployment

OPENAI = "https://api.openai.com/v1"
NAME = "agent"


class AgentBuilder:
    """`AgentBuilder().with_azure_openai_llm(endpoint, deployment, key).with_tools(look).build()`.

    One builder makes one agent. Every method but `build` returns the builder, and mistakes raise
    ConfigurationError.
    """

    def __init__(self) -> None:
        self._model: str | None = None
        self._data: dict[str, Any] = {}
        self._tools: list[Callable[..., Any]] = []
        self._built = False

    def with_azure_openai_llm(self, endpoint: str, deployment: str, key: str) -> Self:
        """A deployment of an Azure OpenAI resource, by one of its keys. What calls cost is known where the
        deployment's name tells its model, as `gpt-4o-prod` does."""
        return self._with_llm(deployment, {"endpoint": endpoint, "api_keys": [key]})

    def with_azure_openai_entra_auth(self, endpoint: str, deployment: str, token: str) -> Self:
        """The same by an Entra token, with or without `Bearer `. It is used until it expires, after an hour
        or so; then build another agent."""
        return self._with_llm(
            deployment, {"endpoint": endpoint, "identity": {"kind": "token", "token": token}}
        )

    def with_openai_llm(self, key: str, model: str, *, endpoint: str = OPENAI) -> Self:
        """A model of OpenAI itself, or of a server that speaks as it does at `endpoint`."""
        return self._with_llm(model, {"kind": "openai", "endpoint": endpoint, "api_keys": [key]})

    def with_circuit_breakers(self, failures: int = 5, open_s: float = 30.0) -> Self:
        """Leave the model alone for `open_s` seconds after so many failures in a row; calls are then refused
        at once. These numbers are what an agent has anyway."""
        self._data["breaker"] = {"failures": failures, "open_s": open_s}
        return self

    def with_tools(self, *functions: Callable[..., Any]) -> Self:
        """Functions that the model may call, described by their hints and docstrings."""
        self._tools += functions
        return self

    def build(self) -> Agent:
        """The agent, over a fleet of its own: `agent.fleet`. No server is asked."""
        if self._model is None:
            raise ConfigurationError(
                "the agent has no model: call with_azure_openai_llm, with_azure_openai_entra_auth or "
                "with_openai_llm before build"
            )
        if self._built:
            raise ConfigurationError("this builder has built its agent: begin another with AgentBuilder()")
        settings = from_data({**self._data, "agents": {NAME: {"model": self._model}}})
        agent = Agent(Fleet(settings), NAME, settings.agents, self._tools)
        self._built = True
        return agent

    def _with_llm(self, model: str, resource: dict[str, Any]) -> Self:
        if self._model is not None:
            raise ConfigurationError(f"the agent has a model already, {self._model!r}; an agent has one")
        if not model:
            raise InvalidDeployment(
                "deployment ID is required: the deployment's name, or that of OpenAI's model"
            )
        self._model = model
        self._data["resources"] = {"default": {**resource, "deployments": {model: {"model": model}}}}
        self._data["models"] = {model: {"route": ["default"]}}
        return self
