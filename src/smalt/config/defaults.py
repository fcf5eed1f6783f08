"""Which parameters are filled in for which name that callers ask for."""

from typing import TYPE_CHECKING

from smalt.core.routes import AZURE_PREFIX
from smalt.types import AGENT_PREFIX
from smalt.wire.defaults import Defaults

if TYPE_CHECKING:
    from smalt.config.schema import Settings


def defaults(settings: "Settings") -> dict[str, Defaults]:
    """By model, deployment (with `azure/` and without) and `agent/<name>`; names without any are left out.

    The name asked for counts, whatever fallback serves it. An agent's own parameters come before those of its
    model. Where deployments of several models have one name, the first that has defaults counts.
    """
    of_model = {model: written.defaults.given for model, written in settings.models.items()}
    found: dict[str, Defaults] = dict(of_model)
    models = {d.model for resource in settings.resources.values() for d in resource.deployments.values()}
    for resource in settings.resources.values():
        for name, deployment in resource.deployments.items():
            if given := of_model.get(deployment.model):
                found.setdefault(AZURE_PREFIX + name, given)
                if name not in models:  # which would be asked for
                    found.setdefault(name, given)
    for name, agent in settings.agents.items():
        found[AGENT_PREFIX + name] = {**of_model.get(agent.model, {}), **agent.given}
    return {name: given for name, given in found.items() if given}
