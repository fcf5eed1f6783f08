"""Every way to an Entra token, by the real azure-identity, through library and gateway."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from azure.identity import get_bearer_token_provider
from tests.integration.auth.conftest import Written, application
from tests.integration.emulator.identity.conftest import Azure

import smalt
from smalt import Fleet
from smalt.auth import kept

HELLO: Any = [{"role": "user", "content": "hello there"}]


def ask(fleet: Fleet) -> str | None:
    with fleet.openai() as client:
        return client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content


def told(azure: Azure) -> list[tuple[str, str]]:
    """Who was billed, where."""
    return [(entry["key"], entry["resource"]) for entry in azure.handle.bill()["entries"]]


def test_a_client_secret(azure_world: Azure, settings_of: Written) -> None:
    """One token serves many requests, of threads and of event loops."""
    fleet = Fleet(settings_of({"east": {"identity": application(azure_world)}}))

    async def ask_all() -> None:
        async with fleet.async_openai() as client:
            asking = [client.chat.completions.create(model="gpt-4o", messages=HELLO) for _ in range(5)]
            assert all(await asyncio.gather(*asking))

    asyncio.run(ask_all())
    assert ask(fleet)
    assert told(azure_world) == [("entra:app", "east")] * 6
    assert azure_world.issued("app") == 1


def test_resources_with_one_identity_share_its_token(azure_world: Azure, settings_of: Written) -> None:
    """Tokens are for a scope, not for a resource."""
    azure_world.handle.tell("roles", principal="app", role="Cognitive Services OpenAI User", scope="sweden")
    identity = application(azure_world)
    settings = settings_of(
        {"east": {"identity": identity}, "sweden": {"identity": identity}},
        models={"gpt-4o": {"strategy": "round_robin"}},
    )
    fleet = Fleet(settings)
    assert ask(fleet)
    assert ask(fleet)
    assert {resource for _, resource in told(azure_world)} == {"east", "sweden"}
    assert azure_world.issued("app") == 1


def test_a_certificate(azure_world: Azure, settings_of: Written) -> None:
    """By its file."""
    identity = {
        "kind": "client_certificate",
        **azure_world.ids("app"),
        "certificate_file": str(azure_world.app_key),
        "authority": azure_world.authority,
    }
    assert ask(Fleet(settings_of({"east": {"identity": identity}})))
    assert told(azure_world) == [("entra:app", "east")]


def test_workload_identity(
    azure_world: Azure, settings_of: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod's variables are enough."""
    account = azure_world.handle.tell("service_account_token", subject="system:serviceaccount:default:app")
    (tmp_path / "token").write_text(account["token"])
    ids = azure_world.ids("app")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AZURE_CLIENT_ID", ids["client_id"])
    monkeypatch.setenv("AZURE_TENANT_ID", ids["tenant_id"])
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", azure_world.authority)
    assert ask(Fleet(settings_of({"east": {"identity": "workload_identity"}})))
    assert told(azure_world) == [("entra:app", "east")]


