"""The real azure-identity gets its tokens here, by every way it knows, and the data plane takes them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
    get_bearer_token_provider,
)
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from tests.integration.emulator.identity.conftest import Azure

OPENAI = "https://cognitiveservices.azure.com/.default"
FOUNDRY = "https://ai.azure.com/.default"
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello there"}]


def ask(azure: Azure, credential: TokenCredential, scope: str = OPENAI, resource: str = "east") -> str | None:
    """One chat by the official client on the classic surface."""
    with openai.AzureOpenAI(
        azure_endpoint=azure.handle.url(resource),
        api_version="2024-10-21",
        azure_ad_token_provider=get_bearer_token_provider(credential, scope),
        max_retries=0,
    ) as client:
        answer = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    return answer.choices[0].message.content


def ask_v1(azure: Azure, credential: TokenCredential, scope: str) -> str | None:
    base_url = f"{azure.handle.url('east')}/openai/v1/"
    token = credential.get_token(scope).token
    with openai.OpenAI(base_url=base_url, api_key=token, max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    return answer.choices[0].message.content


def workload(azure: Azure, folder: Path, subject: str, **more: object) -> WorkloadIdentityCredential:
    """A pod with the token file its cluster gave it."""
    told = azure.handle.tell("service_account_token", subject=subject, **more)
    file = folder / "token"
    file.write_text(told["token"])
    return WorkloadIdentityCredential(
        **azure.ids("app"),
        token_file_path=str(file),
        authority=azure.authority,
        disable_instance_discovery=True,
    )


def test_a_client_secret(azure_world: Azure) -> None:
    """The caller is recorded by name in the bill, and billed as a key would be."""
    with azure_world.credential("app") as credential:
        assert ask(azure_world, credential)
    (line,) = azure_world.handle.bill()["entries"]
    assert line["key"] == "entra:app"
    assert azure_world.issued("app") == 1


async def test_a_client_secret_without_blocking(azure_world: Azure) -> None:
    """The asynchronous credential needs nothing more."""
    async with AsyncClientSecretCredential(
        **azure_world.ids("app"),
        client_secret="app-secret",
        authority=azure_world.authority,
        disable_instance_discovery=True,
        transport=AsyncioRequestsTransport(),
    ) as credential:
        token = await credential.get_token(OPENAI)
    assert 3_590 < token.expires_on - time.time() <= 3_600  # noqa: TID251  # tokens carry wall time


def test_a_client_certificate(azure_world: Azure) -> None:
    """The application signs its assertion with the key of a certificate it registered."""
    with CertificateCredential(
        **azure_world.ids("app"),
        certificate_path=str(azure_world.app_key),
        authority=azure_world.authority,
        disable_instance_discovery=True,
    ) as credential:
        assert ask(azure_world, credential)


def test_a_certificate_of_somebody_else(azure_world: Azure) -> None:
    """A certificate proves only the application it is registered with."""
    with (
        CertificateCredential(
            **azure_world.ids("nobody"),
            certificate_path=str(azure_world.app_key),
            authority=azure_world.authority,
            disable_instance_discovery=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
    ):
        credential.get_token(OPENAI)


def test_workload_identity(azure_world: Azure, tmp_path: Path) -> None:
    """A pod's token file is exchanged for a token of the application."""
    with workload(azure_world, tmp_path, "system:serviceaccount:default:app") as credential:
        assert ask(azure_world, credential)


@pytest.mark.parametrize(
    ("subject", "lifetime_s", "number"),
    [
        ("system:serviceaccount:default:other", 3_600, "AADSTS700213"),
        ("system:serviceaccount:default:app", -1, "AADSTS700024"),
    ],
)
def test_a_workload_that_is_not_known(
    azure_world: Azure, tmp_path: Path, subject: str, lifetime_s: float, number: str
) -> None:
    """Another service account, or one whose token is over, gets nothing."""
    with (
        workload(azure_world, tmp_path, subject, lifetime_s=lifetime_s) as credential,
        pytest.raises(ClientAuthenticationError, match=number),
    ):
        credential.get_token(OPENAI)


