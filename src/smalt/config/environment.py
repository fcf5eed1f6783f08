"""The variables smalt reads, and the configuration they make where there is no file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smalt.config.document import Document, KeyPath
from smalt.config.freeze import DEFAULT_RESOURCE

DEFAULT: KeyPath = ("resources", DEFAULT_RESOURCE)


@dataclass(frozen=True, slots=True)
class Variable:
    """`path`: what it sets. `model`: the model its deployment serves, None for the deployment's own name.

    `secret`: its value is never shown or written anywhere.
    """

    name: str
    path: KeyPath
    meaning: str
    example: str = ""
    model: str | None = None
    secret: bool = False


def _deployment(name: str, meaning: str, *, model: str | None = None, example: str = "") -> Variable:
    return Variable(name, (*DEFAULT, "deployments"), meaning, example, model)


def _of_model(infix: str, model: str) -> Variable:
    return _deployment(f"AZURE_OPENAI_{infix}_DEPLOYMENT_NAME", f"The deployment of {model}.", model=model)


# Where several set the same, the first that is not empty wins.
VARIABLES = (
    Variable(
        "AZURE_OPENAI_ENDPOINT",
        (*DEFAULT, "endpoint"),
        "The resource's endpoint. Required without a smalt.yaml.",
        "https://contoso.openai.azure.com",
    ),
    Variable("AZURE_API_BASE", (*DEFAULT, "endpoint"), "The same, as LiteLLM calls it."),
    Variable(
        "AZURE_OPENAI_API_KEY",
        (*DEFAULT, "api_keys"),
        "The resource's key. Required without a smalt.yaml, unless there is a token.",
        '"<your key>"',
        secret=True,
    ),
    Variable("AZURE_API_KEY", (*DEFAULT, "api_keys"), "The same, as LiteLLM calls it.", secret=True),
    Variable(
        "AZURE_OPENAI_API_VERSION",
        (*DEFAULT, "api_version"),
        "Version of the classic API. Default: 2024-10-21.",
        "2024-10-21",
    ),
    Variable("OPENAI_API_VERSION", (*DEFAULT, "api_version"), "The same, as the openai package calls it."),
    Variable("AZURE_API_VERSION", (*DEFAULT, "api_version"), "The same, as LiteLLM calls it."),
    _of_model("GPT4O", "gpt-4o"),
    _of_model("GPT4O_MINI", "gpt-4o-mini"),
    _of_model("GPT41", "gpt-4.1"),
    _of_model("GPT41_MINI", "gpt-4.1-mini"),
    _of_model("GPT41_NANO", "gpt-4.1-nano"),
    _of_model("EMBEDDING", "text-embedding-3-small"),
    _deployment(
        "AZURE_OPENAI_DEPLOYMENT",
        "A deployment, asked for by its own name. Without any deployment, azure/NAME reaches the one named.",
        example="gpt-4o",
    ),
    _deployment("AZURE_OPENAI_CHAT_DEPLOYMENT_NAME", "The same, as semantic-kernel calls it."),
    Variable(
        "AZURE_OPENAI_AD_TOKEN", (*DEFAULT, "identity"), "An Entra token, in place of a key.", secret=True
    ),
    Variable("SMALT_AUTH", (*DEFAULT, "identity"), "`entra`: Entra ID in place of a key."),
    Variable(
        "SMALT_GATEWAY_KEY",
        ("gateway", "keys"),
        "A key callers of the gateway may use; alias `env`.",
        secret=True,
    ),
    Variable("SMALT_LISTEN", ("gateway", "listen"), "Where the gateway listens.", "127.0.0.1:8000"),
)

# Read from the environment alone, not from `.env`: by azure-identity for `identity: default`, by doctor, and
# by whatever sends requests.
OTHER_VARIABLES = (
    Variable("AZURE_TENANT_ID", (), "The tenant of an application."),
    Variable("AZURE_CLIENT_ID", (), "The application, or a managed identity assigned by a user."),
    Variable("AZURE_CLIENT_SECRET", (), "A secret of the application."),
    Variable("AZURE_CLIENT_CERTIFICATE_PATH", (), "In its place, a certificate of the application."),
    Variable("AZURE_FEDERATED_TOKEN_FILE", (), "The token file of a workload identity."),
    Variable("AZURE_AUTHORITY_HOST", (), "Where tokens are asked for, if not at the public cloud."),
    Variable(
        "SMALT_ARM_ENDPOINT", (), "Where `smalt doctor` asks for resources, if not at the public cloud."
    ),
    Variable("SMALT_DEBUG", (), "`1`: what is sent and what comes back goes to stderr, without secrets."),
)


def read_environment(env: Mapping[str, str]) -> Document:
    """One resource, `default`, and the gateway, out of the variables; problems name the variable."""
    resource: dict[str, Any] = {"deployments": {}}
    gateway: dict[str, Any] = {}
    data = {"resources": {DEFAULT_RESOURCE: resource}, "gateway": gateway}
    document = Document("environment", "No smalt.yaml is here, and the environment", data)
    for variable in VARIABLES:
        document.labels.setdefault(variable.path, variable.name)
    for variable in VARIABLES:
        value = env.get(variable.name, "").strip()
        section, key = resource if variable.path[0] == "resources" else gateway, str(variable.path[-1])
        if not value:
            continue
        if key == "deployments":
            _add_deployment(document, resource[key], variable, value)
        elif key not in section:
            section[key] = _shaped(variable.name, key, value)
            document.labels[variable.path] = variable.name
    return document


def _shaped(name: str, key: str, value: str) -> object:
    match key:
        case "api_keys":
            return [value]
        case "identity":
            return {"kind": "token", "token": value} if name == "AZURE_OPENAI_AD_TOKEN" else _kind(value)
        case "keys":
            return [{"alias": "env", "key": value}]
        case _:
            return value


def _kind(auth: str) -> str:
    """Of an identity; what is no kind is refused as one."""
    return "default" if auth.lower() == "entra" else auth


def _add_deployment(document: Document, deployments: dict[str, Any], variable: Variable, name: str) -> None:
    path = (*variable.path, name)
    document.labels[path] = variable.name
    known = deployments.setdefault(name, {"model": variable.model or name})["model"]
    if variable.model and known != variable.model:
        document.report(path, f"its deployment already serves {known}; a deployment serves one model")
