"""`model_list`: deployments by endpoint, and which of them serve which name.

Source: LiteLLM, "Proxy config.yaml", "Azure OpenAI" and "Router - Load Balancing".
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from smalt.config.document import KeyPath
from smalt.config.endpoint import base_url, is_loopback
from smalt.config.fill import NO_SECRET
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.litellm.report import Report
from smalt.config.schema import Parameters

_SERVERS: Final = frozenset({"", "custom_openai", "hosted_vllm", "litellm_proxy", "openai", "vllm"})
_INFIXES: Final = ("responses/", "o_series/", "gpt5_series/")  # words of LiteLLM, not of the deployment
_OPENAI: Final = "https://api.openai.com/v1"
_NOISE: Final = frozenset({"api", "azure", "base", "endpoint", "openai", "url"})
_ORDER: Final = (
    "kind",
    "endpoint",
    "allow_http",
    "region",
    "api_version",
    "api_keys",
    "identity",
    "deployments",
)
_MOST_KEYS: Final = 2


@dataclass(frozen=True, slots=True)
class Member:
    """An upstream of a group; lower orders come first."""

    upstream: str
    order: float
    named_only: bool


@dataclass(slots=True)
class Models:
    """`resources`: as in smalt.yaml. `groups`: who serves a name. `defaults`: parameters by name."""

    report: Report
    entra: bool = False
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[Member]] = field(default_factory=dict)
    defaults: dict[str, dict[str, str]] = field(default_factory=dict)
    _names: dict[tuple[bool, str], str] = field(default_factory=dict)
    _placeholders: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, path: KeyPath, entry: Any) -> None:
        """One entry of the list."""
        at: KeyPath = (*path, "litellm_params")
        own = _texts(entry)
        params = _texts(entry.get("litellm_params") if isinstance(entry, dict) else None)
        name = own.get("model_name", "")
        provider, deployment = _split(params.get("model", ""))
        if why := _why_not(name, provider, deployment):
            self.report.leave(path, why)
            return
        resource = self._resource(at, params, azure=provider == "azure")
        self._credentials(at, params, resource, azure=provider == "azure")
        if self._deployment(path, own, params, f"{resource}/{deployment}"):
            member = Member(f"{resource}/{deployment}", _number(params.get("order")), provider != "azure")
            self.groups.setdefault(name, []).append(member)
            self._parameters(at, params, name)

    def finished(self) -> dict[str, dict[str, Any]]:
        """The resources, with their keys in the usual order."""
        return {
            name: {key: resource[key] for key in _ORDER if key in resource}
            for name, resource in self.resources.items()
        }

    def _resource(self, at: KeyPath, params: dict[str, str], *, azure: bool) -> str:
        """The name of the resource at an endpoint; made when it is first met."""
        endpoint = filled(params.get("api_base") or ("os.environ/AZURE_API_BASE" if azure else _OPENAI))
        with suppress(ValueError):  # a variable, or what `smalt check` will name
            endpoint = base_url(endpoint, azure=azure, allow_http=True)
        name = self._names.get((azure, endpoint))
        if name is None:
            name = self._names[azure, endpoint] = self._free(_name_of(endpoint))
            made: dict[str, Any] = {"endpoint": endpoint, "deployments": {}}
            if not azure:
                made["kind"] = "openai"
            if endpoint.startswith("http:") and not is_loopback(endpoint):
                made["allow_http"] = True
            self.resources[name] = made
        resource = self.resources[name]
        for key, ours in (("api_base", "endpoint"), ("region_name", "region")):
            if params.get(key):
                resource.setdefault(ours, filled(params[key]))
                self.report.take((*at, key), f"resources.{name}.{ours}")
        return name

    def _free(self, stem: str) -> str:
        number = 1
        name = stem
        while name in self.resources or name == DEFAULT_RESOURCE:
            number += 1
            name = f"{stem}-{number}"
        return name

    def _credentials(self, at: KeyPath, params: dict[str, str], name: str, *, azure: bool) -> None:
        resource = self.resources[name]
        identity = {
            key: params[key] for key in ("tenant_id", "client_id", "client_secret") if params.get(key)
        }
        if params.get("api_key") or not (azure and (self.entra or identity or params.get("azure_ad_token"))):
            self._key(at, params, name, azure=azure)
        elif params.get("azure_ad_token"):
            token = self._secret(at, "azure_ad_token", params, name, "AD_TOKEN", "identity.token")
            resource.setdefault("identity", {"kind": "token", "token": token})
        elif identity:
            made = {"kind": "client_secret" if "client_secret" in identity else "workload_identity"}
            for key, text in identity.items():
                made[key] = filled(text)
                self.report.take((*at, key), f"resources.{name}.identity.{key}")
            if "client_secret" in identity:
                made["client_secret"] = self._secret(
                    at, "client_secret", params, name, "CLIENT_SECRET", "identity.client_secret"
                )
            resource.setdefault("identity", made)
        else:
            resource.setdefault("identity", "default")

    def _key(self, at: KeyPath, params: dict[str, str], name: str, *, azure: bool) -> None:
        keys = self.resources[name].setdefault("api_keys", [])
        if not params.get("api_key"):
            key = "${AZURE_API_KEY}" if azure else "${OPENAI_API_KEY}"  # what LiteLLM takes then
        else:
            key = self._secret(at, "api_key", params, name, "API_KEY", "api_keys")
        if key not in keys and len(keys) == _MOST_KEYS:
            self.report.leave((*at, "api_key"), "a resource has two keys at most")
        elif key not in keys:
            keys.append(key)

    def _secret(self, at: KeyPath, key: str, params: dict[str, str], name: str, what: str, where: str) -> str:
        """Its variable; a secret in the file gets one, and is not copied."""
        text = filled(params[key])
        told = f"resources.{name}.{where}"
        if text.lower() in NO_SECRET:
            self.report.take((*at, key), told)
            return text
        if not text.startswith("${"):
            count = sum(1 for known, _ in self._placeholders if known == f"{name}/{what}")
            suffix = f"_{count + 1}" if count else ""
            variable = f"{re.sub(r'[^A-Z0-9]+', '_', name.upper())}_{what}{suffix}"
            if not variable[0].isalpha():
                variable = f"AZURE_{variable}"
            text = self._placeholders.setdefault((f"{name}/{what}", text), f"${{{variable}}}")
            told += f"; the secret stood in the file and is not copied: set {text[2:-1]}"
        self.report.take((*at, key), told)
        return text

    def _deployment(self, path: KeyPath, own: dict[str, str], params: dict[str, str], upstream: str) -> bool:
        """Whether it is there now, serving the entry's name. `own`: what stands beside `litellm_params`."""
        at: KeyPath = (*path, "litellm_params")
        resource, _, deployment = upstream.partition("/")
        model = own["model_name"]
        where = f"resources.{resource}.deployments.{deployment}"
        deployments = self.resources[resource]["deployments"]
        if deployment in deployments:
            serves = deployments[deployment]["model"]
            again = "is there already" if serves == model else f"serves {serves} already: ask for that"
            self.report.leave(path, f"{where} {again}")
            return False
        made = deployments[deployment] = {"model": model}
        self.report.take((*path, "model_name"), f"{where}.model")
        self.report.take((*at, "model"), where)
        for key, ours in (("tpm", "quota_tpm"), ("rpm", "quota_rpm"), ("weight", "weight")):
            for holder, place in ((params, at), (own, path)):
                if holder.get(key) and ours not in made:
                    self._limit((*place, key), made, ours, holder[key], where)
        self._version(at, params, resource, made, where)
        if params.get("order"):
            self.report.take((*at, "order"), f"models.{model}.route")
        return True

    def _limit(self, at: KeyPath, made: dict[str, Any], ours: str, value: str, where: str) -> None:
        number = _number(value)
        if number < 1 or number % 1:
            self.report.leave(at, "expected a whole number above 0")
        else:
            made[ours] = int(number)
            self.report.take(at, f"{where}.{ours}")

    def _version(
        self, at: KeyPath, params: dict[str, str], resource: str, made: dict[str, Any], where: str
    ) -> None:
        """Of the resource, if its deployments agree; of the deployment, if not."""
        if not params.get("api_version"):
            return
        version = filled(params["api_version"])
        shared = self.resources[resource].setdefault("api_version", version)
        if shared != version:
            made["api_version"] = version
        self.report.take(
            (*at, "api_version"),
            f"{where}.api_version" if shared != version else f"resources.{resource}.api_version",
        )

    def _parameters(self, at: KeyPath, params: dict[str, str], model: str) -> None:
        """Those that LiteLLM sends where the caller does not."""
        defaults = self.defaults.setdefault(model, {})
        for key in Parameters.model_fields.keys() & params.keys():
            if defaults.setdefault(key, params[key]) == params[key]:
                self.report.take((*at, key), f"models.{model}.defaults.{key}")
            else:
                self.report.leave((*at, key), f"another upstream of {model} says {defaults[key]}")


