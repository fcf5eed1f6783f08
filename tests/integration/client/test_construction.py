"""How the clients are made: the official arguments, the environment, a file, a fleet; and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.contract import world

import smalt
from smalt import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, Fleet, OpenAI
from smalt.client import transports
from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]


def say(client: openai.OpenAI, model: str = "gpt-4o-prod") -> str | None:
    return client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def environment(azure: Handle, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The variables of one resource; `more` of them by name."""

    def set_variables(**more: str) -> None:
        told = {"AZURE_OPENAI_ENDPOINT": azure.url("east"), "AZURE_OPENAI_API_KEY": azure.key("east")}
        for name, value in {**told, **more}.items():
            monkeypatch.setenv(name, value)

    return set_variables


def versions(azure: Handle) -> set[str]:
    return {entry["query"] for entry in azure.log()}


def test_the_official_arguments(azure: Handle) -> None:
    """Endpoint, key and version make a fleet of that one resource; any of its deployments can be named."""
    with AzureOpenAI(
        azure_endpoint=azure.url("east"), api_key=azure.key("east"), api_version="2024-06-01"
    ) as client:
        assert isinstance(client, openai.AzureOpenAI)
        assert say(client)
        assert say(client, "gpt-4-prod")
    assert versions(azure) == {"api-version=2024-06-01"}
    assert [entry["deployment"] for entry in azure.log()] == ["gpt-4o-prod", "gpt-4-prod"]


def test_azure_deployment(azure: Handle) -> None:
    """The deployment may be fixed for a whole client."""
    with AzureOpenAI(
        azure_endpoint=azure.url("east"), api_key=azure.key("east"), azure_deployment="gpt-4o-prod"
    ) as client:
        assert say(client, "whatever")
    assert azure.log()[0]["deployment"] == "gpt-4o-prod"


def test_no_argument_at_all(azure: Handle, environment: Callable[..., None]) -> None:
    """The environment names the resource."""
    environment(AZURE_OPENAI_DEPLOYMENT="gpt-4o-prod")
    with AzureOpenAI() as client:
        assert say(client)
    with OpenAI() as plain:
        assert say(plain)
    assert versions(azure) == {"api-version=2024-10-21"}


def test_req_0_14_version_given_as_argument(azure: Handle, environment: Callable[..., None]) -> None:
    """The most usual form in Azure's documents: endpoint and key in the environment, version as argument."""
    environment(OPENAI_API_VERSION="2024-02-01", AZURE_OPENAI_API_VERSION="2024-05-01-preview")
    with AzureOpenAI(api_version="2024-08-01-preview") as client:
        assert say(client)
    assert versions(azure) == {"api-version=2024-08-01-preview"}


def test_req_0_14_version_from_the_environment(azure: Handle, environment: Callable[..., None]) -> None:
    """Without an argument the variable counts, also beside other arguments."""
    environment(OPENAI_API_VERSION="2024-06-01")
    with AzureOpenAI() as client:
        assert say(client)
    with AzureOpenAI(azure_endpoint=azure.url("east"), api_key=azure.key("east")) as client:
        assert say(client)
    assert versions(azure) == {"api-version=2024-06-01"}


def test_a_file_in_the_folder(azure: Handle, tmp_path: Path, environment: Callable[..., None]) -> None:
    """smalt.yaml counts before the environment, and its other region answers for the first."""
    environment(AZURE_OPENAI_ENDPOINT="http://127.0.0.1:1")
    (tmp_path / "smalt.yaml").write_text(json.dumps(world.written(azure)))  # JSON is YAML
    azure.set("east", "down")
    with AzureOpenAI() as client:
        assert say(client, "gpt-4o")
    assert [entry["resource"] for entry in azure.log()] == ["sweden"]


def test_clients_of_one_fleet(fleet: Fleet, azure: Handle) -> None:
    """Every kind of client over one fleet adds to the same sums."""
    for client in (fleet.openai(), fleet.azure_openai(), AzureOpenAI(fleet=fleet), OpenAI(fleet=fleet)):
        with client:
            assert client.fleet is fleet
            assert say(client, "gpt-4o")
    assert sum(sums.calls for sums in fleet.usage().values()) == 4
    assert all(status.in_flight == 0 for status in fleet.status())


async def test_asynchronous_clients_of_one_fleet(fleet: Fleet) -> None:
    """The same for asyncio."""
    for client in (fleet.async_openai(), fleet.async_azure_openai()):
        async with client:
            answer = await client.chat.completions.create(model="gpt-4o", messages=HELLO)
            assert answer.choices[0].message.content
            assert client.copy().fleet is fleet
    assert sum(sums.calls for sums in fleet.usage().values()) == 2


