"""The gateway keeps tokens and keys by itself; its callers' own credentials go nowhere."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import openai
import pytest
from tests.contract.conftest import stages
from tests.contract.doors import sdk_client
from tests.contract.gateways import KEY, Adapter, Stage
from tests.integration.auth.conftest import Written, application
from tests.integration.auth.test_identities import HELLO, told
from tests.integration.emulator.identity.conftest import Azure

__all__ = ["stages"]


Served = Callable[[], AbstractContextManager[openai.OpenAI]]


@pytest.fixture
def served(stages: dict[Adapter, Stage], azure_world: Azure, settings_of: Written) -> Served:
    """A gateway whose first resource wants tokens, and the second a key from the vault."""
    settings = settings_of(
        {
            "east": {"identity": application(azure_world)},
            "sweden": {"api_keys": [f"{azure_world.url('kv')}/secrets/sweden"]},
        },
        key_vault={"identity": application(azure_world)},
        models={"gpt-4o": {"strategy": "round_robin"}},
    )
    azure_world.handle.tell("vaults/kv/secrets/sweden", value="sweden-key-1")

    def start() -> openai.OpenAI:
        stages["hot"].play(settings)
        return sdk_client(stages["hot"].url, "openai")

    return start


def test_callers_need_their_gateway_key_only(served: Served, azure_world: Azure) -> None:
    """Tokens and keys are fetched behind it, and the caller's key is not sent on."""
    with served() as client:
        for _ in range(4):
            client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert sorted(told(azure_world)) == [("entra:app", "east")] * 2 + [("key1", "sweden")] * 2
    headers = [value for entry in azure_world.handle.log() for _, value in entry.get("headers", ())]
    assert not any(KEY in value for value in headers)


def test_a_lost_token_is_told_without_secrets(served: Served, azure_world: Azure) -> None:
    """Both resources depend on Entra ID here: the error names what could not be had."""
    azure_world.handle.tell("services/authority", mode="error")
    with served() as client, pytest.raises(openai.InternalServerError, match="no Entra token") as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "upstream_auth_failed"
    assert "app-secret" not in str(caught.value.body)
