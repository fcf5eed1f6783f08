"""What agents say and call, as far as settings tell it: instructions and names of tools."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from smalt.config.document import Finding, KeyPath
from smalt.config.plugins import is_reference
from smalt.errors import MissingExtra
from smalt.types import AGENT_PREFIX
from smalt.wire.instructions import Instructions

if TYPE_CHECKING:
    from smalt.config.schema import Agent, Settings


def instructions(settings: "Settings") -> dict[str, Instructions]:
    """By `agent/<name>`, of checked settings."""
    return {
        AGENT_PREFIX + name: Instructions(name, agent.instructions)
        for name, agent in settings.agents.items()
        if agent.instructions is not None
    }


def of_agents(agents: Mapping[str, "Agent"]) -> Iterator[Finding]:
    """What is wrong with each by itself."""
    for name, agent in agents.items():
        path: KeyPath = ("agents", name)
        if agent.instructions is not None:
            try:
                Instructions(name, agent.instructions)
            except (ValueError, MissingExtra) as error:
                yield Finding((*path, "instructions"), str(error))
        for index, tool in enumerate(agent.tools):
            if not is_reference(tool):
                yield Finding((*path, "tools", index), "expected a function such as package.module:function")
