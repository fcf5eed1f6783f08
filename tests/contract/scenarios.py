"""What can happen to a request, and what must come of it: one table for every door."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai
from tests.contract.doors import Ask
from tests.contract.gateways import eventually

from smalt.emulator.testing import Handle

HELLO = {"messages": [{"role": "user", "content": "Say hello to a lost region."}]}
TOOLS = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            },
        }
    ],
    "tool_choice": "required",
}
USAGE = {"stream_options": {"include_usage": True}}

CHAT = Ask("chat", HELLO)
STREAM = Ask("stream", HELLO)
EMBEDDINGS = Ask("embeddings", {"input": ["alpha", "beta"], "dimensions": 8}, "text-embedding-3-small")

Act = Callable[[Handle], None]


def both(mode: str, **switches: Any) -> dict[str, dict[str, Any]]:
    return {name: {"mode": mode, **switches} for name in ("east", "sweden")}


def east(mode: str, **switches: Any) -> dict[str, dict[str, Any]]:
    return {"east": {"mode": mode, **switches}}


def error(name: str, **switches: Any) -> dict[str, dict[str, Any]]:
    return east("error", error=name, **switches)


@dataclass(frozen=True, slots=True)
class Refused:
    """An error as the SDK raises it. `says`: parts of its message, all of them."""

    kind: type[openai.APIError]
    status: int | None
    code: str | None
    says: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """`switches`: of the emulator's regions, before. `faults`: set up there, besides. `tried`: the regions
    whose log shows a request, in order. `attempts`: of the last call. `meanwhile`: done by another thread
    during the first call. `times`: calls in a row; only the last may fail. `within_s`: the last call takes no
    longer."""

    name: str
    ask: Ask
    tried: Sequence[str]
    switches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: Sequence[Mapping[str, Any]] = ()
    attempts: int = 1
    billed: int = 1
    refused: Refused | None = None
    refused_by_library: Refused | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    meanwhile: Act | None = None
    between: Act | None = None
    times: int = 1
    within_s: float = 3.0
    at_least_s: float = 0.0


def lose_east_while_waiting(azure: Handle) -> None:
    eventually(lambda: bool(azure.log("east")))
    azure.set("east", "down")


def lose_east_in_mid_stream(azure: Handle) -> None:
    eventually(lambda: any(entry["chunks"] > 6 for entry in azure.log("east")))
    azure.set("east", "down")


def restart_east(azure: Handle) -> None:
    azure.set("east", "down")
    azure.set("east", "up")


def after_a_moment(_azure: Handle) -> None:
    time.sleep(0.2)


ONLY_EAST = {"models": {"gpt-4o": {"route": ["east"]}}}
EAST_FIRST = {"models": {"gpt-4o": {"route": ["east", "sweden"]}}}
IMPATIENT = {"timeouts": {"total_s": 0.3, "stream_first_byte_s": 0.3, "stream_idle_s": 0.3}}
BOTH_REGIONS = ("east", "sweden")

ANSWERS = (
    Scenario("chat", CHAT, ["east"]),
    Scenario("chat in several choices", Ask("chat", {**HELLO, "n": 3, "seed": 7}), ["east"]),
    Scenario("stream", STREAM, ["east"]),
    Scenario("stream with usage", Ask("stream", {**HELLO, **USAGE}), ["east"]),
    Scenario("tool call", Ask("chat", {**HELLO, **TOOLS}), ["east"]),
    Scenario("tool call, streamed", Ask("stream", {**HELLO, **TOOLS}), ["east"]),
    Scenario("embeddings as the SDK asks by default", EMBEDDINGS, ["east"]),
    Scenario(
        "embeddings as floats",
        Ask("embeddings", {**EMBEDDINGS.body, "encoding_format": "float"}, EMBEDDINGS.model),
        ["east"],
    ),
    Scenario(
        "embeddings in base64",
        Ask("embeddings", {**EMBEDDINGS.body, "encoding_format": "base64"}, EMBEDDINGS.model),
        ["east"],
    ),
)

FAILOVERS = (
    *(
        Scenario(f"{name} on the first", ask, BOTH_REGIONS, error(name), attempts=2)
        for ask in (CHAT,)
        for name in (
            "rate_limit_tokens_classic",
            "rate_limit_free_trial",
            "capacity_high_demand",
            "invalid_api_key",
            "permission_denied_no_role",
            "firewall_denied",
            "local_auth_disabled",
            "wrong_tenant",
            "deployment_not_found",
            "server_error",
            "bad_gateway_html",
            "model_overloaded",
            "no_healthy_upstream",
            "gateway_timeout",
        )
    ),
    Scenario(
        "error in place of content", STREAM, BOTH_REGIONS, error("stream_overloaded_first_event"), attempts=2
    ),
    Scenario("429 while streaming", STREAM, BOTH_REGIONS, error("rate_limit_tokens_classic"), attempts=2),
    Scenario("500 while streaming", STREAM, BOTH_REGIONS, error("server_error"), attempts=2),
    Scenario("503 on embeddings", EMBEDDINGS, BOTH_REGIONS, error("service_unavailable"), attempts=2),
    Scenario(
        "429 is hit once and then left alone",
        CHAT,
        ["east", *["sweden"] * 6],
        error("rate_limit_tokens_classic"),
        times=6,
        billed=6,
    ),
    Scenario(
        "500 is hit once and then left alone",
        CHAT,
        ["east", *["sweden"] * 4],
        error("server_error"),
        times=4,
        billed=4,
    ),
    Scenario("refused connection", CHAT, ["sweden"], east("down"), attempts=2),
    Scenario("refused connection of a stream", STREAM, ["sweden"], east("down"), attempts=2),
    Scenario(
        "region lost while it answers",
        CHAT,
        BOTH_REGIONS,
        east("up", latency_ms=20_000),
        attempts=2,
        meanwhile=lose_east_while_waiting,
    ),
    Scenario(
        "kept-alive connections died in between",
        CHAT,
        ["east", "sweden", "east"],
        between=restart_east,
        times=3,
        billed=3,
    ),
    Scenario("deployment missing in one region", Ask("chat", HELLO, "moved"), BOTH_REGIONS, attempts=2),
    Scenario(
        "all full for a moment",
        CHAT,
        ["east", "sweden", "east"],
        both("error", error="ptu_full", count=1),
        attempts=3,
        at_least_s=0.1,
    ),
    Scenario(
        "hang, and repeating is allowed",
        CHAT,
        BOTH_REGIONS,
        east("hang"),
        attempts=2,
        settings={**IMPATIENT, "retry": {"after_timeout": True}},
    ),
)

NO_ONE = Refused(
    openai.InternalServerError, 503, "no_upstream_available", ["east/gpt-4o-prod", "sweden/gpt-4o-prod"]
)
NO_KEY_WORKS = [
    r"attempt 1/5 on east/gpt-4o-prod \(eastus\): 401 .*invalid subscription key",
    r"attempt 2/5 on sweden/gpt-4o-prod \(swedencentral\): 401 .*invalid subscription key",
]
FULL = Refused(openai.RateLimitError, 429, "rate_limit_exceeded", ["east/", "sweden/", "429"])
FILTERED = Refused(openai.BadRequestError, 400, "content_filter")
TOO_LATE = Refused(openai.InternalServerError, 504, "timeout", ["east/gpt-4o-prod"])
BROKEN = Refused(openai.APIError, None, "stream_interrupted")

REFUSALS = (
    Scenario(
        "all regions down",
        CHAT,
        [],
        both("down"),
        refused=NO_ONE,
        billed=0,
        settings={"timeouts": {"total_s": 0.7}},
    ),
    Scenario(
        "all regions down for a stream",
        STREAM,
        [],
        both("down"),
        refused=NO_ONE,
        billed=0,
        settings={"timeouts": {"total_s": 0.7}},
    ),
    Scenario(
        "different causes",
        CHAT,
        ["sweden"],
        {**east("down"), "sweden": {"mode": "error", "error": "server_error"}},
        refused=Refused(
            openai.InternalServerError,
            503,
            "no_upstream_available",
            [
                r"all regions failed: eastus, swedencentral",
                r"attempt 1/5 on east/gpt-4o-prod \(eastus\): .*(connect|refused)",
                r"attempt 2/5 on sweden/gpt-4o-prod \(swedencentral\): 500 The server had an error",
            ],
        ),
        billed=0,
        settings={"timeouts": {"total_s": 0.7}},
    ),
    Scenario(
        "every key refused",
        CHAT,
        BOTH_REGIONS,
        both("error", error="invalid_api_key"),
        refused=Refused(openai.InternalServerError, 502, "upstream_auth_failed", NO_KEY_WORKS),
        refused_by_library=Refused(openai.AuthenticationError, 401, "unauthorized", NO_KEY_WORKS),
        billed=0,
    ),
    Scenario(
        "deployed nowhere",
        CHAT,
        BOTH_REGIONS,
        both("error", error="deployment_not_found"),
        refused=Refused(
            openai.NotFoundError, 404, "DeploymentNotFound", ["east/", "sweden/", "does not exist"]
        ),
        billed=0,
    ),
    Scenario(
        "throttled everywhere",
        CHAT,
        BOTH_REGIONS,
        both("error", error="rate_limit_tokens_classic"),
        refused=FULL,
        billed=0,
    ),
    Scenario(
        "quota of both spent",
        Ask("chat", {**HELLO, "max_tokens": 900}, "tight"),
        ["east", "sweden"],  # the headers said what was left
        refused=FULL,
        times=3,
        billed=2,
    ),
    # Azure bills the prompt it filters, and what a stream had brought before it broke
    Scenario("content filter", CHAT, ["east"], error("content_filter_prompt"), refused=FILTERED),
    Scenario(
        "content filter of a stream", STREAM, ["east"], error("content_filter_prompt"), refused=FILTERED
    ),
    Scenario(
        "invalid value",
        Ask("chat", {**HELLO, "temperature": 9}),
        ["east"],
        refused=Refused(openai.BadRequestError, 400, "decimal_above_max_value", ["temperature"]),
        billed=0,
    ),
    Scenario(
        "invalid value of a stream",
        Ask("stream", {**HELLO, "temperature": 9}),
        ["east"],
        refused=Refused(openai.BadRequestError, 400, "decimal_above_max_value", ["temperature"]),
        billed=0,
    ),
    Scenario(
        "unknown model",
        Ask("chat", HELLO, "gpt-unheard-of"),
        [],
        refused=Refused(openai.NotFoundError, 404, "model_not_found", ["'gpt-unheard-of'"]),
        billed=0,
    ),
    Scenario("hang", CHAT, ["east"], east("hang"), refused=TOO_LATE, billed=0, settings=IMPATIENT),
    Scenario(
        "hang of a stream", STREAM, ["east"], east("hang"), refused=TOO_LATE, billed=0, settings=IMPATIENT
    ),
    Scenario(
        "the service gives up",
        CHAT,
        ["east"],
        error("request_timeout"),
        refused=TOO_LATE,
        billed=0,
    ),
    Scenario(
        "region lost in mid-stream",
        STREAM,
        ["east"],
        east("up", token_ms=15),
        refused=BROKEN,
        meanwhile=lose_east_in_mid_stream,
    ),
    Scenario("stream cut", STREAM, ["east"], error("stream_cut"), refused=BROKEN),
    Scenario(
        "silence in mid-stream",
        STREAM,
        ["east"],
        faults=[{"kind": "hang", "at": "in_body", "chunks": 6}],
        refused=BROKEN,
        settings=IMPATIENT,
    ),
    Scenario(
        "silence before the content",
        STREAM,
        ["east"],
        east("up", token_ms=20_000),
        refused=TOO_LATE,
        settings=IMPATIENT,
    ),
    Scenario(
        "error event in mid-stream",
        STREAM,
        ["east"],
        error("stream_error_after_content"),
        refused=Refused(openai.APIError, None, None, ["The server had an error"]),
    ),
)

PRIORITIES = (
    Scenario("a first tier that can serves alone", CHAT, ["east"] * 4, times=4, settings=EAST_FIRST),
    Scenario(
        "a second tier serves while the first rests",
        CHAT,
        ["east", *["sweden"] * 3],
        error("rate_limit_tokens_classic"),
        times=3,
        settings=EAST_FIRST,
    ),
    Scenario(
        "a second tier serves while the first is down",
        CHAT,
        ["sweden"] * 3,
        east("down"),
        times=3,
        settings=EAST_FIRST,
    ),
    Scenario(
        "a first tier that is back serves alone again",
        CHAT,
        ["east", "sweden", "east", "east"],
        error("ptu_full", count=1),
        between=after_a_moment,
        times=3,
        settings=EAST_FIRST,
    ),
)

SCENARIOS = {scenario.name: scenario for scenario in (*ANSWERS, *FAILOVERS, *REFUSALS, *PRIORITIES)}
