"""Takes secrets out of what is shown: log lines, words of upstreams, dumps for debugging.

Secrets of ours have types that never show them; this is for texts that others wrote.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

HIDDEN: Final = "**********"
SHORTEST: Final = 8  # characters; shorter words are no secrets, and would be found everywhere

_HEADER: Final = re.compile(r"(?:.*[-_])?(?:authorization|cookie|key|token|secret|password)", re.IGNORECASE)
_NAMES: Final = (
    r"(?:api[-_]?key|(?:subscription|account|access)[-_]?key|(?:access|refresh|id)[-_]token|secret|token(?==)"
    r"|client[-_]assertion|authorization|password)"
)
_WORDS: Final = "(?:auth|credential|expected|required|incorrect|malformed|undefined|unsupported)"
_VALUE: Final = rf"(?!{_WORDS}[a-z-]*(?:\W|$))"  # and not a sentence about it
_QUOTED: Final = rf"(?:(?<=\"){_VALUE}[^\"]{{7,}}[^\"\\]|(?<='){_VALUE}[^']{{7,}}[^'\\])"
_BARE: Final = rf"(?![\w-]+ +\*){_VALUE}[^\s\"',;&}}]{{7,}}[^\s\"',;&}}\\]"
_PASSWORD: Final = re.compile(r"(?<=://)[^\s/\"'<>]+(?=@)")  # with the user's name; it may hold an @ itself
# Each takes time linear in the text: no run of characters is looked through from two places.
_PATTERNS: Final = (
    (re.compile(r"(?<![\w-])eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?"), HIDDEN),  # JSON web tokens
    (_PASSWORD, HIDDEN),
    (re.compile(rf"([?&](?:sig|token|key|{_NAMES})=)[^?&\s\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"([?&]code=)(?=[^?&\s\"'<>\d]*\d)[^?&\s\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"\b(Bearer|Basic) +{_VALUE}[\w.~+/=-]{{8,}}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(rf"(authorization ?[:=] ?[\w-]+ +){_BARE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        re.compile(rf"([(\[]b?\\*[\"'][\w-]*{_NAMES}\\*[\"'], ?b?\\*[\"']){_QUOTED}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(rf"({_NAMES}\\*[\"']? ?[:=] ?)(?:(\\*[\"']){_QUOTED}|{_BARE})", re.IGNORECASE),
        rf"\1\2{HIDDEN}",
    ),
)


def redacted(text: str, secrets: Collection[str] = ()) -> str:
    """`text` without these `secrets` and without what looks like one: tokens, signatures and keys by the name
    before them, passwords in URLs."""
    text = without(text, secrets)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def without(text: str, secrets: Collection[str]) -> str:
    """`text` without these `secrets`, nor the beginning of one that `text` was cut in."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
        for length in range(len(secret) - 1, SHORTEST - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + HIDDEN
    return text


def without_passwords(text: str) -> str:
    """`text` without users and passwords in its URLs."""
    return _PASSWORD.sub(HIDDEN, text)


def redacted_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same headers, with nothing said of those that carry secrets."""
    return [(name, HIDDEN if is_secret_header(name) else redacted(value)) for name, value in headers]


def is_secret_header(name: str) -> bool:
    """`api-key`, `authorization`, `x-functions-key`, `set-cookie` and their like."""
    return _HEADER.fullmatch(name) is not None


def secrets_of(head: bytes) -> tuple[str, ...]:
    """What the secret headers of a request's head hold, without the scheme before it."""
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\r\n"))
    return secrets_among((name, value) for name, _, value in lines)


def secrets_among(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The same of headers."""
    words = (value.rpartition(" ")[2] for name, value in headers if is_secret_header(name))
    return tuple(word for word in words if len(word) >= SHORTEST)
