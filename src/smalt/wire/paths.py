"""Paths of the three surfaces: what a caller's path asks for, and the path an upstream wants.

Source: Azure OpenAI REST API reference (classic: deployment in the path, except for Responses, and a dated
api-version; v1: deployment in the body); OpenAI API reference (/v1/*).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

from smalt.errors import InvalidDeployment
from smalt.types import Operation

CLASSIC_PREFIX = "/openai"
DEPLOYMENTS_PREFIX = "/openai/deployments/"
V1_PREFIX = "/openai/v1"
OPENAI_PREFIX = "/v1"
LONGEST_REMEMBERED = 256  # characters: paths come from callers
RESPONSES_SINCE = "2025-03-01-preview"  # of the classic surface; dated GA versions do not have them

_SUFFIX = {
    Operation.CHAT: "/chat/completions",  # before the shorter path it ends with
    Operation.COMPLETIONS: "/completions",
    Operation.EMBEDDINGS: "/embeddings",
    Operation.RESPONSES: "/responses",
}
_SLASHES = re.compile(r"(?<!/deployments)/{2,}")
_OPERATION = {suffix: operation for operation, suffix in _SUFFIX.items()}

Api = Literal["classic", "v1", "openai"]  # of a resource: Azure's surfaces, or any compatible server's


class Surface(StrEnum):
    """Which API a caller speaks."""

    OPENAI = "openai"
    CLASSIC = "classic"
    V1 = "v1"


@dataclass(frozen=True, slots=True)
class Asked:
    """`deployment`: from the path of the classic surface, decoded; None where the body names the model."""

    surface: Surface
    operation: Operation
    deployment: str | None = None


def parse(raw_path: str) -> Asked | None:
    """What a still percent-encoded path (without query) asks for; None if it is no operation smalt routes.
    Slashes that a base URL brought, doubled or at the end, are as if they were not there."""
    return _parsed_before(raw_path) if len(raw_path) <= LONGEST_REMEMBERED else _parse_untidy(raw_path)


def _parse_untidy(raw_path: str) -> Asked | None:
    return _parse(raw_path) or _parse(tidy(raw_path))


_parsed_before = lru_cache(maxsize=1_024)(_parse_untidy)


def tidy(path: str) -> str:
    """Without doubled slashes and slashes at the end; a deployment without a name stays one."""
    return _SLASHES.sub("/", path).rstrip("/")


def _parse(raw_path: str) -> Asked | None:
    if raw_path.startswith(DEPLOYMENTS_PREFIX):
        return _parse_deployment(raw_path[len(DEPLOYMENTS_PREFIX) :])
    for surface, prefix in ((Surface.OPENAI, OPENAI_PREFIX), (Surface.V1, V1_PREFIX)):
        if raw_path.startswith(prefix):
            operation = _OPERATION.get(raw_path[len(prefix) :])
            if operation is not None:
                return Asked(surface, operation)
    if raw_path == CLASSIC_PREFIX + _SUFFIX[Operation.RESPONSES]:
        return Asked(Surface.CLASSIC, Operation.RESPONSES)
    return None


def _parse_deployment(rest: str) -> Asked | None:
    """`<deployment>/<operation>`. openai 2.x leaves a slash in a deployment's name as it is."""
    for suffix, operation in _OPERATION.items():
        if rest.endswith(suffix) and path_names_deployment(Surface.CLASSIC, operation):
            deployment = rest.removesuffix(suffix).strip("/")
            return Asked(Surface.CLASSIC, operation, unquote(deployment)) if deployment else None
    return None


def path_names_deployment(surface: Surface, operation: Operation) -> bool:
    """Whether the deployment stands in the path; else it is the body's `model`."""
    return surface is Surface.CLASSIC and operation is not Operation.RESPONSES


def azure_surface(operation: Operation, api_version: str) -> Surface:
    """Where an Azure resource has `operation`: on the classic surface at `api_version`, else on v1."""
    if operation is Operation.RESPONSES:
        known = api_version >= RESPONSES_SINCE and api_version.endswith("-preview")
        return Surface.CLASSIC if known else Surface.V1
    return Surface.CLASSIC


def resource_path(api: Api, base_path: str, operation: Operation, deployment: str, api_version: str) -> str:
    """Path and query on a resource whose endpoint ends in `base_path`, for example that of a gateway before
    Azure, or /v1."""
    if api == "openai":
        return openai_path(operation, base_path)
    if api == "v1" or azure_surface(operation, api_version) is Surface.V1:
        return base_path + v1_path(operation)
    return base_path + classic_path(operation, deployment, api_version)


def classic_path(operation: Operation, deployment: str, api_version: str) -> str:
    """Path and query on an Azure resource; the deployment's name is encoded as one segment."""
    query = f"?api-version={quote(api_version, safe='')}"
    if not path_names_deployment(Surface.CLASSIC, operation):
        return CLASSIC_PREFIX + _SUFFIX[operation] + query
    if not deployment or deployment in {".", ".."}:
        raise InvalidDeployment(f"{deployment!r} cannot be a deployment's name")
    return DEPLOYMENTS_PREFIX + quote(deployment, safe="") + _SUFFIX[operation] + query


def v1_path(operation: Operation) -> str:
    """Path on an Azure resource's v1 surface."""
    return V1_PREFIX + _SUFFIX[operation]


def openai_path(operation: Operation, base_path: str) -> str:
    """Path on an OpenAI-compatible server whose endpoint ends in `base_path`, for example /v1."""
    return base_path + _SUFFIX[operation]


def models_path(api: Api, base_path: str, api_version: str) -> str:
    """Path and query of a resource's list of models; asking for it bills nothing."""
    if api == "openai":
        return f"{base_path}/models"
    if api == "v1":
        return f"{base_path}{V1_PREFIX}/models"
    return f"{base_path}{CLASSIC_PREFIX}/models?api-version={quote(api_version, safe='')}"
