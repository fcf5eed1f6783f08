"""What is asked of which deployment: paths and api-versions, in the order Azure looks at them."""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from smalt.emulator.catalogue import CLASSIC_VERSIONS, V1_VERSIONS
from smalt.emulator.refusals import named
from smalt.emulator.server import Request

_V1 = "/openai/v1/"
_OPERATIONS = ("chat/completions", "completions", "embeddings")
_SINCE = {"chat/completions": "2023-05-15", "responses": "2025-03-01-preview"}  # GA versions lack the latter


@dataclass(frozen=True, slots=True)
class Route:
    """`operation`: chat/completions, completions, embeddings, responses, responses/ACTION or models.

    `deployment`: None where the path does not name one. `version`: v1, or a date. `id`: of one response or
    model.
    """

    operation: str
    deployment: str | None
    version: str
    id: str = ""

    @property
    def on_deployment(self) -> bool:
        """The path or the body names a deployment."""
        return self.operation in {*_OPERATIONS, "responses"}


def find(request: Request) -> Route:
    """Raises `Refusal`. The deployment is one segment of the path, percent-encoded, case-sensitive."""
    version = parse_qs(request.query).get("api-version", [""])[0]
    v1 = request.path.startswith(_V1)
    segments = tuple(unquote(segment) for segment in request.path.split("/"))
    match segments:
        case ("", "openai", "v1", *rest):
            route = _modern(request.method, "/".join(rest)) or _resource_wide(request.method, rest, "v1")
        case ("", "openai", "deployments", deployment, *rest):
            operation = "/".join(rest)
            known = request.method == "POST" and operation in _OPERATIONS
            route = Route(operation, deployment, version) if known else None
        case ("", "openai", *rest):
            route = _resource_wide(request.method, rest, version)
        case _:
            route = None
    if route is None or version not in (V1_VERSIONS if v1 else CLASSIC_VERSIONS):
        raise named("resource_not_found")
    since = _SINCE.get(route.operation) or _SINCE.get(route.operation.partition("/")[0], "")
    if route.version < since:
        raise named("resource_not_found")
    return route


def _modern(method: str, operation: str) -> Route | None:
    """Of the v1 surface, where the body names the deployment."""
    return Route(operation, None, "v1") if method == "POST" and operation in _OPERATIONS else None


def _resource_wide(method: str, path: list[str], version: str) -> Route | None:
    """What has no deployment in its path on either surface."""
    match (method, *path):
        case ("GET", "models"):
            return Route("models", None, version)
        case ("GET", "models", name):
            return Route("models", None, version, name)
        case ("POST", "responses"):
            return Route("responses", None, version)
        case ("GET", "responses", response_id):
            return Route("responses/retrieve", None, version, response_id)
        case ("DELETE", "responses", response_id):
            return Route("responses/delete", None, version, response_id)
        case ("POST", "responses", response_id, "cancel"):
            return Route("responses/cancel", None, version, response_id)
        case ("GET", "responses", response_id, "input_items"):
            return Route("responses/input_items", None, version, response_id)
        case _:
            return None
