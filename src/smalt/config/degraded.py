"""What is said while nothing is available for a model: to callers, and to who asks whether all is ready."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smalt.config.document import Finding, meant
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.routes import is_pattern
from smalt.core.degraded import NOTHING_DEGRADED, Degraded, DegradedAnswers
from smalt.core.routes import AZURE_PREFIX
from smalt.types import AGENT_PREFIX

if TYPE_CHECKING:
    from smalt.config.schema import Settings

MOST = 599


def degraded(settings: "Settings") -> DegradedAnswers:
    """Of checked settings."""
    told = {name: Degraded(answer.status, answer.message) for name, answer in settings.degraded.items()}
    return DegradedAnswers(told, _behind(settings)) if told else NOTHING_DEGRADED


def _behind(settings: "Settings") -> dict[str, str]:
    """The models behind `agent/<name>` and `azure/<deployment>`."""
    deployed = {
        AZURE_PREFIX + name: deployment.model
        for resource in settings.resources.values()
        if resource.kind == "azure"
        for name, deployment in resource.deployments.items()
    }
    return deployed | {AGENT_PREFIX + name: agent.model for name, agent in settings.agents.items()}


def of_degraded(settings: "Settings") -> Iterator[Finding]:
    """What is wrong with them."""
    behind = _behind(settings)
    known = {*settings.models, *behind, *behind.values()}
    for index, name in enumerate(settings.gateway.ready_models):
        if name not in known or is_pattern(name):
            told = f"no model is named '{name}'{meant(name, known)}"
            yield Finding(("gateway", "ready_models", index), told)
    for name, answer in settings.degraded.items():
        if not (name in known or is_pattern(name) or DEFAULT_RESOURCE in settings.resources):
            yield Finding(("degraded", name), f"no model is named '{name}'{meant(name, known)}")
        if answer.status != 200 and not 400 <= answer.status <= MOST:
            told = f"{answer.status}: expected 200, for an answer, or an error from 400 to {MOST}"
            yield Finding(("degraded", name, "status"), told)
        elif answer.status == 200 and not answer.message:
            yield Finding(("degraded", name, "message"), "message is required: the text of the answer")
