"""Lines for the shell."""

import shlex

from smalt.cli.curl import curl


def test_the_shell_sees_what_was_meant() -> None:
    """Quotes and question marks come through."""
    words = shlex.split(curl("http://h/p?v=1", "api-key: k", {"say": "it's"}))
    assert words[:5] == ["curl", "-s", "http://h/p?v=1", "-H", "api-key: k"]
    assert words[-2:] == ["-d", '{"say": "it\'s"}']


def test_a_variable_is_left_to_the_shell() -> None:
    """So the secret it holds is not shown."""
    assert '-H "authorization: Bearer $KEY"' in curl("u", "authorization: Bearer ", {}, variable="KEY")
