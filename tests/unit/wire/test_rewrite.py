import json

import pytest
from msgspec import Raw

from smalt.errors import InvalidRequest
from smalt.wire.rewrite import (
    ask_for_usage,
    cap_completion_tokens,
    may_name_models,
    member,
    said,
    set_members,
    set_model,
)


def test_only_the_model_changes() -> None:
    """Every other value keeps its bytes: numbers, escapes, inner space, even invalid UTF-8."""
    body = b'{"t":1.0e-5,"model":"a","m":[ {"c" : "\\u00fc\xff"} ],"big":123456789012345678901234567890}'
    assert set_model(body, "b") == body.replace(b'"model":"a"', b'"model":"b"')


def test_a_missing_model_is_added() -> None:
    """A body of the classic surface gets the member it lacks."""
    assert set_model(b'{"a":1}', "b") == b'{"a":1,"model":"b"}'


def test_a_strange_name_is_quoted() -> None:
    """A name cannot break out of its string."""
    assert json.loads(set_model(b"{}", 'a","stream":true,"x":"ü')) == {"model": 'a","stream":true,"x":"ü'}


def test_a_repeated_member_is_sent_once() -> None:
    """Where a name comes twice the last one stays, so nobody can smuggle a second model past us."""
    assert set_model(b'{"model":"x","a":1,"model":"y","a":2}', "b") == b'{"model":"b","a":2}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a"}', False),
        (b'{"model":"a","messages":[{"content":"the \\"model\\" \\u00e9"}]}', False),
        (b'{"model":"a","model":"b"}', True),
        (b'{"model":"a","mod\\u0065l":"b"}', True),
        (b'{"\\u006Dodel":"b"}', True),
        (b"{}", True),
    ],
)
def test_which_bodies_may_name_two_models(body: bytes, expected: bool) -> None:
    """However the name of the member is spelled."""
    assert may_name_models(body) is expected


def test_members_are_set() -> None:
    """Those that are there in their place, others at the end; the rest keeps its bytes."""
    values = {"a": Raw(b"null"), "c": Raw(b'{"d":1.0}')}
    assert set_members(b'{"a":1,"b":[ 2 ]}', values) == b'{"a":null,"b":[ 2 ],"c":{"d":1.0}}'


def test_what_a_body_says() -> None:
    """Null says nothing."""
    assert said(b'{"a":null,"b":0,"c":false,"d":"null"}') == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"stream":true}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":{}}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":{"include_usage":false}}', b'{"stream_options":{"include_usage":true}}'),
        (
            b'{"stream_options":{"x":1.50},"a":[1, 2]}',
            b'{"stream_options":{"x":1.50,"include_usage":true},"a":[1, 2]}',
        ),
    ],
)
def test_usage_is_asked_for(body: bytes, expected: bytes) -> None:
    """The option is switched on, and everything around it stays."""
    assert ask_for_usage(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"max_tokens":5}', b'{"max_completion_tokens":5}'),
        (
            b'{"a":1.0e-5,"max_tokens":5,"m":[ {"c" : "\\u00fc\xff"} ],"z":null}',
            b'{"a":1.0e-5,"max_completion_tokens":5,"m":[ {"c" : "\\u00fc\xff"} ],"z":null}',
        ),
        (b'{"max_completion_tokens":null,"max_tokens":5}', b'{"max_completion_tokens":5}'),
        (b'{"max_tokens":5,"a":1,"max_completion_tokens":null}', b'{"max_completion_tokens":5,"a":1}'),
        (b'{"max_tokens":"many"}', b'{"max_completion_tokens":"many"}'),
    ],
)
def test_the_cap_gets_its_newer_name(body: bytes, expected: bytes) -> None:
    """In its place and with its value, whatever that is."""
    assert cap_completion_tokens(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"max_tokens":null}',
        b'{"max_completion_tokens":5}',
        b'{"max_tokens":5,"max_completion_tokens":6}',
        b'{"a":{"max_tokens":5}}',
    ],
)
def test_a_cap_that_is_absent_or_told_twice_stays(body: bytes) -> None:
    """Nothing to rename, or nothing that smalt could decide."""
    assert cap_completion_tokens(body) is body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"\xff":1}',
        b'{"\\ud800":1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_cannot_be_taken_apart_is_refused(body: bytes) -> None:
    """A body that only a rewrite finds unreadable is still the caller's error."""
    with pytest.raises(InvalidRequest):
        set_model(body, "b")
    with pytest.raises(InvalidRequest):
        ask_for_usage(body)
    with pytest.raises(InvalidRequest):
        cap_completion_tokens(body)


def test_strange_options_are_refused() -> None:
    """Stream options that are no object are the caller's error."""
    with pytest.raises(InvalidRequest):
        ask_for_usage(b'{"stream_options":[1]}')


def test_a_member_is_its_json() -> None:
    """One that is null is missing."""
    body = b'{"a":[1.0e0, 2],"b":null}'
    assert member(body, "a") == Raw(b"[1.0e0, 2]")
    assert (member(body, "b"), member(body, "c")) == (None, None)
