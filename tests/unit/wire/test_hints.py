import json
from pathlib import Path
from typing import Any

import pytest

from smalt.types import QuotaHints
from smalt.wire.hints import read_hints

CATALOGUE = Path(__file__).parents[3] / "src/smalt/emulator/errors.json"
ENTRIES: dict[str, Any] = {entry["name"]: entry for entry in json.loads(CATALOGUE.read_text("utf-8"))}


def hints(**headers: str) -> QuotaHints | None:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return read_hints([(b"content-type", b"application/json"), *pairs, (b"x-ms-region", b"East US")])


def test_everything_azure_says() -> None:
    """The window in force, what is left of it, and how full a provisioned deployment is."""
    assert hints(
        x_ratelimit_limit_tokens="30000",
        x_ratelimit_remaining_tokens="2999",
        x_ratelimit_limit_requests="30",
        x_ratelimit_remaining_requests="29",
        azure_openai_deployment_utilization="87.3%",
    ) == QuotaHints(30_000, 2_999, 30, 29, 0.873)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("x_ratelimit_limit_tokens", QuotaHints(limit_tokens=7)),
        ("x_ratelimit_remaining_tokens", QuotaHints(remaining_tokens=7)),
        ("x_ratelimit_limit_requests", QuotaHints(limit_requests=7)),
        ("x_ratelimit_remaining_requests", QuotaHints(remaining_requests=7)),
        ("azure_openai_deployment_utilization", QuotaHints(utilization=0.07)),
    ],
)
def test_each_header_alone(header: str, expected: QuotaHints) -> None:
    """Every header may be missing; what is not said is unknown."""
    assert hints(**{header: "7"}) == expected


@pytest.mark.parametrize("value", ["-1", "0", "", " 5", "5 ", "+5", "1e3", "5.0", "6m0s", "\u0665", "9" * 16])
@pytest.mark.parametrize(
    "header", ["limit-tokens", "remaining-tokens", "limit-requests", "remaining-requests"]
)
def test_what_is_no_count_is_unknown(header: str, value: str) -> None:
    """-1 and 0 mean that nothing is tracked, not that nothing is left."""
    assert read_hints([(b"x-ratelimit-" + header.encode(), value.encode())]) is None


def test_the_largest_count() -> None:
    """Fifteen digits are still a number."""
    assert hints(x_ratelimit_limit_tokens="9" * 15) == QuotaHints(limit_tokens=10**15 - 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("87.3%", 0.873),
        ("87.3", 0.873),
        ("87.3 %", 0.873),
        ("100%", 1.0),
        ("104.25%", 1.0425),
        ("0.5%", 0.005),
    ],
)
def test_how_full_a_deployment_is(value: str, expected: float) -> None:
    """Percent, with or without the sign; above 100 for a burst."""
    assert hints(azure_openai_deployment_utilization=value) == QuotaHints(utilization=expected)


@pytest.mark.parametrize(
    "value", ["", "%", "0", "0%", "0.0%", "-1", "-5%", "nan", "inf", "1e3", "5%%", "5 5", "9" * 400, "."]
)
def test_what_is_no_percentage_is_unknown(value: str) -> None:
    """An unreadable value, and zero, say nothing, alone or beside a header that speaks."""
    assert hints(azure_openai_deployment_utilization=value) is None
    beside = hints(x_ratelimit_limit_tokens="7", azure_openai_deployment_utilization=value)
    assert beside == QuotaHints(limit_tokens=7)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-ratelimit-reset-tokens", b"7")],
        [(b"x-ratelimit-limit", b"7")],
        [(b"x-ratelimit-limit-tokens-per-day", b"7")],
        [(b"azure-openai-deployment-utilization-x", b"7")],
        [(b"X-RateLimit-Limit-Tokens", b"7")],
    ],
)
def test_nothing_said(headers: list[tuple[bytes, bytes]]) -> None:
    """Without one of the five headers there is no hint; names come in lower case."""
    assert read_hints(headers) is None


def test_the_last_of_two_counts() -> None:
    """A header sent twice says what it said last; one that says nothing changes nothing."""
    name = b"x-ratelimit-limit-tokens"
    assert read_hints([(name, b"7"), (name, b"9"), (name, b"-1")]) == QuotaHints(limit_tokens=9)


def test_headers_are_gone_through_once() -> None:
    """Any iterable will do."""
    pairs = iter([(b"x-ratelimit-limit-tokens", b"7"), (b"x-ratelimit-remaining-tokens", b"6")])
    assert read_hints(pairs) == QuotaHints(limit_tokens=7, remaining_tokens=6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rate_limit_tokens_classic", QuotaHints(limit_tokens=30_000)),
        ("rate_limit_requests_classic", QuotaHints(limit_requests=8)),
        ("rate_limit_short_text", QuotaHints(8_000, 1_014, 8, 7)),
        ("ratelimit_headers_untracked", None),
        ("ptu_full", None),
    ],
)
def test_catalogued_answers(name: str, expected: QuotaHints | None) -> None:
    """The headers of published answers are understood."""
    headers = ENTRIES[name]["headers"].items()
    assert read_hints((name.encode(), value.encode()) for name, value in headers) == expected
