"""Whether settings make sense together. Every problem is found, none stops the search."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import SecretStr

from smalt.config.document import Document, KeyPath
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.schema import ModelSettings, Resource, Settings
from smalt.config.shape import shape
from smalt.config.unbuilt import MESSAGE, unbuilt
from smalt.errors import ConfigurationError, InvalidDeployment, InvalidEndpoint, MissingAuth

_SOURCES_TO_COME = re.compile(r"keyring:|@Microsoft\.KeyVault\(|https://[^/]+\.vault\.")


class Finding(NamedTuple):
    """What is wrong at a path."""

    path: KeyPath
    message: str
    kind: type[ConfigurationError] = ConfigurationError


def check(document: Document) -> Settings:
    """The settings of a document; raises one ConfigurationError with every problem found so far."""
    settings = shape(document)
    _check(settings, document)
    return settings


def check_settings(settings: Settings) -> None:
    """The same for settings a program has built; their problems have no positions."""
    _check(settings, Document())


def _check(settings: Settings, document: Document) -> None:
    for finding in _findings(settings):
        document.report(*finding)
    document.stop_if_faulty()


def _findings(settings: Settings) -> Iterator[Finding]:
    for path in unbuilt(settings):
        yield Finding(path, MESSAGE)
    if not settings.resources:
        yield Finding(("resources",), "at least one resource is required")
    for name, resource in settings.resources.items():
        yield from _of_resource(name, resource)
    for model, served in settings.models.items():
        yield from _of_model(model, served, settings)
    yield from _of_prices(settings)
    yield from _of_gateway(settings)


def _of_resource(name: str, resource: Resource) -> Iterator[Finding]:
    path: KeyPath = ("resources", name)
    if not name or "/" in name:
        yield Finding(path, "the name of a resource must not be empty or hold '/'")
    try:
        _ = resource.base_url
    except ValueError as error:
        yield Finding((*path, "endpoint"), str(error), InvalidEndpoint)
    if not _is_api_version(resource.api_version):
        yield Finding(
            (*path, "api_version"),
            "expected a version such as 2024-10-21, 2025-04-01-preview, v1, preview or latest",
        )
    yield from _of_api_keys((*path, "api_keys"), resource)
    yield from _of_deployments((*path, "deployments"), name, resource)


def _of_api_keys(path: KeyPath, resource: Resource) -> Iterator[Finding]:
    if not resource.api_keys and resource.kind == "openai":
        yield Finding(path, "a key is required; a server that asks for none takes any text", MissingAuth)
    elif not resource.api_keys and not resource.identity:
        yield Finding(path, "either APIKey or EntraToken must be provided", MissingAuth)
    for key in resource.api_keys[:1]:
        yield from _of_secret(path, key)
    if len(resource.api_keys) > 1:
        yield Finding(path, f"a second key is {MESSAGE}")


def _of_secret(path: KeyPath, secret: SecretStr) -> Iterator[Finding]:
    text = secret.get_secret_value()
    if _SOURCES_TO_COME.match(text):
        yield Finding(path, f"a key from a keyring or Key Vault is {MESSAGE}")
    elif text.startswith("file:"):
        yield Finding(path, "file: is understood in smalt.yaml only; give the key itself")
    elif not (text.isascii() and text.isprintable()) or " " in text:
        yield Finding(path, "a key must not hold spaces, line breaks or characters beyond ASCII")


def _of_deployments(path: KeyPath, resource_name: str, resource: Resource) -> Iterator[Finding]:
    if not resource.deployments and resource_name != DEFAULT_RESOURCE:
        yield Finding(path, "deployment ID is required: name at least one deployment", InvalidDeployment)
    for name, deployment in resource.deployments.items():
        here = (*path, name)
        if not name.strip():
            yield Finding(here, "deployment ID is required", InvalidDeployment)
        if not deployment.model:
            yield Finding((*here, "model"), "model is required: the name callers ask for")
        limit, quota = deployment.limit_tpm, deployment.quota_tpm
        if limit and quota and limit > quota:
            yield Finding((*here, "limit_tpm"), f"{limit} is more than quota_tpm, {quota}")


def _of_model(model: str, served: ModelSettings, settings: Settings) -> Iterator[Finding]:
    path: KeyPath = ("models", model)
    if "*" in model:
        yield Finding(path, f"a pattern is {MESSAGE}")
        return
    if not served.route and not any(
        deployment.model == model and resource.kind == "azure"
        for resource in settings.resources.values()
        for deployment in resource.deployments.values()
    ):
        yield Finding((*path, "route"), "no deployment serves this model")
    for index, pool in enumerate(served.route):
        for reference in pool:
            if fault := _fault_of_reference(reference, model, settings):
                yield Finding((*path, "route", index), fault)


def _fault_of_reference(reference: str, model: str, settings: Settings) -> str | None:
    """What is wrong with `resource/deployment` or `resource` in the route of a model."""
    resource_name, slash, deployment_name = reference.partition("/")
    resource = settings.resources.get(resource_name)
    if resource is None:
        return f"no resource is named '{resource_name}'{_meant(resource_name, settings.resources)}"
    if not slash:
        if any(deployment.model == model for deployment in resource.deployments.values()):
            return None
        return f"resource {resource_name} has no deployment of {model}"
    deployment = resource.deployments.get(deployment_name)
    if deployment is None:
        meant = _meant(deployment_name, resource.deployments)
        return f"resource {resource_name} has no deployment '{deployment_name}'{meant}"
    if deployment.model != model:
        return f"{reference} serves {deployment.model}, not {model}"
    return None


def _meant(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _of_prices(settings: Settings) -> Iterator[Finding]:
    models = {d.model for resource in settings.resources.values() for d in resource.deployments.values()}
    for model, price in settings.prices.items():
        path: KeyPath = ("prices", model)
        if model not in models and DEFAULT_RESOURCE not in settings.resources:  # which has any deployment
            yield Finding(path, f"no deployment serves this model{_meant(model, models)}")
        for key in ("input_usd", "output_usd"):
            if getattr(price, key) is None:
                yield Finding((*path, key), f"{key} is required: USD per 1M tokens")


def _of_gateway(settings: Settings) -> Iterator[Finding]:
    gateway = settings.gateway
    try:
        _ = gateway.address
    except ValueError as error:
        yield Finding(("gateway", "listen"), str(error))
    used = {}
    if gateway.admin_key:
        yield from _of_secret(("gateway", "admin_key"), gateway.admin_key)
        used[gateway.admin_key.get_secret_value()] = "the admin key"
    aliases: set[str] = set()
    for index, key in enumerate(gateway.keys):
        path = ("gateway", "keys", index)
        if not key.alias or key.alias in aliases:
            what = f"the alias '{key.alias}' is used twice" if key.alias else "alias is required"
            yield Finding((*path, "alias"), what)
        aliases.add(key.alias)
        secret = key.key.get_secret_value()
        if not secret or secret in used:
            yield Finding((*path, "key"), f"the same as {used[secret]}" if secret else "key is required")
        yield from _of_secret((*path, "key"), key.key)
        used.setdefault(secret, f"the key '{key.alias}'")


def _is_api_version(text: str) -> bool:
    if text in ("v1", "preview", "latest"):
        return True
    try:
        return date.fromisoformat(text.removesuffix("-preview")).isoformat() == text.removesuffix("-preview")
    except ValueError:
        return False
