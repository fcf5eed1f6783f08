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
    r"(?:api[-_]?key|subscription[-_]key|(?:access|refresh|id)[-_]token|client[-_](?:secret|assertion)"
    r"|authorization|password)"
)
_PATTERNS: Final = (
    (re.compile(r"\beyJ[\w-]{6,4096}\.[\w-]{6,4096}(?:\.[\w-]*)?"), HIDDEN),  # JSON web tokens
    (re.compile(r"(?<=://)[^\s/@\"'<>]+(?=@)"), HIDDEN),  # user and password of a URL
    (re.compile(rf"([?&](?:sig|code|token|key|{_NAMES})=)[^&\s\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic) +[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(rf"({_NAMES}[\"']? ?[:=] ?[\"']?)(?!Bearer |Basic |\*)[^\s\"',;&}}]{{8,}}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
)


def redacted(text: str, secrets: Collection[str] = ()) -> str:
    """`text` without these `secrets` and without what looks like one: tokens, signatures and keys by the name
    before them, passwords in URLs."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def redacted_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same headers, with nothing said of those that carry secrets."""
    return [(name, HIDDEN if is_secret_header(name) else redacted(value)) for name, value in headers]


def is_secret_header(name: str) -> bool:
    """`api-key`, `authorization`, `x-functions-key`, `set-cookie` and their like."""
    return _HEADER.fullmatch(name) is not None


def secrets_of(head: bytes) -> tuple[str, ...]:
    """What the secret headers of a request's head hold, without the scheme before it."""
    pairs = (line.partition(": ") for line in head.decode("latin-1").split("\r\n"))
    words = (value.rpartition(" ")[2] for name, _, value in pairs if is_secret_header(name))
    return tuple(word for word in words if len(word) >= SHORTEST)
