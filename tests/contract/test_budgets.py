"""A budget of one's own, through every door: one call too many is refused before it is sent."""

import openai
import pytest
from tests.contract import world
from tests.contract.doors import NAMES, AnyDoor, Ask
from tests.contract.scenarios import EMBEDDINGS, HELLO
from tests.contract.world import tried

from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

ASKS = (Ask("chat", {**HELLO, "max_tokens": 150}), Ask("stream", {**HELLO, "max_tokens": 150}), EMBEDDINGS)


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest, doors: dict[str, AnyDoor]) -> AnyDoor:
    return doors[request.param]


def test_req_0_16_a_quota_of_a_thousand_tokens(door: AnyDoor, azure: Handle) -> None:
    """Calls of every kind are answered while they fit; the next one is refused, and Azure sees nothing."""
    told = {**world.written(azure), "budgets": [{"tokens": 1_000, "per": "month"}]}
    with door.open(Settings.model_validate(told)) as opened:
        answered = 0
        error = None
        while error is None and answered < 100:
            error = opened(ASKS[answered % 3]).error
            answered += error is None
        assert isinstance(error, openai.RateLimitError)
        spent = azure.bill()["totals"]
        assert 700 < spent["input_tokens"] + spent["output_tokens"] <= 1_000
        assert len(tried(azure)) == answered
        again = opened(ASKS[answered % 3]).error
        assert len(tried(azure)) == answered
    assert isinstance(again, openai.RateLimitError)
    assert again.code == "budget_exceeded"
    assert "the budget of 1,000 tokens per month" in again.message
    assert again.response.headers["x-should-retry"] == "false"
    assert isinstance(again.body, dict)
    assert (again.body["retryable"], again.body["grpc_status"]) == (False, "RESOURCE_EXHAUSTED")
