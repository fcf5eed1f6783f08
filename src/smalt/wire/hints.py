"""What the headers of an answer say of the deployment's quota."""

from collections.abc import Iterable

from smalt.types import QuotaHints


def read_hints(headers: Iterable[tuple[bytes, bytes]]) -> QuotaHints | None:
    """None if they say nothing."""
    said: dict[bytes, int] = {}
    for name, value in headers:
        if name.startswith(b"x-ratelimit-") and value.isdigit() and int(value) > 0:
            said[name[12:]] = int(value)
    if not said:
        return None
    return QuotaHints(
        said.get(b"limit-tokens"),
        said.get(b"remaining-tokens"),
        said.get(b"limit-requests"),
        said.get(b"remaining-requests"),
    )
