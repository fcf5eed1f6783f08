"""Entra tokens that are given, not fetched: the Authorization header and nothing else."""

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from tests.integration.client.test_requests import HELLO, credentials

import smalt
from smalt import AzureOpenAI
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk


@pytest.fixture(scope="module")
def entra() -> Iterator[Handle]:
    """With identities, of which `app` may use every resource."""
    with running() as emulator:
        yield emulator


@pytest.fixture
def token(entra: Handle) -> str:
    """As an application gets one with its secret."""
    told = entra.state()["identity"]
    app = told["principals"]["app"]
    asked = {
        "grant_type": "client_credentials",
        "client_id": app["client_id"],
        "client_secret": "app-secret",
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    answer = httpx2.post(f"{told['authority']}/{app['tenant_id']}/oauth2/v2.0/token", data=asked)
    return str(answer.raise_for_status().json()["access_token"])


@pytest.mark.parametrize("written", ["{}", "Bearer {}"])
@pytest.mark.parametrize("more", [{}, {"api_key": "k"}], ids=["alone", "beside a key"])
def test_req_1_9_a_token_is_the_only_credential(
    entra: Handle, token: str, written: str, more: dict[str, Any]
) -> None:
    """As the SDK's argument: its word is not doubled, and a key beside it is not sent."""
    asked = len(entra.log())
    given = written.format(token)
    with AzureOpenAI(azure_endpoint=entra.url("east"), azure_ad_token=given, **more) as client:
        assert client.chat.completions.create(model="gpt-4o-prod", messages=HELLO).id
    assert credentials(entra)[asked:] == [{"authorization": f"Bearer {token}"}]


def test_a_token_of_the_settings(entra: Handle, token: str) -> None:
    """Of a resource, for every client of the fleet and on every surface."""
    east = {
        "endpoint": entra.url("east"),
        "identity": {"kind": "token", "token": f"Bearer {token}"},
        "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
    }
    with (
        smalt.Fleet(smalt.Settings.model_validate({"resources": {"east": east}})) as fleet,
        fleet.openai() as client,
    ):
        assert client.chat.completions.create(model="gpt-4o", messages=HELLO).id
        assert token not in repr(fleet) + repr(vars(fleet))


def test_a_refused_token_is_not_repeated(entra: Handle) -> None:
    """Neither to Azure nor to the caller."""
    asked = len(entra.log())
    with (
        AzureOpenAI(azure_endpoint=entra.url("east"), azure_ad_token="s3cret-token") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    assert caught.value.code == "unauthorized"
    assert "s3cret" not in str(smalt.explain(caught.value)) + str(caught.value)
    assert len(entra.log()) == asked + 1
