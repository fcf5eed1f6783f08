"""Keys as people type them."""

from typing import Any

import pytest

from smalt.config.document import KeyPath, dotted
from smalt.config.identity import Identity
from smalt.config.keys import fields_at, homes, key_path, kind_at
from smalt.errors import ConfigurationError


@pytest.mark.parametrize(
    "path",
    [
        ("adapt",),
        ("retry", "max_attempts"),
        ("models", "gpt-4.1", "strategy"),
        ("models", "gpt-4.1", "route", 0),
        ("models", "gpt-4o", "route", 0, 1),
        ("models", "gpt-4.1*", "defaults", "temperature"),
        ("resources", "east", "api_keys", 1),
        ("resources", "my.east", "deployments", "azure/gpt-4.1-mini", "model"),
        ("resources", "east", "deployments", "gpt-4.1"),
        ("resources", "east", "identity", "kind"),
        ("gateway", "keys", 0, "models", 2),
        ("quotas", "gpt-4.1"),
        ("residency", "eu", 0),
        ("resources",),
    ],
)
def test_a_path_is_found_in_what_is_typed(path: KeyPath) -> None:
    """Also where names hold dots."""
    assert key_path(dotted(path)) == path


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("modles.gpt-4o.strategy", "; did you mean 'models'?"),
        ("models.gpt-4o.strategi", "; did you mean 'strategy'?"),
        ("models.gpt-4.1.strategi", "; did you mean 'strategy'?"),
        ("resources.east.api_base", "; did you mean 'endpoint'?"),
        ("resources.east.deployments.gpt-4.1.tpm", "; did you mean 'quota_tpm'?"),
        ("zzz", ""),
        ("", ""),
        ("retry.", ""),
        ("retry[0]", ""),
        ("adapt.x", ""),
        ("teams.a.b[0]", ""),
    ],
)
def test_what_no_setting_is_called(text: str, hint: str) -> None:
    """With what may have been meant."""
    if text == "teams.a.b[0]":
        assert key_path("teams.a.b") == ("teams", "a.b")
    with pytest.raises(ConfigurationError) as caught:
        key_path(text)
    assert str(caught.value) == f"'{text}' is no key of smalt.yaml{hint}"


@pytest.mark.parametrize(
    ("path", "kind"),
    [(("adapt",), bool), (("resources", "e", "region"), str), (("resources", "e", "identity"), Identity)],
)
def test_the_type_of_a_setting_is_known(path: KeyPath, kind: Any) -> None:
    """Without what may be none."""
    assert kind_at(path) is kind


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ((), "resources"),
        (("resources", "e"), "endpoint"),
        (("resources", "e", "identity"), "client_id"),
        (("resources", "e", "deployments", "d"), "sku"),
        (("gateway", "keys", 0), "alias"),
    ],
)
def test_the_keys_of_every_place_are_known(path: tuple[str | int, ...], field: str) -> None:
    """Through names, lists and optional sections."""
    assert field in fields_at(path)


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("strategy", "models.<name>"),
        ("sku", "resources.<name>.deployments.<name>"),
        ("alias", "gateway.keys[0]"),
        ("model", "resources.<name>.deployments.<name> or agents.<name>"),
        ("temperature", "models.<name>.defaults or agents.<name>"),
        ("api_version", "resources.<name> or resources.<name>.deployments.<name>"),
        ("client_id", "resources.<name>.identity or key_vault.identity"),
        ("zzz", ""),
    ],
)
def test_where_a_key_belongs(word: str, place: str) -> None:
    """If there are not too many places."""
    assert homes(word) == place
