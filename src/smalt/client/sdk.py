"""The official openai clients over a fleet: the same classes, the same arguments, one changed import.

Retries belong to the fleet, so the SDK's own are off. The base URL is a name that resolves nowhere: should
a request ever miss the transport, it reaches nobody.
"""

import os
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any, Self
from weakref import WeakSet

import openai

from smalt.auth.secrets import GivenToken
from smalt.client.explain import annotated
from smalt.client.fleet import Fleet
from smalt.client.transports import library_of_the_sdk, transport_classes
from smalt.config import from_data
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.schema import DEFAULT_VERSION
from smalt.errors import ConfigurationError

NOWHERE = "https://smalt.invalid"
PLACEHOLDER_KEY = "held-by-the-fleet"

_OUR_CLIENTS: WeakSet[Any] = WeakSet()


class _OverFleet:
    """What the four clients share; stands before the SDK's class in their bases."""

    fleet: Fleet

    def copy(self, **changes: Any) -> Self:
        """As the SDK's: the same client with some options changed, over the same fleet."""
        _refuse_http_client(changes)
        extra = {"fleet": self.fleet, **(changes.pop("_extra_kwargs", None) or {})}
        changes["max_retries"] = 0
        copied: Self = super().copy(_extra_kwargs=extra, **changes)  # type: ignore[misc]
        return copied

    with_options = copy

    def _make_status_error(self, *args: Any, **told: Any) -> Any:
        """The SDK's own exception, with what smalt knows besides."""
        return annotated(super()._make_status_error(*args, **told))  # type: ignore[misc]


class AzureOpenAI(_OverFleet, openai.AzureOpenAI):
    """`openai.AzureOpenAI` over a fleet.

    With the official arguments the fleet is that one resource; with none it is found: `smalt.yaml` here, or
    the environment. `fleet`: use this one. Raises ConfigurationError.
    """

    def __init__(self, *, fleet: Fleet | None = None, **sdk: Any) -> None:
        self.fleet, options = _azure_options(fleet, sdk)
        options.setdefault("http_client", _http_client(self.fleet))
        super().__init__(**options)


class AsyncAzureOpenAI(_OverFleet, openai.AsyncAzureOpenAI):
    """`openai.AsyncAzureOpenAI` over a fleet; see `AzureOpenAI`. For one event loop."""

    def __init__(self, *, fleet: Fleet | None = None, **sdk: Any) -> None:
        self.fleet, options = _azure_options(fleet, sdk)
        options.setdefault("http_client", _async_http_client(self.fleet))
        super().__init__(**options)


class OpenAI(_OverFleet, openai.OpenAI):
    """`openai.OpenAI` over a fleet, found as by `AzureOpenAI` when not given."""

    def __init__(self, *, fleet: Fleet | None = None, **sdk: Any) -> None:
        self.fleet, options = _openai_options(fleet, sdk)
        options.setdefault("http_client", _http_client(self.fleet))
        super().__init__(**options)


class AsyncOpenAI(_OverFleet, openai.AsyncOpenAI):
    """`openai.AsyncOpenAI` over a fleet, found as by `AzureOpenAI` when not given. For one event loop."""

    def __init__(self, *, fleet: Fleet | None = None, **sdk: Any) -> None:
        self.fleet, options = _openai_options(fleet, sdk)
        options.setdefault("http_client", _async_http_client(self.fleet))
        super().__init__(**options)


def _azure_options(fleet: Fleet | None, sdk: Mapping[str, Any]) -> tuple[Fleet, dict[str, Any]]:
    """The fleet, and what the SDK's constructor gets."""
    options = dict(sdk)
    copied = fleet is not None and "base_url" in options
    address = {name: options.pop(name, None) for name in ("azure_endpoint", "api_key", "azure_ad_token")}
    provider = _synchronous(options.pop("azure_ad_token_provider", None), "azure_ad_token_provider")
    _refuse_http_client(options)
    if fleet is None:
        address["azure_endpoint"] = address["azure_endpoint"] or options.pop("base_url", None)
        version = options.get("api_version")
        given = provider is not None or any(address.values())
        fleet = _one_resource(address, version, provider) if given else _found(version)
    if not copied:
        options["azure_endpoint"] = NOWHERE
    options["api_version"] = options.get("api_version") or DEFAULT_VERSION
    return fleet, {**options, "api_key": PLACEHOLDER_KEY, "max_retries": 0}


