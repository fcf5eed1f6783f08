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


def test_a_certificate_authority_is_named() -> None:
    """Only where there is one."""
    assert "curl -s --cacert 'a b/ca.pem' https://h" in curl("https://h", "a: b", {}, ca_file="a b/ca.pem")
    assert "--cacert" not in curl("http://h", "a: b", {})
