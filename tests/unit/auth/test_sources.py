"""Where secrets come from, and what is said when they cannot be had."""

import base64
import json
import time
from pathlib import Path

import pytest

from smalt.auth.sources import (
    ALWAYS,
    LOOKED_AT_S,
    Function,
    Reading,
    SecretFile,
    Unreadable,
    left_s,
    said,
    secret_now,
    token_reading,
)


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    """Somebody else writes it; the line end is not part of the secret."""
    file = tmp_path / "key"
    source = SecretFile(str(file))
    for secret in ("one", "two"):
        file.write_text(f"{secret}\n")
        assert source.read(afresh=False) == Reading(secret)
    assert secret_now(f"file:{file}") == "two"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"", "it is empty"),
        (b"\xff", "not a text file"),
        (b"two words", "must not hold spaces"),
    ],
)
def test_a_file_without_a_secret_says_so(tmp_path: Path, content: bytes | None, says: str) -> None:
    """With its path, not with what is in it."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Unreadable, match=says) as caught:
        SecretFile(str(file)).read(afresh=False)
    assert str(file) in str(caught.value)
    assert "two words" not in str(caught.value)


def test_a_secret_may_stand_for_itself() -> None:
    """What is no reference is the secret."""
    assert secret_now("s3cret") == "s3cret"


def test_a_token_of_a_function_lives_as_long_as_it_says() -> None:
    """A function keeps its tokens itself: it is asked often, and before the token is over."""
    token = jwt(exp=time.time() + 3_600)  # noqa: TID251  tokens carry wall time
    reading = Function(lambda: token).read(afresh=False)
    assert reading.text == token
    assert reading.fresh_s == LOOKED_AT_S
    assert 3_585 < reading.good_s <= 3_595
    assert Function(lambda: "opaque").read(afresh=False) == Reading("opaque", LOOKED_AT_S, ALWAYS)


def test_a_function_knows_better_than_a_clock() -> None:
    """A token that seems to be over is sent all the same, and asked for again soon."""
    token = jwt(exp=1)
    assert Function(lambda: token).read(afresh=False) == Reading(token, LOOKED_AT_S)


@pytest.mark.parametrize("token", ["opaque", "a.b", "a.b.c", "a.e30.c", jwt(exp="soon"), f"{jwt(exp=1)}.d.e"])
def test_what_does_not_say_when_it_ends(token: str) -> None:
    """Opaque tokens, encrypted ones, and other people's dots."""
    assert left_s(token, 12.0) == 12.0


def test_a_function_that_fails() -> None:
    """Its error is told; so is what is no text."""

    def fails() -> str:
        raise OSError("nobody is\nlogged in")

    with pytest.raises(Unreadable, match="the function for it failed: nobody is logged in"):
        Function(fails).read(afresh=False)
    with pytest.raises(Unreadable, match="gave int, expected text"):
        Function(lambda: 1).read(afresh=False)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("left_s", "fresh_s", "good_s"),
    [(3_600, 3_310, 3_595), (86_400, 86_110, 86_395), (40, 36, 38), (ALWAYS, ALWAYS, ALWAYS)],
)
def test_tokens_are_renewed_ahead_of_their_end(left_s: float, fresh_s: float, good_s: float) -> None:
    """After azure-identity's own 300 s, or late in short lives; and not sent to the very end."""
    assert token_reading("t", left_s) == Reading("t", fresh_s, good_s)


def test_a_reading_does_not_show_itself() -> None:
    """Neither as text nor in a traceback's locals."""
    assert "s3cret" not in f"{Reading('s3cret')!r} {Reading('s3cret')}"


def test_what_an_error_says_is_one_bearable_line() -> None:
    """Its type, if it says nothing."""
    assert said(ValueError("a\n  b")) == "a b"
    assert said(ValueError()) == "ValueError"
    assert len(said(ValueError("x" * 5_000))) == 500
