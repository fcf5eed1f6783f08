"""From YAML to plain data with positions."""

from pathlib import Path

import pytest

from smalt.config.document import Place
from smalt.config.read import merge, parse, read_file
from smalt.errors import ConfigurationError


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "smalt.yaml")
    (problem,) = caught.value.problems
    return problem


def test_every_key_and_item_has_its_position() -> None:
    """Lines and columns count from 1; inside one line too."""
    places = parse("a:\n  b: [x, {c: 1}]\n", "smalt.yaml").places
    assert places["a",] == Place("smalt.yaml", 1, 1)
    assert places["a", "b"] == Place("smalt.yaml", 2, 3)
    assert places["a", "b", 0] == Place("smalt.yaml", 2, 7)
    assert places["a", "b", 1, "c"] == Place("smalt.yaml", 2, 11)


def test_values_stay_text() -> None:
    """Dates, numbers and booleans mean what the schema makes of them."""
    document = parse("v: 2024-10-21\nn: 007\nb: true\nq: '5'\nt: !foo bar\n", "smalt.yaml")
    assert document.data == {"v": "2024-10-21", "n": "007", "b": "true", "q": "5", "t": "bar"}


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_an_empty_value_is_none(nothing: str) -> None:
    """A key without a value is there, with nothing in it."""
    assert parse(f"a: {nothing}\n", "smalt.yaml").data == {"a": None}


def test_anchors_may_be_used() -> None:
    """What is written once may be used twice."""
    document = parse("a: &x {k: v}\nb: *x\n", "smalt.yaml")
    assert document.data == {"a": {"k": "v"}, "b": {"k": "v"}}


def test_an_anchor_may_be_used_again() -> None:
    """It is legal; a warning would quote the file, keys and all."""
    assert parse("{a: &x 1, b: &x 2, c: *x}", "f").data["c"] == "2"


def test_duplicate_keys_are_problems_and_reading_goes_on() -> None:
    """YAML readers often keep the last of two; here both places are worth a look."""
    document = parse("a: 1\nb: {c: 1, c: 2}\na: 3\n", "smalt.yaml")
    assert [str(problem) for problem in document.problems] == [
        "smalt.yaml:2:11: b.c: duplicate key",
        "smalt.yaml:3:1: a: duplicate key",
    ]


def test_a_key_must_be_text() -> None:
    """YAML allows lists as keys; smalt does not."""
    assert [str(problem) for problem in parse("? [a]\n: 1\n", "smalt.yaml").problems] == [
        "smalt.yaml:1:3: ?: expected text as a key"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "smalt.yaml: the file is empty"),
        ("# only a comment\n", "smalt.yaml: the file is empty"),
        ("- a\n", "smalt.yaml:1:1: expected a mapping at the top, such as 'resources:'"),
        ("text", "smalt.yaml:1:1: expected a mapping at the top, such as 'resources:'"),
        (
            "a: [b",
            (
                "smalt.yaml:1:6: not valid YAML: "
                "a list is not closed by ']', lacks a comma, or has a text to be quoted"
            ),
        ),
        ("a:\n  b: 'c", "smalt.yaml:2:8: not valid YAML: a quote is not closed"),
        ("a: b: c", "smalt.yaml:1:5: not valid YAML: a second ': ' in one line; put the value in quotes"),
        ("a:\n\t- b", "smalt.yaml:2:1: not valid YAML: a tab; indent with spaces"),
        (
            "a: 1\n---\nb: 2\n",
            "smalt.yaml:2:1: not valid YAML: a second document after '---'; one file is one document",
        ),
        ("a: \x00", "smalt.yaml: not valid YAML: it holds a character or directive that YAML does not allow"),
        (
            'a: "\\UFFFFFFFF"',
            "smalt.yaml: not valid YAML: it holds a character or directive that YAML does not allow",
        ),
        (
            "%YAML 1.11",
            "smalt.yaml: not valid YAML: it holds a character or directive that YAML does not allow",
        ),
        ("a: " + "[" * 500, "smalt.yaml: not valid YAML: nested too deeply"),
        (
            "a: *b",
            "smalt.yaml:1:4: not valid YAML: '*' begins an alias; put a name that begins with it in quotes",
        ),
        ("a: &a [*a]", "smalt.yaml:1:4: too large, or an alias that holds itself"),
    ],
)
def test_what_is_no_usable_yaml_is_one_clear_line(text: str, problem: str) -> None:
    """With the position where there is one; never a traceback."""
    assert refusal(text).startswith(problem)


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    """A few lines that stand for billions of values are refused."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "too large" in refusal("\n".join(lines))


def test_a_syntax_error_does_not_repeat_what_stands_there() -> None:
    """It may be part of a key."""
    for text in ("[*s3cret]", "[*s3c'cret\"]", "!s3cret!x y", '"\\s3cret"'):
        assert "s3c" not in refusal(f"api_keys: {text}")


def test_files_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    """Missing, a directory, not text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, message in {
        "missing": "missing: no such file",
        ".": ".: is a directory, expected a file",
        "binary": "binary: is not UTF-8 text",
        "nu\0ll": "nu\0ll: cannot be read: embedded null byte",
        "binary/x": "binary/x: cannot be read: Not a directory",
    }.items():
        with pytest.raises(ConfigurationError) as caught:
            read_file(tmp_path / name, name)
        assert caught.value.problems == (message,)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfa: b")
    assert read_file(tmp_path / "f", "f").data == {"a": "b"}


def test_an_overlay_merges_mappings_and_replaces_the_rest() -> None:
    """Positions name the file a value came from."""
    base = parse("a: {b: 1, c: [1, 2]}\nd: 4\n", "base")
    over = parse("\n\na: {c: [3], e: {f: 5}}\n", "over")
    merged = merge(base, over)
    assert merged.data == {"a": {"b": "1", "c": ["3"], "e": {"f": "5"}}, "d": "4"}
    assert merged.places["a", "c"].file == "over"
    assert merged.places["a", "b"].file == "base"


@pytest.mark.parametrize(
    ("text", "place"),
    [(r'a: "x\ud800"', "1:4"), (r'"\udfff": 1', "1:1"), ("a:\n- " + r'{b: "\ud83d\ude00"}', "2:7")],
)
def test_half_a_character_is_refused(text: str, place: str) -> None:
    """The check of the settings would never end."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "smalt.yaml")
    assert caught.value.problems == (
        rf"smalt.yaml:{place}: '\ud800' to '\udfff' are no characters; write the character itself",
    )
