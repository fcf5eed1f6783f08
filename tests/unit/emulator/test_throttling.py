import pytest

from smalt.emulator.clock import Clock
from smalt.emulator.quota import NEVER_S, Cause, Standing, Verdict
from smalt.emulator.throttling import Asked, high_demand, limit_headers, no_flex, over_limit

CLASSIC = Asked("gpt-4o-prod", "gpt-4o", "East US", "ChatCompletions_Create", "2024-10-21")
V1 = Asked("gpt-4o-prod", "gpt-4o", "East US", "ChatCompletions_Create", "v1")


def verdict(refused: Cause | None = None, retry_s: float = 0.0) -> Verdict:
    return Verdict(refused, retry_s, tokens=Standing(30_000, 7, 6.85), requests=Standing(30, 0, 2.4))


def test_headers_tell_both_windows() -> None:
    """Resets are whole seconds, rounded up."""
    assert limit_headers(verdict(), Clock()) == {
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "7",
        "x-ratelimit-reset-tokens": "7",
        "x-ratelimit-limit-requests": "30",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "3",
    }


def test_a_provisioned_deployment_tells_its_utilization_only() -> None:
    """It has no windows."""
    told = limit_headers(Verdict(utilization_percent=57.25), Clock())
    assert told == {"azure-openai-deployment-utilization": "57.2%"}


def test_waits_shrink_with_the_clock() -> None:
    """Milliseconds stay exact, seconds are rounded up and agree with the text."""
    canned = over_limit(verdict("tokens", 6.85), CLASSIC, Clock(2)).canned
    assert (canned.headers["retry-after-ms"], canned.headers["retry-after"]) == ("3425", "4")
    assert canned.headers["x-ratelimit-reset-tokens"] == "4"
    assert canned.body["error"]["message"].endswith("Please retry after 4 seconds.")


@pytest.mark.parametrize(
    ("refused", "retry_s", "asked", "code", "phrase"),
    [
        (
            "tokens",
            7,
            CLASSIC,
            "429",
            "under Azure OpenAI API version 2024-10-21 have exceeded token rate limit",
        ),
        ("requests", 7, CLASSIC, "429", "have exceeded call rate limit of your current OpenAI S0"),
        ("size", NEVER_S, CLASSIC, "429", "Please retry after 86400 seconds."),
        (
            "tokens",
            7,
            V1,
            "RateLimitReached",
            "requests to gpt-4o-prod for gpt-4o in East US have exceeded the token rate limit",
        ),
        ("requests", 7, V1, "RateLimitReached", "have exceeded the request rate limit"),
    ],
)
def test_each_surface_has_its_words(
    refused: Cause, retry_s: float, asked: Asked, code: str, phrase: str
) -> None:
    """The dated surface names its version, v1 the deployment."""
    error = over_limit(verdict(refused, retry_s), asked, Clock()).canned.body["error"]
    assert error["code"] == code
    assert phrase in error["message"]


def test_never_does_not_shrink() -> None:
    """A day is what callers recognise such a refusal by."""
    headers = over_limit(verdict("size", NEVER_S), CLASSIC, Clock(1_000)).canned.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("86400", "86400000")


def test_a_full_bucket_speaks_in_milliseconds() -> None:
    """The deployment is named, no window is told."""
    full = Verdict("utilization", 0.1195, utilization_percent=100.2)
    canned = over_limit(full, CLASSIC, Clock()).canned
    assert canned.headers["retry-after-ms"] == "120"
    assert canned.headers["retry-after"] == "1"
    assert canned.headers["azure-openai-deployment-utilization"] == "100.2%"
    assert canned.headers["x-ms-deployment-name"] == "gpt-4o-prod"
    assert "after 120 milliseconds" in canned.body["error"]["message"]
    assert not [name for name in canned.headers if name.startswith("x-ratelimit")]


def test_an_admitting_verdict_is_no_refusal() -> None:
    """Asking for one is a mistake of the emulator."""
    with pytest.raises(ValueError, match="refused=None"):
        over_limit(Verdict(), CLASSIC, Clock())


def test_a_shortage_is_told_beside_limits_that_have_room() -> None:
    """So a caller can see that it is not the quota; flex tells nothing of it."""
    canned = high_demand(Clock(10), {"x-ratelimit-remaining-tokens": "9"}).canned
    assert (canned.headers["retry-after"], canned.headers["x-ratelimit-remaining-tokens"]) == ("2", "9")
    assert "high demand" in canned.body["error"]["message"]
    assert no_flex(Clock(10)).canned.headers["retry-after"] == "2"
