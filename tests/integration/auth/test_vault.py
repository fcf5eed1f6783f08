"""Keys in a Key Vault: read when needed, when refused, and from time to time."""

import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.integration.auth.conftest import Written, application
from tests.integration.auth.test_identities import ask
from tests.integration.emulator.identity.conftest import Azure

from smalt import Fleet
from smalt.config import Settings


def in_vault(azure: Azure, settings_of: Written, **key_vault: Any) -> Settings:
    """The only key of a resource, read by the application."""
    resource = {"api_keys": [f"{azure.url('kv')}/secrets/aoai-key"]}
    return settings_of({"east": resource}, key_vault={"identity": application(azure), **key_vault})


def reads(azure: Azure) -> int:
    return sum(entry["status"] == 200 for entry in azure.handle.log("kv"))


def rotate(azure: Azure) -> str:
    """The first key of the resource is made anew."""
    return str(azure.handle.tell("resources/east/keys", keyName="Key1")["key1"])


def store(azure: Azure, key: str) -> None:
    azure.handle.tell("vaults/kv/secrets/aoai-key", value=key)


def wait_for(there: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 5
    while not there():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_req_1_31_the_key_comes_from_the_vault(azure_world: Azure, settings_of: Written) -> None:
    """Named by the URL of its secret; it is read once for many requests."""
    fleet = Fleet(in_vault(azure_world, settings_of))
    assert not azure_world.handle.log("kv")
    assert ask(fleet)
    assert ask(fleet)
    assert reads(azure_world) == 1
    assert {entry["key"] for entry in azure_world.handle.bill()["entries"]} == {"key1"}


def test_the_identity_of_the_resource_reads_its_keys(azure_world: Azure, settings_of: Written) -> None:
    """Unless vaults have one of their own."""
    url = f"{azure_world.url('kv')}/secrets/aoai-key"
    settings = settings_of({"east": {"api_keys": [url], "identity": application(azure_world)}})
    assert ask(Fleet(settings))
    assert {entry["key"] for entry in azure_world.handle.bill()["entries"]} == {"key1"}


def test_a_refused_key_is_read_again_for_the_same_request(azure_world: Azure, settings_of: Written) -> None:
    """The caller sees nothing of it."""
    fleet = Fleet(in_vault(azure_world, settings_of))
    assert ask(fleet)
    store(azure_world, rotate(azure_world))
    assert ask(fleet)
    statuses = [entry["status"] for entry in azure_world.handle.log("east")]
    assert statuses == [200, 401, 200]
    assert reads(azure_world) == 2


def test_a_vault_that_still_holds_the_old_key_is_not_asked_on_and_on(
    azure_world: Azure, settings_of: Written
) -> None:
    """Nor is the resource: one attempt with what was read again, and the error."""
    fleet = Fleet(in_vault(azure_world, settings_of))
    assert ask(fleet)
    rotate(azure_world)
    for _ in range(3):
        with pytest.raises(openai.AuthenticationError):
            ask(fleet)
    assert reads(azure_world) == 2


def test_the_vault_is_read_from_time_to_time(azure_world: Azure, settings_of: Written) -> None:
    """No request waits for it; what was read is carried by the next ones, before anything was refused."""
    second = azure_world.handle.tell("resources/east/keys", keyName="Key2")["key2"]
    fleet = Fleet(in_vault(azure_world, settings_of, refresh_s=0.2))
    assert ask(fleet)
    store(azure_world, second)
    time.sleep(0.2)
    assert ask(fleet)
    wait_for(lambda: reads(azure_world) == 2)
    assert ask(fleet)
    assert [entry["key"] for entry in azure_world.handle.bill()["entries"]] == ["key1", "key1", "key2"]


def test_the_last_key_stays_while_the_vault_is_down(azure_world: Azure, settings_of: Written) -> None:
    """Said once in the log."""
    fleet = Fleet(in_vault(azure_world, settings_of, refresh_s=0.1))
    assert ask(fleet)
    azure_world.handle.tell("services/kv", mode="error")
    for _ in range(3):
        time.sleep(0.15)
        assert ask(fleet)


def test_a_vault_that_refuses_says_why(azure_world: Azure, settings_of: Written) -> None:
    """With the name of the secret."""
    url = f"{azure_world.url('kv')}/secrets/other"
    settings = settings_of({"east": {"api_keys": [url]}}, key_vault={"identity": application(azure_world)})
    with pytest.raises(openai.AuthenticationError, match=r"/secrets/other cannot be read: .*SecretNotFound"):
        ask(Fleet(settings))
