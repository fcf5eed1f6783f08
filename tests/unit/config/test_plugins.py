"""Functions and classes are named as `package.module:name`."""

import sys
from pathlib import Path

import pytest

from smalt.config.plugins import is_reference, load
from smalt.guards.patterns import Patterns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b", True),
        ("a.b1:C_d", True),
        ("a", False),
        ("a:", False),
        (":b", False),
        ("a:1b", False),
        ("a-b:c", False),
    ],
)
def test_the_form(text: str, expected: bool) -> None:
    assert is_reference(text) == expected


def test_what_is_there_is_loaded() -> None:
    assert load("smalt.guards.patterns:Patterns") is Patterns


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says why."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_plugin.py").write_text("def f(:")
    for reference, cause in (
        ("no_such_module:x", "No module named 'no_such_module'"),
        ("smalt.guards:Nothing", "has no attribute 'Nothing'"),
        ("broken_plugin:f", "invalid syntax"),
    ):
        with pytest.raises(ImportError, match=cause):
            load(reference)
    sys.modules.pop("broken_plugin", None)
