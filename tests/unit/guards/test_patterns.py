"""The patterns find what has the form of a secret or of personal data, and leave the rest."""

import time

import pytest

from smalt.errors import PolicyDenied
from smalt.gateway.guarded_texts import replaced
from smalt.guards.patterns import Patterns

AZURE_KEY = "A1b2" * 13 + "JQQJ99BAACYeBjFXJ3w3AAABACOGabcd"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln"


def masked(text: str, guard: Patterns | None = None) -> str:
    return replaced(text, (guard or Patterns()).request(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"the key is {AZURE_KEY}.", "the key is [azure key]."),
        ('{"api-key": "0123456789abcdef0123456789abcdef"}', '{"api-key": "[azure key]"}'),
        (f"Bearer {TOKEN},", "Bearer [json web token],"),
        ("AccountKey=abcdefghijklmnopqrstuv==;x", "[storage key];x"),
        ("sk-proj-abcdefghijklmnopqrst", "[api key]"),
        ("AKIAABCDEFGHIJKLMNOP and ASIAABCDEFGHIJKLMNOP", "[aws key] and [aws key]"),
        ("ghp_" + "a" * 36, "[github token]"),
        ("xoxb-12345678901", "[slack token]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nab+/==\n-----END", "[private key]"),
        ("write to ada.l@mail.example.com!", "write to [email]!"),
        ("4111 1111 1111 1111", "[card number]"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [iban]."),
        ("123-45-6789", "[social security number]"),
        (r'{"a": "x\nsk-abcdefghijklmnopqrstuvw"', r'{"a": "x\n[api key]"'),
        (r"x\tada@example.com", r"x\t[email]"),
        ("call +49 (30) 123-4567 now", "call [phone number] now"),
    ],
)
def test_what_is_found(text: str, expected: str) -> None:
    """Nothing around it is lost."""
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111 1111 1111 1112 has a wrong check digit",
        "DE88 3704 0044 0532 0130 00",
        "0123456789abcdef0123456789abcdef is a checksum",
        "task-abcdefghijklmnopqrstuvw, risk_abcdefghijklmnopqrstuvw",
        "1 + 2345678 = 2345679; 2026-11-21; 10.0.0.1; version 1.2.3",
        "@decorated, a @ b, me@localhost",
        "123-45-67890",
    ],
)
def test_what_is_left(text: str) -> None:
    """Numbers and words that only look alike."""
    assert masked(text) == text


def test_what_it_looks_for_can_be_told() -> None:
    """By kind, and by side."""
    text = "ada@example.com AKIAABCDEFGHIJKLMNOP"
    assert masked(text, Patterns(find=["secrets"])) == "ada@example.com [aws key]"
    assert masked(text, Patterns(find=["pii"])) == "[email] AKIAABCDEFGHIJKLMNOP"
    only_answers = Patterns(on=["answer"])
    assert masked(text, only_answers) == text
    assert replaced(text, only_answers.answer(text)) == "[email] [aws key]"


def test_a_refusal_does_not_repeat_what_was_found() -> None:
    """Only what it is."""
    guard = Patterns(action="refuse")
    with pytest.raises(PolicyDenied, match=r"^the text holds what looks like: email$"):
        list(guard.request("ada@example.com"))
    assert list(guard.request("nothing")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"find": ["names"]}, r"find: expected pii or secrets, got \['names'\]"),
        ({"find": "pii"}, "find: expected pii or secrets, got 'pii'"),
        ({"action": "hide"}, r"action: expected mask or refuse, got \['hide'\]"),
        ({"on": ["both"]}, "on: expected answer or request"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    """One line each."""
    with pytest.raises(ValueError, match=message):
        Patterns(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece", ["a", "a.", "1", "1 ", "eyJ", "-----BEGIN ", "sk-", "+1", "A1 ", "a@b.", "%"]
)
def test_time_is_linear(piece: str) -> None:
    """Whoever writes the text: no more for twice the length than a few times as much."""

    def took_s(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.process_time()
        masked(text)
        return time.process_time() - began

    assert took_s(200_000) < 12 * max(took_s(50_000), 0.005)
