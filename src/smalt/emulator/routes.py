"""Who asks what of which deployment: paths, api-versions and keys, in the order Azure looks at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from smalt.emulator.catalogue import CLASSIC_VERSIONS, V1_VERSIONS
from smalt.emulator.refusals import named
from smalt.emulator.server import Request

_V1 = "/openai/v1/"
_CHAT_SINCE = "2023-05-15"


@dataclass(frozen=True, slots=True)
class Route:
    """`operation`: chat/completions, embeddings or models.

    `deployment`: None where the path does not name one. `version`: v1, or a date.
    """

    operation: str
    deployment: str | None
    version: str


def key_name(request: Request, keys: Sequence[str]) -> str:
    """Which of the resource's keys the caller showed: key1 or key2. Raises `Refusal`.

    Only the v1 surface takes a key as bearer token. Entra tokens are not known yet, so they are refused like
    expired ones.
    """
    shown = request.header("api-key")
    bearer = (request.header("authorization") or "").removeprefix("Bearer ")
    if not shown and request.path.startswith(_V1) and not _looks_like_token(bearer):
        shown = bearer
    if not shown:
        raise named("missing_or_bad_token")
    if shown not in keys:
        raise named("invalid_api_key")
    return f"key{keys.index(shown) + 1}"


def find(request: Request) -> Route:
    """Raises `Refusal`. The deployment is one segment of the path, percent-encoded, case-sensitive."""
    version = parse_qs(request.query).get("api-version", [""])[0]
    segments = tuple(unquote(segment) for segment in request.path.split("/"))
    match (request.method, *segments):
        case ("POST", "", "openai", "v1", *rest) if "/".join(rest) in _OPERATIONS:
            route = Route("/".join(rest), None, "v1")
        case ("POST", "", "openai", "deployments", deployment, *rest) if "/".join(rest) in _OPERATIONS:
            route = Route("/".join(rest), deployment, version)
        case ("GET", "", "openai", "v1", "models"):
            route = Route("models", None, "v1")
        case ("GET", "", "openai", "models"):
            route = Route("models", None, version)
        case _:
            raise named("resource_not_found")
    v1 = request.path.startswith(_V1)
    too_old = route.operation == "chat/completions" and route.version < _CHAT_SINCE
    if too_old or version not in (V1_VERSIONS if v1 else CLASSIC_VERSIONS):
        raise named("resource_not_found")
    return route


_OPERATIONS = ("chat/completions", "embeddings")


def _looks_like_token(text: str) -> bool:
    return text.count(".") == 2
