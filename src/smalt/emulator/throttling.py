"""How Azure tells a caller about limits: the headers of every answer, and the texts of the 429s."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from smalt.emulator.clock import Clock
from smalt.emulator.quota import NEVER_S, Verdict
from smalt.emulator.refusals import Refusal, named

PRESSURE_WAIT_S = 20.0
FLEX_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the texts name. `region`: its display name. `version`: v1, or a date."""

    deployment: str
    model: str
    region: str
    operation: str
    version: str


def limit_headers(verdict: Verdict, clock: Clock) -> dict[str, str]:
    """Requests are told of the longest window in force, ten seconds as a rule, as live headers show it."""
    told = {}
    for name, standing in (("tokens", verdict.tokens), ("requests", verdict.requests)):
        if standing:
            told[f"x-ratelimit-limit-{name}"] = str(standing.limit)
            told[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
            told[f"x-ratelimit-reset-{name}"] = str(math.ceil(clock.outside_s(standing.reset_s)))
    if verdict.utilization_percent is not None:
        told["azure-openai-deployment-utilization"] = f"{verdict.utilization_percent:.1f}%"
    return told


def over_limit(verdict: Verdict, asked: Asked, clock: Clock) -> Refusal:
    """The 429 of a verdict that refuses."""
    # a day means "never", and is no window: it does not shrink with the clock
    wait_s = NEVER_S if verdict.refused == "size" else clock.outside_s(verdict.retry_s)
    wait_ms = math.ceil(wait_s * 1_000)
    seconds = math.ceil(wait_ms / 1_000)
    headers = {
        **limit_headers(verdict, clock),
        "retry-after": str(seconds),
        "retry-after-ms": str(wait_ms),
    }
    match verdict.refused:
        case "utilization":
            return named(
                "ptu_full",
                headers={**headers, "x-ms-deployment-name": asked.deployment},
                message="The provisioned deployment is at capacity. "
                f"Please retry after {wait_ms} milliseconds.",
            )
        case "size":
            return _exceeded("rate_limit_free_trial", "token", asked, seconds, headers)
        case "tokens":
            return _exceeded("rate_limit_tokens_classic", "token", asked, seconds, headers)
        case "requests":
            return _exceeded("rate_limit_requests_classic", "call", asked, seconds, headers)
        case None:
            raise ValueError(verdict)
        case other:
            assert_never(other)


def high_demand(clock: Clock, limits: Mapping[str, str]) -> Refusal:
    """The pool behind the deployment is short, whatever its own limit says."""
    return named("capacity_high_demand", headers={**limits, **_whole_seconds(PRESSURE_WAIT_S, clock)})


def no_flex(clock: Clock) -> Refusal:
    return named("flex_capacity", headers=_whole_seconds(FLEX_WAIT_S, clock))


def _whole_seconds(wait_s: float, clock: Clock) -> dict[str, str]:
    return {"retry-after": str(math.ceil(clock.outside_s(wait_s)))}


def _exceeded(name: str, what: str, asked: Asked, seconds: int, headers: Mapping[str, str]) -> Refusal:
    """The dated surface speaks as it always did; v1 in the words Azure has used since late 2025."""
    if asked.version != "v1":
        return named(
            name,
            headers=headers,
            message=f"Requests to the {asked.operation} Operation under Azure OpenAI API version "
            f"{asked.version} have exceeded {what} rate limit of your current OpenAI S0 pricing tier. "
            f"Please retry after {seconds} seconds.",
        )
    what = "request" if what == "call" else what
    return named(
        "rate_limit_tokens_new_text",
        headers=headers,
        message=f"Your requests to {asked.deployment} for {asked.model} in {asked.region} have exceeded the "
        f"{what} rate limit for your current AIServices S0 pricing tier. This request was for "
        f"{asked.operation} under Azure OpenAI API version v1. Please retry after {seconds} seconds.",
    )
