"""The real azure-keyvault-secrets against a vault of the emulator."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.keyvault.secrets import SecretClient
from tests.integration.emulator.identity.conftest import Azure

Open = Callable[[str], SecretClient]


@pytest.fixture
def open_vault(azure_world: Azure) -> Iterator[Open]:
    """A client as a principal. The vault's name here is not under vault.azure.net, which it is told."""
    with ExitStack() as stack:

        def make(principal: str) -> SecretClient:
            credential = stack.enter_context(azure_world.credential(principal))
            client = SecretClient(
                azure_world.url("kv"), credential, verify_challenge_resource=False, retry_total=0
            )
            return stack.enter_context(client)

        yield make


def test_a_secret_is_read_after_the_challenge(open_vault: Open, azure_world: Azure) -> None:
    """The client asks once without token, learns where to get one, and asks again."""
    secret = open_vault("app").get_secret("aoai-key")
    assert secret.value == "east-key-1"
    first, second = azure_world.handle.log("kv")
    assert (first["status"], second["status"]) == (401, 200)


def test_versions(open_vault: Open) -> None:
    """A new value is a new version; the old one can still be read by its id."""
    client = open_vault("app")
    old = client.get_secret("aoai-key")
    made = client.set_secret("aoai-key", "east-key-2", content_type="text/plain", tags={"by": "test"})
    assert made.properties.version != old.properties.version
    now = client.get_secret("aoai-key")
    assert (now.value, now.properties.content_type, now.properties.tags) == (
        "east-key-2",
        "text/plain",
        {"by": "test"},
    )
    assert client.get_secret("aoai-key", old.properties.version).value == "east-key-1"
    assert len(list(client.list_properties_of_secret_versions("aoai-key"))) == 2
    assert [item.name for item in client.list_properties_of_secrets()] == ["aoai-key"]


def test_the_control_plane_rotates(open_vault: Open, azure_world: Azure) -> None:
    """A rotation from outside is seen by the next read."""
    azure_world.handle.tell("vaults/kv/secrets/aoai-key", value="east-key-2")
    assert open_vault("app").get_secret("aoai-key").value == "east-key-2"


@pytest.mark.parametrize("version", ["", "0123456789abcdef"])
def test_a_secret_that_is_not_there(open_vault: Open, version: str) -> None:
    """Neither an unknown name nor an unknown version is found."""
    name = "aoai-key" if version else "other"
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        open_vault("app").get_secret(name, version)


def test_a_disabled_secret(open_vault: Open) -> None:
    """It is there, and cannot be read."""
    client = open_vault("app")
    client.set_secret("off", "x", enabled=False)
    with pytest.raises(HttpResponseError, match="disabled secret") as caught:
        client.get_secret("off")
    assert caught.value.status_code == 403


def test_no_role_on_the_vault(open_vault: Open) -> None:
    """Not even a contributor of the subscription may read secrets without a data role."""
    for principal in ("nobody", "operator"):
        with pytest.raises(HttpResponseError, match="ForbiddenByRbac") as caught:
            open_vault(principal).get_secret("aoai-key")
        assert caught.value.status_code == 403


def test_a_stranger(open_vault: Open) -> None:
    """A token of another tenant is answered with the challenge again."""
    with pytest.raises(ClientAuthenticationError):
        open_vault("stranger").get_secret("aoai-key")


def test_the_vault_is_down(open_vault: Open, azure_world: Azure) -> None:
    """While the switch is down nobody connects, afterwards all is as before."""
    client = open_vault("app")
    azure_world.handle.tell("services/kv", mode="down")
    with pytest.raises(ServiceRequestError):
        client.get_secret("aoai-key")
    azure_world.handle.tell("services/kv", mode="up")
    assert client.get_secret("aoai-key").value == "east-key-1"
