"""What the settings add to a request for the name it asks for, as far as decisions need to know it."""

import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import structs

from smalt.types import Facts
from smalt.wire.defaults import Defaults, capped
from smalt.wire.facts import CACHED_BYTES
from smalt.wire.instructions import Instructions, Variables

NO_VARIABLES: Final[Variables] = MappingProxyType({})


class Profiles:
    """Parameters and instructions by the name asked for."""

    def __init__(
        self,
        defaults: Mapping[str, Defaults] = MappingProxyType({}),
        instructions: Mapping[str, Instructions] = MappingProxyType({}),
    ) -> None:
        self._defaults = defaults
        self._instructions = instructions

    def added(self, facts: Facts, variables: Variables = NO_VARIABLES) -> Facts:
        """The facts of the request with its cap on output tokens, and the instructions of an agent. Raises
        InvalidRequest if those need other variables."""
        defaults = self._defaults.get(facts.model)
        if defaults is not None:
            facts = capped(facts, defaults)
        instructions = self._instructions.get(facts.model)
        if instructions is None:
            return facts
        text = instructions.render(variables)
        written = text.encode()
        affinity = facts.affinity
        if affinity is None and len(written) >= CACHED_BYTES:  # all its prompts share this beginning
            affinity = zlib.crc32(written[:CACHED_BYTES])
        prompt_bytes = facts.prompt_bytes + len(written)
        return structs.replace(facts, instructions=text, prompt_bytes=prompt_bytes, affinity=affinity)
