"""Settings as plain attributes, and the deployments they name by model: for the plain functions."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from smalt.config.environment import VARIABLES, read_environment
from smalt.config.fill import with_dotenv
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.schema import DEFAULT_VERSION
from smalt.errors import ModelNotAvailableError

SETTING_OF: Final = {
    "gpt-4o": "gpt4o_deployment_name",
    "gpt-4o-mini": "gpt4o_mini_deployment_name",
    "gpt-4.1": "gpt41_deployment_name",
    "gpt-4.1-mini": "gpt41_mini_deployment_name",
    "gpt-4.1-nano": "gpt41_nano_deployment_name",
    "text-embedding-3-small": "embedding_deployment_name",
}


class SettingsLike(Protocol):
    """Any object with these attributes can be given, with those deployments of `AzureOpenAISettings` that it
    has."""

    @property
    def endpoint(self) -> str | None: ...
    @property
    def api_key(self) -> str | None: ...
    @property
    def api_version(self) -> str | None: ...


class AzureOpenAISettings:
    """Address, key and deployments of one Azure OpenAI resource, as attributes.

    What is not given is read from the environment, and from `.env` here, whenever it is asked for:
    `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY`, `AZURE_OPENAI_AD_TOKEN` (without a key),
    `AZURE_OPENAI_API_VERSION`, `AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME` and so on. Defaults: version 2024-10-21,
    and deployments that are called as their models. An attribute may be set at any time; None or an empty
    text takes a deployment away.
    """

    endpoint: str | None
    api_key: str | None
    azure_ad_token: str | None
    api_version: str | None
    gpt4o_deployment_name: str | None
    gpt4o_mini_deployment_name: str | None
    gpt41_deployment_name: str | None
    gpt41_mini_deployment_name: str | None
    gpt41_nano_deployment_name: str | None
    embedding_deployment_name: str | None

    __slots__ = ("api_key", "api_version", "azure_ad_token", "endpoint", *SETTING_OF.values())

    def __init__(self, **given: str | None) -> None:
        for name, value in given.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Only called for what was not given."""
        if name not in self.__slots__:
            raise AttributeError(f"no setting is called {name!r}; there are {', '.join(self.__slots__)}")
        return _environment()[name]


def _environment() -> dict[str, str | None]:
    """Every setting as the variables have it; raises ConfigurationError for an unreadable `.env`."""
    told = read_environment(with_dotenv(os.environ, Path.cwd())).data["resources"][DEFAULT_RESOURCE]
    serving = {served["model"]: name for name, served in told["deployments"].items()}
    deployments = {setting: serving.get(model, model) for model, setting in SETTING_OF.items()}
    return {
        "endpoint": told.get("endpoint"),
        "api_key": next(iter(told.get("api_keys", ())), None),
        "azure_ad_token": told["identity"].get("token") if isinstance(told.get("identity"), dict) else None,
        "api_version": told.get("api_version", DEFAULT_VERSION),
        **deployments,
    }


azure_openai_settings = AzureOpenAISettings()


def _configured(setting: str) -> str | None:
    deployment: str | None = getattr(azure_openai_settings, setting)
    return deployment


# What gives the deployment of a model, asked at every call. A program may add models of its own.
MODEL_DEPLOYMENT_MAP: dict[str, Callable[[], str | None]] = {
    model: partial(_configured, setting) for model, setting in SETTING_OF.items()
}


def deployment_of(model: str, own: SettingsLike | None) -> str:
    """The deployment that serves `model` now. `own`: settings of the client, in place of those of the
    process. Raises ModelNotAvailableError."""
    look_up = MODEL_DEPLOYMENT_MAP.get(model)
    if look_up is None:
        raise ModelNotAvailableError(
            f"the model {model!r} is none of {', '.join(MODEL_DEPLOYMENT_MAP)}",
            resolution=("Ask for one of these, or add the model to smalt.MODEL_DEPLOYMENT_MAP.",),
        )
    setting = None if own is None else SETTING_OF.get(model)
    deployment: str | None = look_up() if setting is None else getattr(own, setting, None)
    if not deployment:
        variable = next((v.name for v in VARIABLES if v.model == model), "its entry in MODEL_DEPLOYMENT_MAP")
        source = variable if setting is None else f"{setting} of the client's settings"
        raise ModelNotAvailableError(
            f"the model {model!r} has no deployment: {source} names none", resolution=(f"Set {source}.",)
        )
    return deployment