def _openai_options(fleet: Fleet | None, sdk: Mapping[str, Any]) -> tuple[Fleet, dict[str, Any]]:
    options = dict(sdk)
    _refuse_http_client(options)
    if fleet is None:
        for name in ("base_url", "api_key"):
            if options.get(name) is not None:
                raise ConfigurationError(
                    f"smalt.OpenAI takes no {name}: addresses and keys come from the fleet; name the "
                    "server in smalt.yaml (kind: openai)"
                )
        fleet = Fleet.load()
    options.setdefault("base_url", f"{NOWHERE}/v1")
    return fleet, {**options, "api_key": PLACEHOLDER_KEY, "max_retries": 0}


def _found(api_version: str | None) -> Fleet:
    """From `smalt.yaml`, or the environment; a version given as an argument counts before the variables."""
    version = {"AZURE_OPENAI_API_VERSION": api_version} if api_version else {}
    return Fleet.load(env={**os.environ, **version})


def _refuse_http_client(options: Mapping[str, Any]) -> None:
    """Any but our own, which copies of a client share: another would bypass the fleet."""
    client = options.get("http_client")
    if client is not None and client not in _OUR_CLIENTS:
        raise ConfigurationError(
            "http_client cannot be combined with smalt's clients, which bring their own; give "
            "openai.AzureOpenAI a client made with Fleet.transport() instead"
        )


def _one_resource(address: Mapping[str, Any], api_version: str | None, provider: GivenToken | None) -> Fleet:
    """The resource the official arguments describe; what they leave out comes from the environment."""
    endpoint = address["azure_endpoint"] or os.environ.get("AZURE_OPENAI_ENDPOINT", "")
    version = api_version or os.environ.get("OPENAI_API_VERSION") or DEFAULT_VERSION
    credential = {"identity": "default"} if provider else _credential(address)
    resource = {"endpoint": str(endpoint), "api_version": version, **credential}
    return Fleet(
        from_data({"resources": {DEFAULT_RESOURCE: resource}}),
        tokens={DEFAULT_RESOURCE: provider} if provider else None,
    )


def _synchronous(function: Any, name: str) -> GivenToken | None:
    """A function that gives tokens; it is called by a thread, so that no event loop waits for it."""
    if iscoroutinefunction(function):
        raise ConfigurationError(
            f"{name}: give a function that is not async, such as azure.identity's "
            "get_bearer_token_provider; smalt calls it beside the event loop"
        )
    given: GivenToken | None = function
    return given


def _credential(address: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments before variables. Of arguments the token counts first, as with the SDK."""
    token, key = address["azure_ad_token"], address["api_key"]
    if callable(key):
        raise ConfigurationError(
            "api_key: give a text; a function that gives tokens goes to azure_ad_token_provider"
        )
    if not (token or key):
        key, token = (os.environ.get(f"AZURE_OPENAI_{name}", "") for name in ("API_KEY", "AD_TOKEN"))
        token = "" if key else token
    return {"identity": {"kind": "token", "token": token}} if token else {"api_keys": [key]}


def _http_client(fleet: Fleet) -> Any:
    client = transport_classes(library_of_the_sdk()).http.Client(transport=fleet.transport())
    _OUR_CLIENTS.add(client)
    return client


def _async_http_client(fleet: Fleet) -> Any:
    client = transport_classes(library_of_the_sdk()).http.AsyncClient(transport=fleet.async_transport())
    _OUR_CLIENTS.add(client)
    return client
