"""What an answer's headers tell of the quota of the deployment that gave it.

Source: Azure OpenAI quota management (x-ratelimit-*); answers of provisioned deployments published by users
(azure-openai-deployment-utilization, in percent); answers of 2025 with -1 and 0 where nothing is tracked.
"""

import re
from collections.abc import Iterable

from smalt.types import QuotaHints

_UTILIZATION = b"azure-openai-deployment-utilization"
_COUNTS = {
    b"x-ratelimit-limit-tokens": "limit_tokens",
    b"x-ratelimit-remaining-tokens": "remaining_tokens",
    b"x-ratelimit-limit-requests": "limit_requests",
    b"x-ratelimit-remaining-requests": "remaining_requests",
}
MOST_DIGITS = 15  # beyond any quota
_PERCENT = re.compile(rb"([0-9]{1,6}(?:\.[0-9]{1,9})?) ?%?")


def read_hints(headers: Iterable[tuple[bytes, bytes]]) -> QuotaHints | None:
    """None if nothing is said. `headers`: names in lower case; of two with the same name the last counts.

    Zero is taken as unknown: where quota is not tracked, headers say 0 or -1.
    """
    counts: dict[str, int] = {}
    utilization = None
    for name, value in headers:
        if name in _COUNTS:
            if value.isdigit() and len(value) <= MOST_DIGITS and (count := int(value)):
                counts[_COUNTS[name]] = count
        elif name == _UTILIZATION and (percent := _PERCENT.fullmatch(value)):
            utilization = float(percent[1]) / 100 or None
    return QuotaHints(**counts, utilization=utilization) if counts or utilization else None
