"""Whether settings make sense together. Every problem is found, none stops the search."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from urllib.parse import urlsplit

from pydantic import SecretStr

from smalt.config.agents import of_agents
from smalt.config.brought import Entry
from smalt.config.check_routes import of_routes, of_unserved
from smalt.config.degraded import of_degraded
from smalt.config.document import Document, Finding, KeyPath, meant
from smalt.config.endpoint import is_loopback
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.identity import Identity
from smalt.config.listening import of_listening
from smalt.config.network import Network, ca_pem, proxy_of
from smalt.config.plugins import is_reference
from smalt.config.references import fault_of, is_at_azure, reference
from smalt.config.schema import UNDATED_VERSIONS, Budget, Deployment, Resource, Settings
from smalt.config.shape import shape
from smalt.config.unbuilt import MESSAGE, unbuilt
from smalt.config.upstreams import is_provisioned
from smalt.errors import ConfigurationError, InvalidDeployment, InvalidEndpoint, MissingAuth

MOST_KEYS = 2
_SOURCES = {"file": "a file", "keyring": "a keyring", "vault": "a Key Vault"}
_NEEDED = {
    "client_secret": ("tenant_id", "client_id", "client_secret"),
    "client_certificate": ("tenant_id", "client_id", "certificate_file"),
}


def check(document: Document) -> Settings:
    """The settings of a document; raises one ConfigurationError with every problem found so far."""
    settings = shape(document)
    _check(settings, document)
    return settings


def check_settings(settings: Settings) -> None:
    """The same for settings a program has built; their problems have no positions."""
    _check(settings, Document())


def _check(settings: Settings, document: Document) -> None:
    lost = document.lost_deployments()
    for finding in _findings(settings):
        if not (lost and _names_models(finding.path)):  # which may miss what is lost
            document.report(*finding)
    document.stop_if_faulty()
    for finding in of_unserved(settings):
        document.report(*finding)
    document.stop_if_faulty()


def _names_models(path: KeyPath) -> bool:
    return path[0] in ("models", "agents", "prices", "degraded") or path[:2] == ("gateway", "ready_models")


def _findings(settings: Settings) -> Iterator[Finding]:
    for path in unbuilt(settings):
        yield Finding(path, MESSAGE)
    if not settings.resources:
        yield Finding(("resources",), "at least one resource is required")
    for name, resource in settings.resources.items():
        yield from _of_resource(name, resource, settings.quotas)
    if settings.key_vault.identity is not None:
        yield from _of_identity(("key_vault", "identity"), settings.key_vault.identity)
    yield from _of_network(settings.network)
    yield from of_routes(settings)
    yield from _of_prices(settings)
    yield from of_agents(settings.agents)
    yield from of_degraded(settings)
    yield from _of_budgets(settings.budgets, settings.agents)
    if settings.cache.model_fields_set == {"ttl_s"}:
        yield Finding(("cache", "size"), "size is required: the most answers to keep")
    yield from _of_gateway(settings)
    yield from _of_otlp(settings.observe.otlp or "")


def _of_resource(name: str, resource: Resource, quotas: Collection[str]) -> Iterator[Finding]:
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
    if resource.identity is not None:
        yield from _of_identity((*path, "identity"), resource.identity)
    path = (*path, "deployments")
    if not resource.deployments and name != DEFAULT_RESOURCE:
        yield Finding(path, "deployment ID is required: name at least one deployment", InvalidDeployment)
    for deployment_name, deployment in resource.deployments.items():
        yield from _of_deployment((*path, deployment_name), deployment, quotas)
        if deployment.api_version is not None:
            yield from _of_own_version((*path, deployment_name, "api_version"), deployment, resource)


def _of_api_keys(path: KeyPath, resource: Resource) -> Iterator[Finding]:
    if not resource.api_keys and resource.kind == "openai":
        yield Finding(path, "a key is required; a server that asks for none takes any text", MissingAuth)
    elif not resource.api_keys and not resource.identity:
        yield Finding(path, "either APIKey or EntraToken must be provided", MissingAuth)
    for key in resource.api_keys:
        yield from _of_secret(path, key, ("file", "keyring", "vault"))
    if len(resource.api_keys) > MOST_KEYS:
        yield Finding(path, f"{len(resource.api_keys)} keys; two at most, as a resource of Azure has")
    elif len(set(resource.api_keys)) < len(resource.api_keys):
        yield Finding(path, "the same key twice; give each once")


def _of_identity(path: KeyPath, identity: Identity) -> Iterator[Finding]:
    for name in _NEEDED.get(identity.kind, ()):
        if not getattr(identity, name):
            yield Finding((*path, name), f"{name} is required for the kind {identity.kind}", MissingAuth)
    if identity.kind == "token" and identity.token is None:
        yield Finding(path, "either APIKey or EntraToken must be provided", MissingAuth)
    if identity.token is not None:
        yield from _of_secret((*path, "token"), identity.token)
    if identity.client_secret is not None:
        yield from _of_secret((*path, "client_secret"), identity.client_secret, ("file", "keyring"))


def _of_network(network: Network) -> Iterator[Finding]:
    try:
        ca_pem(network)
    except ConfigurationError as error:
        yield Finding(("network", "ca_file"), error.message)
    try:
        proxy_of(network)
    except ConfigurationError as error:
        yield Finding(("network", "proxy"), error.message)


def _of_secret(path: KeyPath, secret: SecretStr, kinds: Collection[str] = ()) -> Iterator[Finding]:
    """`kinds`: of references that are understood here."""
    text = secret.get_secret_value()
    named = reference(text)
    if named is None:
        fault = fault_of(text)
        if fault is not None:
            yield Finding(path, fault)
    elif named.kind not in kinds:
        yield Finding(path, f"{_SOURCES[named.kind]} is not read for this; give the secret by ${{VAR}}")
    elif named.kind == "vault" and not (is_at_azure(named.name) or is_loopback(named.name)):
        yield Finding(path, "no Key Vault is there: write https://NAME.vault.azure.net/secrets/NAME")
    elif not named.name:
        yield Finding(path, f"{_SOURCES[named.kind]} has no name: write {named.kind}:NAME")


def _of_deployment(path: KeyPath, deployment: Deployment, quotas: Collection[str]) -> Iterator[Finding]:
    if not str(path[-1]).strip():
        yield Finding(path, "deployment ID is required", InvalidDeployment)
    if not deployment.model:
        yield Finding((*path, "model"), "model is required: the name callers ask for")
    limit, quota = deployment.limit_tpm, deployment.quota_tpm
    if limit and quota and limit > quota:
        yield Finding((*path, "limit_tpm"), f"{limit} is more than quota_tpm, {quota}")
    if deployment.quota is not None and deployment.quota not in quotas:
        message = f"no quota is named '{deployment.quota}'{meant(deployment.quota, quotas)}"
        yield Finding((*path, "quota"), message)
    if deployment.ptu is not None:
        if not is_provisioned(deployment.sku):
            yield Finding((*path, "ptu"), "only for provisioned deployments: set sku, as ProvisionedManaged")
        for key in ("quota_tpm", "limit_tpm", "quota_rpm", "quota"):
            if getattr(deployment, key) is not None:
                yield Finding((*path, key), "does not apply beside ptu; remove one of the two")


def _of_own_version(path: KeyPath, deployment: Deployment, resource: Resource) -> Iterator[Finding]:
    if resource.kind == "openai" or resource.on_v1:
        yield Finding(path, "only for resources that are asked by the classic API")
    elif not _is_date(deployment.api_version or ""):
        yield Finding(path, "expected a version such as 2024-10-21 or 2025-04-01-preview")


def _of_budgets(budgets: Sequence[Budget], agents: Collection[str]) -> Iterator[Finding]:
    known: dict[tuple[str | None, str | None, str], int] = {}
    for index, budget in enumerate(budgets):
        path: KeyPath = ("budgets", index)
        if budget.tokens is None:
            yield Finding((*path, "tokens"), "tokens is required: how many may be spent")
        if budget.agent is not None and budget.agent not in agents:
            message = f"no agent is named '{budget.agent}'{meant(budget.agent, agents)}"
            yield Finding((*path, "agent"), message)
        first = known.setdefault((budget.tag, budget.agent, budget.per), index)
        if first != index:
            yield Finding(path, f"for the same calls and period as budgets[{first}]; keep one of the two")


def _of_prices(settings: Settings) -> Iterator[Finding]:
    models = {d.model for resource in settings.resources.values() for d in resource.deployments.values()}
    for model, price in settings.prices.items():
        path: KeyPath = ("prices", model)
        if model not in models and DEFAULT_RESOURCE not in settings.resources:  # which has any deployment
            yield Finding(path, f"no deployment serves this model{meant(model, models)}")
        for key in ("input_usd", "output_usd"):
            if getattr(price, key) is None:
                yield Finding((*path, key), f"{key} is required: USD per 1M tokens")


def _of_gateway(settings: Settings) -> Iterator[Finding]:
    gateway = settings.gateway
    yield from of_listening(gateway.listen, gateway.tls, gateway.trusted_proxies)
    for index, host in enumerate(gateway.callers_may_bring):
        try:
            Entry.of(host)
        except ValueError as error:
            yield Finding(("gateway", "callers_may_bring", index), str(error))
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
    for index, guard in enumerate(gateway.guards):
        if not is_reference(guard.use):
            path = ("gateway", "guards", index)
            yield Finding((*path, "use"), "expected a class such as smalt.guards.patterns:Patterns")


def _of_otlp(url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if url and not usable:
        yield Finding(("observe", "otlp"), "expected the URL of a collector, such as http://127.0.0.1:4318")


def _is_api_version(text: str) -> bool:
    return text in UNDATED_VERSIONS or _is_date(text)


def _is_date(text: str) -> bool:
    """With or without -preview."""
    try:
        return date.fromisoformat(text.removesuffix("-preview")).isoformat() == text.removesuffix("-preview")
    except ValueError:
        return False
