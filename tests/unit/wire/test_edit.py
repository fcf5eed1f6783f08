"""Edits change what they are for and keep the bytes of the rest."""

import pytest

from smalt.wire.edit import Edit, apply, each, every_member, in_turn, members, text, when, without

LOUD = text(str.upper)


@pytest.mark.parametrize(
    ("edit", "body", "expected"),
    [
        (LOUD, b'"a\\u00fc"', '"AÜ"'.encode()),
        (each(LOUD), b'["a", 1.0 ,null,"b"]', b'["A",1.0,null,"B"]'),
        (members({"a": LOUD}), b'{"b" : [1, 2],"a":"x"}', b'{"b":[1, 2],"a":"X"}'),
        (members({"a": LOUD}), b'{"a":"x","b":1e5,"a":"y"}', b'{"a":"Y","b":1e5}'),
        (
            members({"a": each(members({"b": LOUD}))}),
            b'{"a":[{"b":"x","c":"\xff"}]}',
            b'{"a":[{"b":"X","c":"\xff"}]}',
        ),
        (every_member(LOUD), b'{"a":"x","b":"y","c":[ ]}', b'{"a":"X","b":"Y","c":[ ]}'),
        (without({"a", "b"}), b'{"a":1,"c":"\\/","b":2}', b'{"c":"\\/"}'),
        (when("t", (b"true",), members({"a": LOUD})), b'{"a":"x","t":true}', b'{"a":"X","t":true}'),
        (in_turn(members({"a": LOUD}), without({"b"})), b'{"a":"x","b":1}', b'{"a":"X"}'),
    ],
)
def test_what_an_edit_changes(edit: Edit, body: bytes, expected: bytes) -> None:
    """Only what it is for; numbers, escapes and inner space stay as they were written."""
    assert apply(edit, body) == expected


@pytest.mark.parametrize(
    ("edit", "body"),
    [
        (LOUD, b'"A"'),
        (LOUD, b"5"),
        (LOUD, b'"\\ud800"'),
        (each(LOUD), b'["A", 1 ]'),
        (each(LOUD), b'{"a":"x"}'),
        (members({"a": LOUD}), b'{"b" : "x"}'),
        (members({"a": LOUD}), b'{"a" :"X"}'),
        (members({"a": LOUD}), b'["a"]'),
        (members({"a": LOUD}), b'{"a":"x","\xff":1}'),
        (every_member(LOUD), b'{ "a" : "X" }'),
        (every_member(LOUD), b"null"),
        (without({"a"}), b'{"b" : 1}'),
        (without({"a"}), b"5"),
        (when("t", (b"true",), members({"a": LOUD})), b'{"a":"x","t":false}'),
        (when("t", (b"true",), members({"a": LOUD})), b'{"a":"x"}'),
        (when("t", (b"true",), LOUD), b'"x"'),
        (in_turn(), b'{"a" : 1}'),
    ],
)
def test_where_there_is_nothing_to_change(edit: Edit, body: bytes) -> None:
    """The very same object, and whatever is of another kind, or unreadable, is left alone."""
    assert apply(edit, body) is body
