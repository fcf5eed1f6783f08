"""Puts requests in the way that a model takes them, where it would refuse what the caller wrote. What is
changed is declared; where nothing needs to be, the body stays the same object."""

from typing import NamedTuple

from smalt.types import Facts, Operation
from smalt.wire import rewrite, strict_schemas, tool_names
from smalt.wire.models import ModelData
from smalt.wire.tool_names import Renamed


class Adapted(NamedTuple):
    """`rewrites`: what was changed, as the header x-smalt-rewrites calls it. `renamed`: names of tools, to
    be put back in the answer."""

    body: bytes
    rewrites: list[str]
    renamed: Renamed | None


def adapt(body: bytes, facts: Facts, model: ModelData | None, *, azure: bool) -> Adapted:
    """`body` for `model`, None if that is unknown. `azure`: the upstream is Azure itself, whose strict mode
    refuses more than others. Raises InvalidRequest for a body that cannot be taken apart."""
    rewrites = []
    if model is not None and _caps_tokens(facts, model):
        capped = rewrite.cap_completion_tokens(body)
        if capped is not body:
            body = capped
            rewrites.append("max_completion_tokens")
    if not facts.names_tools:
        return Adapted(body, rewrites, None)
    body, renamed = tool_names.rename(body)
    if renamed:
        rewrites.append("tool_names")
    if azure and model is not None and _keeps_to_schemas(model):
        widened = strict_schemas.widen(body)
        if widened is not body:
            body = widened
            rewrites.append("tool_schemas")
    return Adapted(body, rewrites, renamed)


def _caps_tokens(facts: Facts, model: ModelData) -> bool:
    chat = facts.operation is Operation.CHAT
    return chat and facts.max_tokens is not None and "max_tokens" in model.refuses


def _keeps_to_schemas(model: ModelData) -> bool:
    """Others do not look at `strict`."""
    return model.abilities is not None and "structured_outputs" in model.abilities
