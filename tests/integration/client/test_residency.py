"""Policy "EU only": whatever fails, the endpoint in the United States is not called."""

from typing import Any

import openai
import pytest
from tests.contract import world

from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
EU_ONLY: dict[str, Any] = {
    "models": {"gpt-4o": {"residency": "eu", "fallbacks": ["gpt-4o-mini"]}},
    "residency": {"eu": ["swedencentral"]},
    "agents": {"guide": {"model": "gpt-4o", "needs": ["tools"]}},
    "timeouts": {"total_s": 0.5},
}


@pytest.fixture
def fleet(azure: Handle) -> Fleet:
    """Both regions; the American one stands in for deployments that are not listed, too."""
    american = {"endpoint": azure.url("east"), "api_keys": [azure.key("east")], "region": "eastus"}
    return Fleet(world.settings(azure, resources={"default": american}, **EU_ONLY))


def ask(client: openai.OpenAI, model: str) -> str:
    return client.chat.completions.create(model=model, messages=HELLO).model


@pytest.mark.parametrize(
    "error", [None, "server_error", "rate_limit_tokens_classic", "invalid_api_key", "deployment_not_found"]
)
def test_req_2_8_the_us_is_never_called_even_if_all_of_the_eu_fails(
    error: str | None, fleet: Fleet, azure: Handle
) -> None:
    """Not by the model, its fallback, an agent, a deployment's name, or one that nobody listed."""
    if error is None:
        azure.set("sweden", "down")
    else:
        azure.set("sweden", "error", error=error)
    with fleet.openai() as client:
        for model in ("gpt-4o", "agent/guide", "azure/gpt-4o-prod", "gpt-4o-prod", "azure/unlisted"):
            with pytest.raises(openai.APIStatusError):
                ask(client, model)
    assert azure.log("east") == []
    assert bool(azure.log("sweden")) == bool(error)


def test_req_2_8_the_eu_answers(fleet: Fleet, azure: Handle) -> None:
    """And a model without residency may still be served anywhere."""
    with fleet.openai() as client:
        for _ in range(4):
            ask(client, "gpt-4o")
        ask(client, "agent/guide")
        ask(client, "azure/gpt-4o-prod")
        assert azure.log("east") == []
        azure.set("sweden", "down")
        ask(client, "gpt-4o-mini")
    assert [entry["deployment"] for entry in azure.log("east")] == ["gpt-4o-mini-prod"]
