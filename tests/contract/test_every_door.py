"""The same request, the same world, the same outcome: through the gateway's two adapters and three surfaces,
and through the library, sync and async."""

import re
from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import AnyDoor, Ask, Result, perform
from tests.contract.gateways import eventually
from tests.contract.scenarios import ANSWERS, FAILOVERS, REFUSALS, SCENARIOS, Refused, Scenario
from tests.contract.world import billed, tried

from smalt.core.limits import MINUTE_S, TRAVEL_S
from smalt.emulator.refusals import catalogue
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

Truth = Callable[[Ask], Result]


@pytest.fixture(scope="session")
def truth(shared_azure: Handle) -> Truth:
    """What Azure itself answers to a request."""
    known: dict[str, Result] = {}

    def ask_azure(ask: Ask) -> Result:
        deployment = world.SHARED[ask.model]
        key = f"{ask!r}"
        if key not in known:
            with openai.AzureOpenAI(
                azure_endpoint=shared_azure.url("sweden"),
                api_key=shared_azure.key("sweden"),
                api_version="2024-10-21",
                max_retries=0,
            ) as client:
                known[key] = perform(client, Ask(ask.kind, ask.body, deployment))
        return known[key]

    return ask_azure


def same(told: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between any two answers."""
    return {name: value for name, value in told.items() if name not in {"id", "created"}}


@pytest.mark.parametrize("scenario", [*ANSWERS, *FAILOVERS], ids=lambda scenario: scenario.name)
def test_answer(
    scenario: Scenario, play: Callable[[Scenario], Result], truth: Truth, azure: Handle, door: AnyDoor
) -> None:
    """The answer is Azure's own, by as few attempts as possible, and billed once."""
    expected = truth(scenario.ask)
    azure.reset()
    result = play(scenario)
    assert result.error is None
    _check_content(result, expected, scenario.ask)
    assert tried(azure) == list(scenario.tried)
    eventually(lambda: billed(azure) == scenario.billed)
    assert result.headers["x-smalt-attempts"] == str(scenario.attempts)
    deployment = world.SHARED[scenario.ask.model]
    answered = scenario.tried[-1]
    assert result.headers["x-smalt-upstream"] == f"{answered}/{deployment}"
    assert result.headers["x-smalt-region"] == world.REGIONS[answered]
    assert result.headers["x-ms-region"]
    assert ("x-smalt-cost-usd" in result.headers) == (
        scenario.ask.kind != "stream" and scenario.ask.model in {"gpt-4o", "text-embedding-3-small"}
    )


def _check_content(result: Result, expected: Result, ask: Ask) -> None:
    if ask.kind != "stream":
        assert result.answer
        assert expected.answer
        assert same(result.answer) == same(expected.answer)
        return
    assert [same(chunk) for chunk in result.chunks] == [same(chunk) for chunk in expected.chunks]
    reported = [chunk for chunk in result.chunks if chunk["usage"]]
    assert bool(reported) == ("stream_options" in ask.body)
    assert any(chunk["choices"] and chunk["choices"][0]["finish_reason"] for chunk in result.chunks)


@pytest.mark.parametrize("scenario", REFUSALS, ids=lambda scenario: scenario.name)
def test_refusal(
    scenario: Scenario, play: Callable[[Scenario], Result], azure: Handle, door: AnyDoor
) -> None:
    """One error of the SDK's own class, with code, status, causes and no invitation to retry."""
    refused = scenario.refused
    if door.library and scenario.refused_by_library:
        refused = scenario.refused_by_library
    assert refused
    result = play(scenario)
    _check_error(result.error, refused)
    assert tried(azure) == list(scenario.tried)
    eventually(lambda: billed(azure) == scenario.billed)


def _check_error(error: openai.APIError | None, refused: Refused) -> None:
    assert type(error) is refused.kind
    assert error.code == refused.code
    for pattern in refused.says:
        assert re.search(pattern, error.message), error.message
    if refused.status is None:
        return
    assert isinstance(error, openai.APIStatusError)
    assert error.status_code == refused.status
    headers = error.response.headers
    assert headers["x-should-retry"] == "false"
    assert headers["x-smalt-request-id"]
    assert error.request_id
    assert isinstance(error.body, dict)
    if refused.code == "rate_limit_exceeded":
        assert 0 < int(headers["retry-after-ms"]) <= 1_000 * (MINUTE_S + TRAVEL_S)
        assert int(headers["retry-after"]) == -(-int(headers["retry-after-ms"]) // 1_000)
        assert error.body["retryable"] is True


def test_content_filter_byte_true(play: Callable[[Scenario], Result]) -> None:
    """Azure's refusal of a prompt arrives with every byte of its body, after one attempt."""
    result = play(SCENARIOS["content filter"])
    assert isinstance(result.error, openai.BadRequestError)
    assert result.error.response.content == catalogue()["content_filter_prompt"].payload
    assert result.error.response.headers["x-smalt-attempts"] == "1"


def test_broken_stream_keeps_what_came(
    play: Callable[[Scenario], Result], truth: Truth, azure: Handle
) -> None:
    """Text that arrived before the break is the beginning of the answer, and is not sent again."""
    scenario = SCENARIOS["region lost in mid-stream"]
    whole = truth(scenario.ask).text
    azure.reset()
    result = play(scenario)
    assert result.text
    assert whole.startswith(result.text)
    assert len(result.text) < len(whole)
    assert tried(azure) == ["east"]