def filled(text: str) -> str:
    """`os.environ/NAME` as `${NAME}`; other dollar signs stay what they are."""
    name = text.removeprefix("os.environ/")
    return f"${{{name}}}" if name != text else text.replace("$", "$$")


def _texts(data: Any) -> dict[str, str]:
    """The single values of a mapping; of anything else none."""
    items = data.items() if isinstance(data, dict) else ()
    return {key: value for key, value in items if isinstance(value, str) and value}


def _why_not(name: str, provider: str, deployment: str) -> str:
    """Why an entry cannot be taken over; empty if it can."""
    if not name or not deployment:
        return "expected model_name, and litellm_params with a model"
    if "*" in name + deployment:
        return "write a pattern under models: its route names the resources"
    if provider != "azure" and provider not in _SERVERS:
        return f"{provider} is neither Azure OpenAI nor an OpenAI-compatible server"
    return ""


def _split(model: str) -> tuple[str, str]:
    """Provider, and the name there; a name alone is OpenAI's."""
    provider, slash, name = model.partition("/")
    if not slash:
        return "", model
    for infix in _INFIXES if provider == "azure" else ():
        name = name.removeprefix(infix)
    return provider, name


def _name_of(endpoint: str) -> str:
    """A word for a resource."""
    if endpoint.startswith("${"):
        words = [word for word in endpoint.strip("${}").lower().split("_") if word not in _NOISE]
        return "-".join(words) or "azure"
    host = (urlsplit(endpoint).hostname or "").removeprefix("api.")
    stem = re.sub(r"[^a-z0-9-]", "", host.partition(".")[0])
    return stem if stem and not stem.isdigit() else "server"


def _number(text: object) -> float:
    """0 for what is none."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0
