"""A client from the environment, a completion, embeddings: plain functions over a fleet.

They check and name things. Tries, waits, failover and limits are the fleet's under the client.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import openai

from smalt.client import azure_settings
from smalt.client.azure_settings import SETTING_OF, SettingsLike, deployment_of
from smalt.client.circumstances import changed
from smalt.client.fleet import Fleet
from smalt.client.sdk import AzureOpenAI
from smalt.config import from_data
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.loading import FILE
from smalt.observe.log import log_wait
from smalt.wire.defaults import refuses
from smalt.wire.models import infer_model, model_data

TRIES: Final = 5
DEFAULT_TEMPERATURE: Final = 0.7
_OWN_SETTINGS: Final[WeakKeyDictionary[Fleet, SettingsLike]] = WeakKeyDictionary()

logger = logging.getLogger("smalt.client")


def get_azure_openai_client(settings: SettingsLike | None = None) -> AzureOpenAI | None:
    """A client, or None and one warning that names what is missing.

    Without `settings` it is over the fleet of `smalt.yaml` here, or else over the one resource of
    `azure_openai_settings`, which reads the environment. `settings`: an `AzureOpenAISettings` or any object
    with its attributes, for this client alone, deployments included. Outside of a `smalt.yaml`, which has its
    own `retry`, a call is tried up to 5 times, after waits of 2 to 60 s unless Azure names a time itself.
    Raises ConfigurationError for a value that cannot be used.
    """
    if settings is None and Path(FILE).exists():
        return AzureOpenAI(fleet=Fleet.load())
    told = azure_settings.azure_openai_settings if settings is None else settings
    key, token = told.api_key, getattr(told, "azure_ad_token", None)
    needed = {"AZURE_OPENAI_ENDPOINT": told.endpoint, "AZURE_OPENAI_API_KEY": key or token}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        logger.warning("Azure OpenAI is not configured: set %s", " and ".join(missing))
        return None
    resource = {
        "endpoint": told.endpoint,
        "api_version": told.api_version,
        "deployments": _known_deployments(told),
        **({"api_keys": [key]} if key else {"identity": {"kind": "token", "token": token}}),
    }
    retry = {"max_attempts": TRIES, "base_s": 2, "cap_s": 60}
    fleet = Fleet(from_data({"resources": {DEFAULT_RESOURCE: resource}, "retry": retry}))
    if settings is not None:
        _OWN_SETTINGS[fleet] = settings
    return AzureOpenAI(fleet=fleet)


def get_azure_openai_completion(
    client: openai.OpenAI | None,
    model_name: str,
    messages: Iterable[Mapping[str, Any]],
    temperature: float = DEFAULT_TEMPERATURE,
    max_tokens: int | None = None,
    stream: bool = False,  # noqa: FBT001, FBT002  the promised signature
    **kwargs: Any,
) -> Any:
    """The SDK's `ChatCompletion`, or its stream of chunks; `kwargs` are further parameters of the request.

    `client`: from `get_azure_openai_client`, any of smalt's, or a plain one of the openai package. Under
    smalt's the fleet alone retries, with a warning before each wait. A plain one retries by itself: up to 5
    tries, in the SDK's own rhythm and without our warnings, whatever `max_retries` it was made with.

    A temperature of 0.7 counts as the default: it is left out where the model takes none, and then
    `smalt.receipt(answer).rewrites` begins with `temperature`.

    Raises ValueError without a client, ModelNotAvailableError for a model that `MODEL_DEPLOYMENT_MAP` does
    not know or that has no deployment, and the SDK's exceptions.
    """
    asking, deployment = _asking(client, model_name)
    asked: dict[str, Any] = {"messages": messages, "temperature": temperature, "stream": stream, **kwargs}
    if max_tokens is not None:
        asked["max_tokens"] = max_tokens
    left_out: tuple[str, ...] = ()
    if temperature == DEFAULT_TEMPERATURE and _takes_none(model_name, deployment):
        del asked["temperature"]
        left_out = ("temperature",)
        logger.info("%s takes no temperature; the default of 0.7 is left out", deployment)
    with changed(on_wait=log_wait, rewrites=left_out):
        return asking.chat.completions.create(model=deployment, **asked)


def get_azure_openai_embedding(
    client: openai.OpenAI | None, texts: Sequence[str], model_name: str = "text-embedding-3-small"
) -> list[list[float]]:
    """A vector for each text, in the order of the texts. `client` and errors: as for
    `get_azure_openai_completion`; ValueError for a single text, too."""
    if isinstance(texts, str):
        raise ValueError("texts must be a list of texts, got a single one: write [text]")  # noqa: TRY004  as without a client
    asking, deployment = _asking(client, model_name)
    with changed(on_wait=log_wait):
        answer = asking.embeddings.create(model=deployment, input=list(texts))
    return [found.embedding for found in sorted(answer.data, key=lambda found: found.index)]


def _asking(client: openai.OpenAI | None, model_name: str) -> tuple[openai.OpenAI, str]:
    """The client as it is to ask, and the deployment."""
    if client is None:
        raise ValueError(
            "client is None: Azure OpenAI is not configured; set AZURE_OPENAI_ENDPOINT and "
            "AZURE_OPENAI_API_KEY, then call get_azure_openai_client() again"
        )
    fleet: Fleet | None = getattr(client, "fleet", None)
    own = None if fleet is None else _OWN_SETTINGS.get(fleet)
    deployment = deployment_of(model_name, own)
    return (client.with_options(max_retries=TRIES - 1) if fleet is None else client), deployment


def _known_deployments(told: SettingsLike) -> dict[str, dict[str, str]]:
    """Deployments whose model the settings tell. Others are known by their name: those called as their model,
    which need not be there, and those for several models."""
    names = {model: getattr(told, setting, None) for model, setting in SETTING_OF.items()}
    named = [*names, *names.values()]
    return {name: {"model": model} for model, name in names.items() if name and named.count(name) == 1}


def _takes_none(model_name: str, deployment: str) -> bool:
    """Whether the model behind a deployment is known to refuse a temperature."""
    return refuses(model_data(infer_model(deployment) or model_name), "temperature")
