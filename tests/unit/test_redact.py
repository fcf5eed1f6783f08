"""What is taken out of a text before it is shown, and what is not."""

import time

import pytest

from smalt.redact import HIDDEN, is_secret_header, redacted, redacted_headers, secrets_of

pytestmark = pytest.mark.security

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {JWT} refused", f"token {HIDDEN} refused"),
        (f"token {JWT.rpartition('.')[0]}.", f"token {HIDDEN}"),
        ("http://me:hush@proxy:3128 is down", f"http://{HIDDEN}@proxy:3128 is down"),
        ("https://s.blob.core/a?sv=1&sig=aB%2f9&x=1", f"https://s.blob.core/a?sv=1&sig={HIDDEN}&x=1"),
        ("/admin?code=abc123", f"/admin?code={HIDDEN}"),
        ("GET /v1?api-key=0123456789", f"GET /v1?api-key={HIDDEN}"),
        ("GET /v1?x=1&TOKEN=abc", f"GET /v1?x=1&TOKEN={HIDDEN}"),
        ("Authorization: Bearer abcdefgh.ijkl", f"Authorization: Bearer {HIDDEN}"),
        ("bearer  abcdefghijkl", f"bearer {HIDDEN}"),
        ("Proxy-Authorization: Basic bWU6aHVzaA==", f"Proxy-Authorization: Basic {HIDDEN}"),
        ("x-azure-api-key: 0123456789abc", f"x-azure-api-key: {HIDDEN}"),
        ('{"api_key": "0123456789abc", "b": 1}', f'{{"api_key": "{HIDDEN}", "b": 1}}'),
        ("AZURE_OPENAI_API_KEY=0123456789abc", f"AZURE_OPENAI_API_KEY={HIDDEN}"),
        ("client_secret=s3cr3ts3cr3t&grant_type=x", f"client_secret={HIDDEN}&grant_type=x"),
        ('{"access_token":"opaque-token-1"}', f'{{"access_token":"{HIDDEN}"}}'),
        ("http://me:p@ss@proxy:3128 is down", f"http://{HIDDEN}@proxy:3128 is down"),
        (f"token eyJ{'a' * 5000}.{'b' * 5000}.c", f"token {HIDDEN}"),
        (r'{"a": "{\"api_key\": \"0123456789abc\"}"}', rf'{{"a": "{{\"api_key\": \"{HIDDEN}\"}}"}}'),
        ("('api-key', '0123456789abc')", f"('api-key', '{HIDDEN}')"),
        ("[(b'x-api-key', b'0123456789abc')]", f"[(b'x-api-key', b'{HIDDEN}')]"),
        ("AccountName=a;AccountKey=aB+/0123==;x=1", f"AccountName=a;AccountKey={HIDDEN};x=1"),
        ("secret=hush-hush, token=hush-hush", f"secret={HIDDEN}, token={HIDDEN}"),
        ("authorization: Negotiate YIIabcdefg", f"authorization: Negotiate {HIDDEN}"),
        ('{"Authorization": "Negotiate YIIabcdefg"}', f'{{"Authorization": "{HIDDEN}"}}'),
        ('{"password": "correct horse, battery"}', f'{{"password": "{HIDDEN}"}}'),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    """And nothing else of the text."""
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "attempt 1/5 on east/gpt-4o (eastus): 429 Rate limit is exceeded.",
        "Access denied due to invalid subscription key or wrong API endpoint.",
        "https://contoso.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
        "x-ms-client-request-id: 0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f",
        '{"max_tokens": 100, "token": 5}',
        '{"token": " internationalization", "logprob": -0.1}',
        "https://login/callback?code=InvalidRequest",
        "Basic authentication-required",
        "Bearer authorization is needed",
        "id_token: expected string",
        '{"id_token": "expected string"}',
        "me@contoso.com wrote: the key is under the mat",
        "",
    ],
)
def test_everything_else_stays(text: str) -> None:
    """A text that is garbled helps nobody."""
    assert redacted(text) == text


def test_known_secrets_are_hidden_wherever_they_stand() -> None:
    """Whatever they look like."""
    assert redacted("a hush-hush b hush-hush", ["hush-hush"]) == f"a {HIDDEN} b {HIDDEN}"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(
            (name, True)
            for name in ("api-key", "Authorization", "Proxy-Authorization", "Set-Cookie", "cookie")
        ),
        *(
            (name, True)
            for name in ("ocp-apim-subscription-key", "x-api-key", "X-Azure-API-Key", "x-ms-token")
        ),
        *(
            (name, False)
            for name in ("content-type", "x-ms-client-request-id", "x-keyless", "monkey", "host")
        ),
    ],
)
def test_which_headers_hold_secrets(name: str, *, secret: bool) -> None:
    """Known by the last word of their names."""
    assert is_secret_header(name) is secret


def test_headers_are_shown_without_secrets() -> None:
    """Values of other headers are looked through."""
    headers = [("api-key", "k"), ("location", "http://me:hush@host/a"), ("x-a", "b")]
    assert redacted_headers(headers) == [
        ("api-key", HIDDEN),
        ("location", f"http://{HIDDEN}@host/a"),
        ("x-a", "b"),
    ]


def test_the_secrets_of_a_request() -> None:
    """Without the scheme; short words are none."""
    head = b"POST / HTTP/1.1\r\napi-key: 0123456789\r\ncookie: a\r\nauthorization: Bearer abcdefgh\r\n\r\n"
    assert secrets_of(head) == ("0123456789", "abcdefgh")


@pytest.mark.parametrize(
    "part",
    [
        "eyJ-",
        "eyJaaaaaa.",
        "a-",
        "api-key",
        "://a@",
        "Bearer ",
        "?sig",
        "?code=",
        "=",
        "('api-key",
        "\\",
        "key: '",
    ],
)
def test_no_text_takes_long(part: str) -> None:
    """A megabyte made to be slow; what took the square of its length took minutes."""
    started_s = time.process_time()
    redacted(part * (1_000_000 // len(part)))
    assert time.process_time() - started_s < 3