@pytest.fixture(params=["imds", "app_service"])
def machine(azure_world: Azure, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """This process runs on a virtual machine, or in App Service."""
    for name, value in azure_world.state["identity"][request.param].items():
        monkeypatch.setenv(name, value)
    return azure_world


def test_a_managed_identity_of_the_system(machine: Azure) -> None:
    """Without any name the machine's own identity answers."""
    with ManagedIdentityCredential() as credential:
        assert ask(machine, credential)
    assert machine.handle.bill()["entries"][0]["key"] == "entra:machine"


def test_a_managed_identity_assigned_by_a_user(machine: Azure) -> None:
    """It is chosen by its client id; it has no role here, which is told by the resource, not by the token."""
    with (
        ManagedIdentityCredential(client_id=machine.ids("backup")["client_id"]) as credential,
        pytest.raises(openai.AuthenticationError, match="lacks the required data action"),
    ):
        ask(machine, credential)
    assert machine.issued("backup") == 1


def test_a_managed_identity_that_is_not_there(machine: Azure) -> None:
    """A client id of nobody is told by the library as an unavailable credential."""
    with ManagedIdentityCredential(client_id="none") as credential, pytest.raises(CredentialUnavailableError):
        credential.get_token(OPENAI)


def test_the_default_chain(azure_world: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the environment are the first rung of DefaultAzureCredential."""
    ids = azure_world.ids("app")
    monkeypatch.setenv("AZURE_TENANT_ID", ids["tenant_id"])
    monkeypatch.setenv("AZURE_CLIENT_ID", ids["client_id"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "app-secret")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", azure_world.authority)
    with DefaultAzureCredential(disable_instance_discovery=True) as credential:
        assert ask(azure_world, credential)


def test_either_audience_on_v1(azure_world: Azure) -> None:
    """The v1 surface takes tokens for both names of the service."""
    with azure_world.credential("app") as credential:
        assert ask_v1(azure_world, credential, OPENAI) == ask_v1(azure_world, credential, FOUNDRY)


@pytest.mark.parametrize(
    "scope", [FOUNDRY, "https://ml.azure.com/.default", "https://vault.azure.net/.default"]
)
def test_a_wrong_audience(azure_world: Azure, scope: str) -> None:
    """The classic surface takes tokens for Cognitive Services only."""
    with (
        azure_world.credential("app") as credential,
        pytest.raises(openai.AuthenticationError, match="audience is incorrect"),
    ):
        ask(azure_world, credential, scope)


def test_another_tenant(azure_world: Azure) -> None:
    """A token that is good elsewhere is a bad request here."""
    with (
        azure_world.credential("stranger") as credential,
        pytest.raises(openai.BadRequestError, match="does not match resource tenant"),
    ):
        ask(azure_world, credential)


def test_no_role(azure_world: Azure) -> None:
    """The missing data action is named; on another resource the same role does not help."""
    for principal, resource in (("nobody", "east"), ("app", "sweden"), ("operator", "east")):
        with azure_world.credential(principal) as credential:
            with pytest.raises(openai.AuthenticationError) as caught:
                ask(azure_world, credential, resource=resource)
            object_id = azure_world.state["identity"]["principals"][principal]["object_id"]
            assert caught.value.body == {
                "code": "PermissionDenied",
                "message": f"The principal `{object_id}` lacks the required data action "
                "`Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action`.",
            }


def test_a_role_takes_its_time(azure_world: Azure) -> None:
    """A role given while there is a delay does not help yet; without, it helps the same token at once."""
    give: dict[str, Any] = {
        "principal": "nobody",
        "role": "Cognitive Services OpenAI User",
        "scope": "east",
    }
    with azure_world.credential("nobody") as credential:
        azure_world.handle.tell("identity", role_delay_s=300)
        azure_world.handle.tell("roles", **give)
        with pytest.raises(openai.AuthenticationError, match="lacks the required data action"):
            ask(azure_world, credential)
        azure_world.handle.tell("identity", role_delay_s=0)
        azure_world.handle.tell("roles", **give)
        assert ask(azure_world, credential)
        azure_world.handle.tell("roles", **give, revoke=True)
        with pytest.raises(openai.AuthenticationError, match="lacks the required data action"):
            ask(azure_world, credential)


def test_a_wrong_secret(azure_world: Azure) -> None:
    """Entra ID names the fault by its number."""
    with (
        ClientSecretCredential(
            **azure_world.ids("app"),
            client_secret="other",
            authority=azure_world.authority,
            disable_instance_discovery=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215: Invalid client secret"),
    ):
        credential.get_token(OPENAI)


@pytest.fixture
def short_lived(azure_world: Azure) -> Iterator[Azure]:
    azure_world.handle.tell("identity", token_lifetime_s=3)
    yield azure_world
    azure_world.handle.reset()


def test_tokens_of_three_seconds(short_lived: Azure) -> None:
    """The provider fetches a new token when the old one is over, and no request fails; an old token does."""
    with short_lived.credential("app") as credential:
        old = credential.get_token(OPENAI).token
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert ask(short_lived, credential)
            time.sleep(0.2)
        assert short_lived.issued("app") >= 2
    with (
        openai.AzureOpenAI(
            azure_endpoint=short_lived.handle.url("east"),
            api_version="2024-10-21",
            azure_ad_token=old,
            max_retries=0,
        ) as client,
        pytest.raises(openai.AuthenticationError, match="have expired"),
    ):
        client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)


def test_the_authority_can_fail(azure_world: Azure) -> None:
    """Errors for a while, which the library's own retries get over, or down, as a switch says."""
    azure_world.handle.tell("services/authority", mode="error", status=503, count=1)
    with azure_world.credential("app") as credential:
        assert credential.get_token(OPENAI).token
    azure_world.handle.tell("services/authority", mode="down")
    with (
        ClientSecretCredential(
            **azure_world.ids("app"),
            client_secret="app-secret",
            authority=azure_world.authority,
            disable_instance_discovery=True,
            retry_total=0,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="refused"),
    ):
        credential.get_token(OPENAI)
