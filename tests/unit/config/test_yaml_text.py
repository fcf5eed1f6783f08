"""Settings as YAML that people read."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from smalt.config.document import KeyPath
from smalt.config.yaml_text import yaml_text

DATA = {
    "resources": {
        "east": {
            "endpoint": "https://contoso.openai.azure.com",
            "api_keys": ["${KEY1}", "${KEY2:-}"],
            "deployments": {"gpt-4o-prod": {"model": "gpt-4o", "weight": 3}},
        }
    },
    "models": {"gpt-4.1*": {"route": ["east", ["east/a", "east/b"]]}},
    "adapt": True,
}


def test_what_is_short_stands_on_one_line() -> None:
    """Mappings and lists of single values, and routes."""
    assert (
        yaml_text(DATA)
        == """\
resources:
  east:
    endpoint: https://contoso.openai.azure.com
    api_keys: ["${KEY1}", "${KEY2:-}"]
    deployments:
      gpt-4o-prod: {model: gpt-4o, weight: 3}
models:
  gpt-4.1*:
    route: [east, [east/a, east/b]]
adapt: true
"""
    )


def test_comments_above() -> None:
    """Indented as what they are about; None leaves a blank."""
    comments: dict[KeyPath, str] = {("a",): "first\n\nsecond", ("a", "b"): "inner"}
    assert yaml_text({"a": {"b": None}}, comments) == "# first\n#\n# second\na:\n  # inner\n  b:\n"


def test_comments_beside() -> None:
    """Each value has its own line then; those of a list are said once if they are the same."""
    data = {"a": {"b": 1, "c": 2}, "d": ["x", "z"], "e": ["x", "z"], "f": {"g": 1}}
    notes: dict[KeyPath, str] = {
        ("a", "b"): "f:1",
        ("d", 0): "f:2",
        ("d", 1): "f:2",
        ("e", 0): "f:3",
        ("e", 1): "f:4",
    }
    assert yaml_text(data, beside=notes) == (
        "a:\n  b: 1  # f:1\n  c: 2\nd: [x, z]  # f:2\ne:\n  - x  # f:3\n  - z  # f:4\nf: {g: 1}\n"
    )


def test_mappings_in_lists() -> None:
    """On a line each, unless one of their values has a comment."""
    data = {"keys": [{"alias": "ci", "models": ["a"] * 30}, {"alias": "b"}]}
    shown = yaml_text(data, beside={("keys", 0, "alias"): "f:1"})
    assert shown.startswith("keys:\n  -\n    alias: ci  # f:1\n    models: [a,")
    assert shown.endswith("  - {alias: b}\n")
    assert YAML(typ="safe").load(shown) == data


@pytest.mark.parametrize(
    "text", ["", "true", "No", "null", "12", "1.5m", "2024-10-21", "a: b", "a #b", "*x", "- a", "a,b", "a:"]
)
def test_text_stays_text(text: str) -> None:
    """It is quoted where YAML would read something else; also within brackets, and as a key."""
    data = {"a": text, "b": [text, {text: text}]}
    assert YAML(typ="safe").load(yaml_text(data)) == data


LEAVES = st.text("abcxyz019 :#-*&!{}[],'\"$.~%@\n\u00e4\u20ac") | st.integers() | st.booleans()


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text("ab1:#- ", min_size=1),
        st.recursive(
            LEAVES, lambda c: st.lists(c) | st.dictionaries(st.text("ab1:# ", min_size=1), c), max_leaves=6
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_written_is_read(data: dict[str, Any]) -> None:
    """By any YAML reader, whatever it is."""
    assert YAML(typ="safe").load(yaml_text(data)) == data
