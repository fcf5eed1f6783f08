"""smalt: the transparent layer between applications and Azure OpenAI.

    from smalt import AzureOpenAI      # in place of: from openai import AzureOpenAI

Names are resolved when they are first used, so that `import smalt` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smalt.client.agent_builder import AgentBuilder
    from smalt.client.agent_run import AgentResult
    from smalt.client.agents import Agent
    from smalt.client.azure_settings import (
        MODEL_DEPLOYMENT_MAP,
        AzureOpenAISettings,
        azure_openai_settings,
    )
    from smalt.client.circumstances import progress, receipts, session, tag
    from smalt.client.explain import explain
    from smalt.client.fleet import Fleet
    from smalt.client.functions import (
        get_azure_openai_client,
        get_azure_openai_completion,
        get_azure_openai_embedding,
    )
    from smalt.client.plain import AsyncClient, Client
    from smalt.client.pool import AzureOpenAIClientPool
    from smalt.client.receipts import receipt
    from smalt.client.sdk import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
    from smalt.config.schema import Settings
    from smalt.errors import (
        ConfigurationError,
        InvalidDeployment,
        InvalidEndpoint,
        MissingAuth,
        MissingExtra,
        ModelNotAvailableError,
        SmaltError,
    )

__version__ = "0.1.0"

__all__ = [
    "MODEL_DEPLOYMENT_MAP",
    "Agent",
    "AgentBuilder",
    "AgentResult",
    "AsyncAzureOpenAI",
    "AsyncClient",
    "AsyncOpenAI",
    "AzureOpenAI",
    "AzureOpenAIClientPool",
    "AzureOpenAISettings",
    "Client",
    "ConfigurationError",
    "Fleet",
    "InvalidDeployment",
    "InvalidEndpoint",
    "MissingAuth",
    "MissingExtra",
    "ModelNotAvailableError",
    "OpenAI",
    "Settings",
    "SmaltError",
    "azure_openai_settings",
    "explain",
    "get_azure_openai_client",
    "get_azure_openai_completion",
    "get_azure_openai_embedding",
    "progress",
    "receipt",
    "receipts",
    "session",
    "tag",
]

_HOMES = {
    "AsyncClient": "client.plain",
    "AzureOpenAIClientPool": "client.pool",
    "AzureOpenAISettings": "client.azure_settings",
    "Client": "client.plain",
    "MODEL_DEPLOYMENT_MAP": "client.azure_settings",
    "azure_openai_settings": "client.azure_settings",
    "get_azure_openai_client": "client.functions",
    "get_azure_openai_completion": "client.functions",
    "get_azure_openai_embedding": "client.functions",
    "Agent": "client.agents",
    "AgentBuilder": "client.agent_builder",
    "AgentResult": "client.agent_run",
    "explain": "client.explain",
    "progress": "client.circumstances",
    "receipt": "client.receipts",
    "receipts": "client.circumstances",
    "session": "client.circumstances",
    "tag": "client.circumstances",
    "AsyncAzureOpenAI": "client.sdk",
    "AsyncOpenAI": "client.sdk",
    "AzureOpenAI": "client.sdk",
    "Fleet": "client.fleet",
    "OpenAI": "client.sdk",
    "Settings": "config.schema",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'smalt' has no attribute {name!r}")
    try:
        return getattr(import_module(f"smalt.{_HOMES.get(name, 'errors')}"), name)
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
    missing_extra = import_module("smalt.errors").MissingExtra
    raise missing_extra(f"smalt.{name}", "openai")