@pytest.mark.parametrize("make", ["openai", "azure_openai"])
def test_copies(fleet: Fleet, azure: Handle, make: str) -> None:
    """A copy is the same class over the same fleet with the changed option; retries stay off."""
    azure.set("east", "error", error="content_filter_prompt")
    with getattr(fleet, make)() as client:
        for copied in (
            client.with_options(timeout=3),
            client.copy(max_retries=5),
            client.with_options(max_retries=5).with_options(timeout=3),
            client.with_options(default_headers={"x-a": "b"}),
        ):
            assert type(copied) is type(client)
            assert copied.fleet is fleet
            assert copied.max_retries == 0
        assert client.with_options(timeout=3).timeout == 3
        before = len(azure.log())
        with pytest.raises(openai.BadRequestError):
            client.with_options(max_retries=5).chat.completions.create(model="gpt-4o", messages=HELLO)
        assert len(azure.log()) == before + 1
        assert client.copy(timeout=1).chat.completions.create(model="gpt-4o", messages=HELLO).id


def test_retries_asked_for_are_not_the_sdks(fleet: Fleet, azure: Handle) -> None:
    """`max_retries` as an argument does not multiply attempts."""
    for name in ("east", "sweden"):
        azure.set(name, "error", error="rate_limit_tokens_classic")
    with fleet.openai(max_retries=4, timeout=3) as client, pytest.raises(openai.RateLimitError):
        say(client, "gpt-4o")
    assert [entry["resource"] for entry in azure.log()] == ["east", "sweden"]


def test_raw_and_streaming_responses(fleet: Fleet) -> None:
    """The SDK's two ways to see the HTTP answer."""
    with fleet.openai() as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
        assert raw.headers["x-smalt-upstream"] == "east/gpt-4o-prod"
        assert raw.parse().usage
        with client.chat.completions.with_streaming_response.create(
            model="gpt-4o", messages=HELLO, stream=True
        ) as response:
            lines = list(response.iter_lines())
    assert [line for line in lines if line][-1] == "data: [DONE]"
    assert all(status.in_flight == 0 for status in fleet.status())


async def no_token() -> str:
    return ""


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (AzureOpenAI, "AZURE_OPENAI_ENDPOINT"),
        (OpenAI, "AZURE_OPENAI_ENDPOINT"),
        (lambda: AzureOpenAI(api_key="k"), "endpoint is required"),
        (
            lambda: AzureOpenAI(azure_endpoint="http://contoso.example", api_key="k"),
            "http would send the key",
        ),
        (lambda: AzureOpenAI(azure_endpoint="foo", api_key="k"), "expected an https URL"),
        (lambda: AzureOpenAI(azure_endpoint="https://a.example"), "either APIKey or EntraToken"),
        (
            lambda: AzureOpenAI(azure_endpoint="https://a.example", api_key=lambda: "k"),
            "goes to azure_ad_token_provider",
        ),
        (
            lambda: AzureOpenAI(azure_endpoint="https://a.example", api_key="k", api_version="new"),
            "api_version",
        ),
        (lambda: AsyncAzureOpenAI(azure_ad_token_provider=no_token), "give a function that is not async"),
        (lambda: OpenAI(base_url="https://api.openai.com/v1"), "smalt.OpenAI takes no base_url"),
        (lambda: AsyncOpenAI(api_key="sk-secret"), "smalt.OpenAI takes no api_key"),
        (
            lambda: AzureOpenAI(azure_endpoint="https://a.example", api_key="k", http_client=object()),
            "http_client",
        ),
        (lambda: OpenAI(http_client=object()), "http_client cannot be combined"),
    ],
)
def test_refused_arguments(make: Callable[[], object], says: str) -> None:
    """A clear text that says what to do, and never the key."""
    with pytest.raises(smalt.ConfigurationError, match=says) as caught:
        make()
    assert "sk-secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_foreign_http_client_cannot_bypass_the_fleet(fleet: Fleet) -> None:
    """Neither at the start nor in a copy."""
    http = transports.transport_classes(transports.library_of_the_sdk()).http
    with http.Client() as foreign:
        with pytest.raises(smalt.ConfigurationError, match="http_client"):
            AzureOpenAI(fleet=fleet, http_client=foreign)
        with fleet.openai() as client, pytest.raises(smalt.ConfigurationError, match="http_client"):
            client.with_options(http_client=foreign)


def test_settings_of_a_program_are_checked() -> None:
    """A fleet of settings objects names every problem, as a file would."""
    settings = Settings.model_validate(
        {
            "resources": {
                "east": {"endpoint": "foo", "api_keys": ["k"]},
                "west": {"endpoint": "https://a.example"},
            }
        }
    )
    with pytest.raises(smalt.ConfigurationError) as caught:
        Fleet(settings)
    assert len(caught.value.problems) >= 3


def test_environment_tokens_do_no_harm(azure: Handle, environment: Callable[..., None]) -> None:
    """Variables of the SDK that smalt does not use change nothing, and their values go nowhere."""
    environment(OPENAI_API_KEY="sk-other", OPENAI_ORG_ID="org-other", OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    with AzureOpenAI(azure_endpoint=azure.url("east"), api_key=azure.key("east")) as client:
        assert say(client)
    with OpenAI() as plain:
        assert say(plain, "azure/gpt-4o-prod")
    assert "other" not in str(azure.log())
