"""What the settings add to the facts of a request."""

import pytest

from smalt.errors import InvalidRequest
from smalt.types import Facts, Operation
from smalt.wire.instructions import Instructions
from smalt.wire.profiles import Profiles

PROFILES = Profiles(
    {"agent/narrator": {"max_tokens": 800, "temperature": 0.9}},
    {"agent/narrator": Instructions("narrator", "Narrate {{ what }}.")},
)


def asked(model: str) -> Facts:
    return Facts(Operation.CHAT, model, prompt_bytes=100)


def test_names_without_a_profile_keep_their_facts() -> None:
    """The same object."""
    facts = asked("gpt-4o")
    assert PROFILES.added(facts) is facts


def test_instructions_count_as_prompt() -> None:
    """What quotas and budgets are charged with includes them, in bytes, and the cap that is filled in."""
    facts = PROFILES.added(asked("agent/narrator"), {"what": "ü"})
    assert (facts.instructions, facts.prompt_bytes, facts.max_tokens) == ("Narrate ü.", 111, 800)


@pytest.mark.parametrize(
    ("text", "own", "same"), [("x" * 4_095, None, False), ("x" * 4_096, None, True), ("x" * 4_096, 7, False)]
)
def test_long_instructions_make_prompts_gain_from_one_cache(text: str, own: int | None, same: bool) -> None:
    """From the length on that Azure caches; what the request says by itself counts before that."""
    profiles = Profiles(instructions={"agent/a": Instructions("a", text)})
    found = profiles.added(Facts(Operation.CHAT, "agent/a", affinity=own)).affinity
    assert (found is not None and found != own) is same
    assert same or found == own


def test_a_template_needs_its_variables() -> None:
    """Before anything is decided."""
    with pytest.raises(InvalidRequest, match="does not give: what"):
        PROFILES.added(asked("agent/narrator"))
