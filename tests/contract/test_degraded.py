"""Nothing is available for a model: callers get what is configured, through every door, without a wait."""

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest
from tests.contract import world
from tests.contract.doors import AnyDoor, Ask, Result
from tests.contract.gateways import ADAPTERS, KEY
from tests.contract.scenarios import CHAT, EMBEDDINGS, HELLO, STREAM, USAGE, both
from tests.contract.world import billed, tried

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

REST = "The assistant rests; try again soon."
QUICKLY = {"timeouts": {"total_s": 1}}  # for waits; all else fails at once
IN_TIME_S = 5.0
RESPONSE = Ask("responses", {"input": "hello"})
SPOKEN = {"*": {"status": 200, "message": REST}}


def ask_of(door: AnyDoor, azure: Handle, ask: Ask, degraded: Mapping[str, Any], **sections: Any) -> Result:
    """All of Azure is lost; the answer comes in a bounded time."""
    for region, switches in (sections.pop("switches", None) or both("down")).items():
        azure.set(region, **switches)
    with door.open(world.settings(azure, **{**QUICKLY, **sections}, degraded=degraded)) as opened:
        started_s = time.monotonic()
        result = opened(ask)
        assert time.monotonic() - started_s < IN_TIME_S
    assert billed(azure) == 0
    return result


def refusal(result: Result) -> openai.APIStatusError:
    assert isinstance(result.error, openai.APIStatusError)
    assert result.error.response.headers["x-should-retry"] == "false"
    return result.error


@pytest.mark.parametrize("ask", [CHAT, STREAM, RESPONSE, EMBEDDINGS], ids=lambda ask: ask.kind)
def test_req_3_9_an_error_of_ones_own(door: AnyDoor, azure: Handle, ask: Ask) -> None:
    """All Azure is down: the status and the words that are configured, and when to come back."""
    error = refusal(ask_of(door, azure, ask, {ask.model: {"status": 529, "message": REST}}))
    assert (error.status_code, error.code) == (529, "service_unavailable")
    assert error.body["message"] == REST  # type: ignore[index]
    assert int(error.response.headers["retry-after"]) >= 0
    assert error.response.headers["x-smalt-degraded"] == "true"


@pytest.mark.parametrize("ask", [CHAT, STREAM, RESPONSE, EMBEDDINGS], ids=lambda ask: ask.kind)
def test_req_3_9_without_anything_configured(door: AnyDoor, azure: Handle, ask: Ask) -> None:
    """503 with Retry-After."""
    error = refusal(ask_of(door, azure, ask, {"gpt-4": {}}))
    assert (error.status_code, error.code) == (503, "no_upstream_available")
    assert int(error.response.headers["retry-after"]) >= 0
    assert "x-smalt-degraded" not in error.response.headers


@pytest.mark.parametrize("ask", [CHAT, Ask("chat", HELLO, "azure/gpt-4o-prod")], ids=["model", "deployment"])
def test_req_3_9_an_answer_of_ones_own(door: AnyDoor, azure: Handle, ask: Ask) -> None:
    """The SDK reads it like any other; it says what it is, and costs nothing."""
    result = ask_of(door, azure, ask, {"gpt-4o": SPOKEN["*"]})
    assert result.answer
    assert result.answer["choices"][0]["message"]["content"] == REST
    assert result.answer["choices"][0]["finish_reason"] == "stop"
    assert result.answer["usage"]["total_tokens"] == 0
    assert result.headers["x-smalt-degraded"] == "true"
    assert result.headers["x-smalt-cost-usd"] == "0"


@pytest.mark.parametrize("body", [HELLO, {**HELLO, **USAGE}], ids=["plain", "with usage"])
def test_req_3_9_a_stream_of_ones_own(door: AnyDoor, azure: Handle, body: dict[str, Any]) -> None:
    """With its end, and usage if it was asked for."""
    result = ask_of(door, azure, Ask("stream", body), SPOKEN)
    assert result.error is None
    assert result.text == REST
    assert [chunk["usage"]["total_tokens"] for chunk in result.chunks if chunk["usage"]] == (
        [0] if "stream_options" in body else []
    )
    assert any(chunk["choices"] and chunk["choices"][0]["finish_reason"] for chunk in result.chunks)
    assert result.headers["x-smalt-degraded"] == "true"


def test_a_response_of_ones_own(door: AnyDoor, azure: Handle) -> None:
    """In the shape of that operation."""
    result = ask_of(door, azure, RESPONSE, SPOKEN)
    assert result.answer
    assert result.answer["status"] == "completed"
    assert result.answer["output"][0]["content"][0]["text"] == REST


def test_embeddings_get_an_error_all_the_same(door: AnyDoor, azure: Handle) -> None:
    """No vector can say it."""
    error = refusal(ask_of(door, azure, EMBEDDINGS, SPOKEN))
    assert (error.status_code, error.code) == (503, "service_unavailable")
    assert error.body["message"] == REST  # type: ignore[index]


@pytest.mark.parametrize(
    ("error", "attempts"), [("server_error", 2), ("service_unavailable", 2), ("rate_limit_tokens_classic", 2)]
)
def test_whatever_the_outage_is(door: AnyDoor, azure: Handle, error: str, attempts: int) -> None:
    """Upstreams that fail, and upstreams without quota."""
    result = ask_of(door, azure, CHAT, SPOKEN, switches=both("error", error=error))
    assert result.answer
    assert result.headers["x-smalt-degraded"] == "true"
    assert len(tried(azure)) >= attempts


@pytest.mark.parametrize("error", ["invalid_api_key", "deployment_not_found"])
def test_a_fault_of_the_settings_is_no_outage(door: AnyDoor, azure: Handle, error: str) -> None:
    """It does not pass, and must be seen."""
    told = refusal(ask_of(door, azure, CHAT, SPOKEN, switches=both("error", error=error)))
    assert "x-smalt-degraded" not in told.response.headers


@pytest.mark.parametrize(
    "ask", [Ask("chat", {**HELLO, "temperature": 9}), Ask("chat", HELLO, "gpt-unheard-of")]
)
def test_a_refused_request_is_no_outage(door: AnyDoor, azure: Handle, ask: Ask) -> None:
    """The caller is told what is wrong with it."""
    error = refusal(ask_of(door, azure, ask, SPOKEN, switches=both("up")))
    assert error.status_code in {400, 404}
    assert "x-smalt-degraded" not in error.response.headers


@pytest.mark.parametrize("door", [f"gateway-{adapter}-openai" for adapter in ADAPTERS], indirect=True)
def test_every_byte_of_a_stream_of_ones_own(door: Any, azure: Handle) -> None:
    """As SDKs of other languages read it: events, their end mark, and a length."""
    azure.set("east", "down")
    azure.set("sweden", "down")
    with door.open(world.settings(azure, **QUICKLY, degraded=SPOKEN)):
        answer = httpx2.post(
            f"{door.stages[door.adapter].url}/v1/chat/completions",
            headers={"authorization": f"Bearer {KEY}"},
            json={"model": "gpt-4o", "stream": True, **HELLO},
            timeout=IN_TIME_S,
        )
    assert answer.headers["content-type"] == "text/event-stream"
    first, _, last, end = answer.text.split("\n\n")
    assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["content"] == REST
    assert (last, end) == ("data: [DONE]", "")
