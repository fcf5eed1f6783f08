"""Parameters that a request leaves out, filled in as the settings say. What was filled in is declared; what
the model is known to refuse is left out.

Source of what models refuse: Azure's page on reasoning models, "API & feature support".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import structs

from smalt.types import Facts, Operation
from smalt.wire import rewrite
from smalt.wire.models import ModelData

Defaults = Mapping[str, int | float | str]  # by the name in the settings

SAMPLING: Final = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})

# Members of a body by the name in the settings, for the operations that have them.
_OF_COMPLETIONS: Final = {name: name for name in (*sorted(SAMPLING), "seed", "max_tokens")}
_MEMBERS: Final[Mapping[Operation, Mapping[str, str]]] = {
    Operation.CHAT: {**_OF_COMPLETIONS, "reasoning_effort": "reasoning_effort"},
    Operation.COMPLETIONS: _OF_COMPLETIONS,
    Operation.RESPONSES: {
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_output_tokens",
        "reasoning_effort": "reasoning",
    },
}
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_SAME: Final = {"max_tokens": frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})}


def capped(facts: Facts, defaults: Defaults) -> Facts:
    """The facts of a request once its defaults are filled in: its cap on output tokens."""
    most = defaults.get("max_tokens")
    known = "max_tokens" in _MEMBERS.get(facts.operation, _NONE)
    if not isinstance(most, int) or facts.max_tokens is not None or not known:
        return facts
    return structs.replace(facts, max_tokens=most)


def fill(
    body: bytes, operation: Operation, defaults: Defaults, model: ModelData | None
) -> tuple[bytes, list[str]]:
    """`body` with the defaults it leaves out or sets to null, and their names as x-smalt-rewrites calls them;
    the same object if it says everything itself. `model`: that will answer, None if unknown. Raises
    InvalidRequest for a body that cannot be taken apart."""
    said = rewrite.said(body)
    members = _MEMBERS.get(operation, _NONE)
    added: dict[str, msgspec.Raw] = {}
    filled = []
    for name, value in defaults.items():
        member = members.get(name)
        if member is None or not said.isdisjoint(_SAME.get(name, {member})) or refuses(model, name):
            continue
        if model is not None and operation is Operation.CHAT and name in model.refuses:
            member = "max_completion_tokens"
        written = {"effort": value} if member == "reasoning" else value
        added[member] = msgspec.Raw(msgspec.json.encode(written))
        filled.append(f"defaults.{name}")
    return rewrite.set_members(body, added) if added else body, filled


def refuses(model: ModelData | None, name: str) -> bool:
    """Whether a model is known to refuse a parameter, by its name in the settings, whatever the value."""
    if model is None:
        return False
    if name in SAMPLING:
        return _reasons(model)
    return name == "reasoning_effort" and model.abilities is not None and not _reasons(model)


def _reasons(model: ModelData) -> bool:
    """Where the abilities are not known, a model that refuses max_tokens is one that reasons."""
    return "reasoning" in model.abilities if model.abilities is not None else "max_tokens" in model.refuses
