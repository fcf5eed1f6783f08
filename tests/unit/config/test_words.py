"""What other tools call things."""

from typing import get_args

import pytest

from smalt.config.identity import Identity
from smalt.config.keys import fields_at
from smalt.config.schema import Agent
from smalt.config.section import Section
from smalt.config.words import OTHER_VALUES, OTHER_WORDS, is_near, suggest
from smalt.core.strategies import STRATEGIES


def test_other_tools_words_lead_to_keys_that_exist() -> None:
    """A suggestion that is itself unknown would help nobody."""
    sections: list[type[Section]] = [*Section.__subclasses__(), Agent]
    known = {name for section in sections for name in section.model_fields}
    for target in OTHER_WORDS.values():
        head, _, tail = target.partition(".")
        assert head in known
        assert not tail or tail in fields_at((head,))


def test_other_tools_values_lead_to_ours() -> None:
    """The same for strategies and identities."""
    kinds = get_args(Identity.model_fields["kind"].annotation)
    assert set(OTHER_VALUES.values()) <= {*STRATEGIES, *kinds}


def test_a_word_known_here_wins_over_the_same_word_elsewhere() -> None:
    """`timeout` of another tool, but a near miss of a key right here."""
    assert suggest("keys", ["key", "alias"]) == "key"
    assert suggest("Keys", ["api_keys", "alias"]) == "api_keys"
    assert suggest("zzz", ["key"]) is None


@pytest.mark.parametrize(
    ("word", "path", "meant"),
    [
        ("model_list", ("resources", "e"), "deployments"),
        ("litellm_params", ("resources", "e", "deployments", "d"), "deployments"),
        ("general_settings", (), "gateway"),
        ("azure_ad_token", ("resources", "e"), "identity"),
        ("tenant", ("resources", "e", "identity"), "tenant_id"),
        ("client", ("resources", "e", "identity"), "client_id"),
        ("https_proxy", ("network",), "proxy"),
        ("https_proxy", (), "network.proxy"),
        ("system_prompt", ("agents", "a"), "instructions"),
    ],
)
def test_other_tools_words_are_understood(word: str, path: tuple[str, ...], meant: str) -> None:
    """Where they are written, or where their meaning has its place."""
    assert suggest(word, fields_at(path)) == meant


def test_a_slip_of_the_pen() -> None:
    """Nearer than what only sounds alike."""
    assert is_near("Endpont", "endpoint")
    assert not is_near("strategy", "store")
    assert not is_near("strategy", None)