@pytest.mark.parametrize("where", ["imds", "app_service"])
def test_req_2_10_managed_identity_without_any_key(
    azure_world: Azure, settings_of: Written, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A virtual machine's, and an App Service's; no key stands anywhere."""
    for name, value in azure_world.state["identity"][where].items():
        monkeypatch.setenv(name, value)
    settings = settings_of({"east": {"identity": "managed_identity"}})
    assert not settings.resources["east"].api_keys
    assert ask(Fleet(settings))
    assert told(azure_world) == [("entra:machine", "east")]


def test_a_managed_identity_assigned_by_a_user(
    azure_world: Azure, settings_of: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is chosen by its client id."""
    for name, value in azure_world.state["identity"]["imds"].items():
        monkeypatch.setenv(name, value)
    azure_world.handle.tell("roles", principal="backup", role="Cognitive Services OpenAI User", scope="east")
    identity = {"kind": "managed_identity", "client_id": azure_world.ids("backup")["client_id"]}
    assert ask(Fleet(settings_of({"east": {"identity": identity}})))
    assert told(azure_world) == [("entra:backup", "east")]


def test_the_default_chain(azure_world: Azure, settings_of: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of an application are its first rung; `SMALT_AUTH=entra` asks for it without a file."""
    ids = azure_world.ids("app")
    monkeypatch.setenv("AZURE_TENANT_ID", ids["tenant_id"])
    monkeypatch.setenv("AZURE_CLIENT_ID", ids["client_id"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "app-secret")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", azure_world.authority)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", azure_world.handle.url("east"))
    monkeypatch.setenv("AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME", "gpt-4o-prod")
    monkeypatch.setenv("SMALT_AUTH", "entra")
    assert ask(Fleet.load())
    assert told(azure_world) == [("entra:app", "east")]


def test_the_v1_surface_has_a_scope_of_its_own(azure_world: Azure, settings_of: Written) -> None:
    """Azure AI's; another one can be asked for."""
    identity = application(azure_world)
    assert ask(Fleet(settings_of({"east": {"api": "v1", "identity": identity}})))
    scope = "https://cognitiveservices.azure.com/.default"
    assert ask(Fleet(settings_of({"east": {"api": "v1", "identity": identity | {"scope": scope}}})))
    assert azure_world.issued("app") == 2


def test_a_function_of_the_program(azure_world: Azure) -> None:
    """As the official client takes it; for event loops, too."""
    with azure_world.credential("app") as credential:
        provider = get_bearer_token_provider(credential, "https://cognitiveservices.azure.com/.default")
        address: dict[str, Any] = {
            "azure_endpoint": azure_world.handle.url("east"),
            "azure_ad_token_provider": provider,
        }
        with smalt.AzureOpenAI(**address) as client:
            client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)

        async def ask_async() -> None:
            async with smalt.AsyncAzureOpenAI(**address) as client:
                await client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)

        asyncio.run(ask_async())
    assert told(azure_world) == [("entra:app", "east")] * 2


def test_a_function_that_fails(azure_world: Azure) -> None:
    """Its own words come with the error."""

    def provider() -> str:
        raise RuntimeError("nobody is logged in")

    with (
        smalt.AzureOpenAI(
            azure_endpoint=azure_world.handle.url("east"), azure_ad_token_provider=provider
        ) as client,
        pytest.raises(openai.AuthenticationError, match="nobody is logged in"),
    ):
        client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)


def test_without_a_token_others_serve(azure_world: Azure, settings_of: Written) -> None:
    """The attempt counts as not sent, and says why in Entra ID's words, without the secret."""
    settings = settings_of(
        {
            "east": {"identity": application(azure_world, client_secret="wr0ng-secret")},
            "sweden": {"api_keys": ["sweden-key-1"]},
        },
        models={"gpt-4o": {"route": ["east", "sweden"]}},
    )
    with Fleet(settings).openai() as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
        receipt = smalt.receipt(answer)
    assert receipt is not None
    failed, answered = receipt.attempts
    assert (failed.upstream, answered.upstream) == ("east/gpt-4o-prod", "sweden/gpt-4o-prod")
    assert failed.failure is not None
    assert (failed.failure.kind, failed.fate) == ("no_credential", "not_sent")
    assert "AADSTS7000215" in failed.failure.text
    assert "wr0ng-secret" not in failed.failure.text


def test_a_rotated_client_secret_is_taken(
    azure_world: Azure, settings_of: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its file, as soon as the source is asked again; nothing is restarted."""
    monkeypatch.setattr(kept, "FIRST_PAUSE_S", 0.0)
    file = tmp_path / "secret"
    file.write_text("0ld-secret")
    identity = application(azure_world, client_secret=f"file:{file}")
    fleet = Fleet(settings_of({"east": {"identity": identity}}))
    with pytest.raises(openai.AuthenticationError, match="AADSTS7000215"):
        ask(fleet)
    file.write_text("app-secret")
    assert ask(fleet)


def test_a_role_that_lacks_is_no_reason_for_another_token(azure_world: Azure, settings_of: Written) -> None:
    """The resource says what is missing; tokens have nothing to do with it."""
    fleet = Fleet(settings_of({"east": {"identity": application(azure_world, "nobody")}}))
    for _ in range(2):
        with pytest.raises(openai.AuthenticationError, match="lacks the required data action"):
            ask(fleet)
    assert azure_world.issued("nobody") == 1
