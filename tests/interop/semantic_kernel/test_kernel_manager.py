"""KernelManager against the emulator; what needs no semantic-kernel is in tests/unit/integrations."""

import runpy
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from calls import Weather, history, play
from ruamel.yaml import YAML
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import (
    AzureChatCompletion,
    AzureChatPromptExecutionSettings,
    AzureTextEmbedding,
)
from semantic_kernel.exceptions import KernelInvokeException, ServiceResponseException
from semantic_kernel.functions import KernelArguments

import smalt
from smalt.config import Settings, from_data
from smalt.emulator.fleet import load_fleet
from smalt.emulator.testing import Handle, running
from smalt.errors import (
    DeploymentNotFound,
    ModelNotAvailableError,
    NoUpstreamAvailable,
    Unauthorized,
    UpstreamError,
)
from smalt.integrations.semantic_kernel import KernelManager

REGIONS = ("east", "sweden")
AGENTS = """
agents:
  narrator: {model: gpt-4o, temperature: 0.9, max_tokens: 200}
  rules: {model: gpt-5-mini, max_tokens: 900}
retry: {max_attempts: 2}
"""


@pytest.fixture(scope="module")
def shared_azure() -> Iterator[Handle]:
    with running(load_fleet(Path(__file__).parent.parent / "azure.yaml")) as handle:
        yield handle


@pytest.fixture
def azure(shared_azure: Handle) -> Handle:
    shared_azure.reset()
    return shared_azure


def settings(regions: str) -> Settings:
    """Two agents over these regions."""
    return from_data(YAML(typ="safe").load(regions + AGENTS))


@pytest.fixture
async def manager(azure: Handle) -> AsyncIterator[KernelManager]:
    async with KernelManager(settings(azure.config_text)) as manager:
        yield manager


def asked(azure: Handle) -> list[tuple[str, Any, Any]]:
    """Deployment, temperature and longest answer of every request that Azure answered."""
    return [
        (
            entry["deployment"],
            entry["body"].get("temperature"),
            entry["body"].get("max_tokens") or entry["body"].get("max_completion_tokens"),
        )
        for entry in azure.log()
        if entry["status"] == 200
    ]


async def test_req_3_21_every_agent_answers_and_embeds(manager: KernelManager, azure: Handle) -> None:
    """One kernel for all: the service id chooses the agent, whose deployment and parameters count."""
    kernel = manager.kernel()
    for agent in ("narrator", "rules"):
        chat = kernel.get_service(agent, type=AzureChatCompletion)
        assert str(await chat.get_chat_message_content(history("Hello?"), AzureChatPromptExecutionSettings()))
        embedding = kernel.get_service(f"{agent}-embedding", type=AzureTextEmbedding)
        assert (await embedding.generate_embeddings(["blue", "glass"])).shape == (2, 1_536)
    assert asked(azure) == [
        ("gpt-4o-prod", 0.9, 200),
        ("text-embedding-3-small-prod", None, None),
        ("gpt-5-mini-prod", None, 900),
        ("text-embedding-3-small-prod", None, None),
    ]
    sums = manager.fleet.usage("agent")
    assert sums["narrator"].calls == sums["rules"].calls == 1


async def test_req_3_21_a_kernel_of_one_agent(manager: KernelManager, azure: Handle) -> None:
    """Whatever names no service is that agent's: prompts, and functions that it calls."""
    kernel = manager.kernel("rules")
    assert str(await kernel.invoke_prompt("May I open the door?"))
    kernel.add_plugin(Weather(), "weather")
    acting = AzureChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    assert str(await kernel.invoke_prompt("Weather in Lisbon?", arguments=KernelArguments(settings=acting)))
    assert {deployment for deployment, *_ in asked(azure)} == {"gpt-5-mini-prod"}
    assert len(asked(azure)) == 3  # the second prompt with a round of functions
    assert sorted(kernel.services) == ["rules", "rules-embedding"]


async def test_req_3_21_an_unknown_agent_is_named(manager: KernelManager) -> None:
    """With the names there are."""
    with pytest.raises(ModelNotAvailableError, match="no agent is named 'bard'; there are: narrator, rules"):
        manager.kernel("bard")


async def test_req_3_21_a_lost_region_goes_unnoticed(manager: KernelManager, azure: Handle) -> None:
    """The other one answers."""
    azure.set("east", mode="down")
    await manager.connect()
    assert str(await manager.kernel("narrator").invoke_prompt("Hello?"))
    assert {entry["resource"] for entry in azure.log()} == {"sweden"}


async def test_req_3_21_connect_asks_each_model_once(manager: KernelManager, azure: Handle) -> None:
    """Two agents, and the embedding model that they share."""
    await manager.connect()
    assert sorted(deployment for deployment, *_ in asked(azure)) == [
        "gpt-4o-prod",
        "gpt-5-mini-prod",
        "text-embedding-3-small-prod",
    ]


@pytest.mark.parametrize(
    ("error", "instead"),
    [
        (NoUpstreamAvailable, {}),
        (Unauthorized, {"-key": "-wrong"}),
        (DeploymentNotFound, {"4o-prod": "4o-gone"}),
    ],
)
async def test_req_3_21_connection_errors_are_typed(
    error: type[UpstreamError], instead: dict[str, str], azure: Handle
) -> None:
    """No region left, wrong keys, a deployment that is not there: an error of its own each."""
    text = azure.config_text
    for right, wrong in instead.items():
        text = text.replace(right, wrong)
    if not instead:
        for region in REGIONS:
            azure.set(region, mode="down")
    async with KernelManager(settings(text)) as manager:
        with pytest.raises(error) as caught:
            await manager.connect()
    assert caught.value.__notes__ == ["asked for by the service 'narrator'"]
    assert len(caught.value.causes) == len(REGIONS)
    assert caught.value.resolution


async def test_req_3_21_errors_of_a_kernel_can_be_explained(manager: KernelManager, azure: Handle) -> None:
    """They are semantic-kernel's own; what happened is found behind them."""
    for region in REGIONS:
        azure.set(region, mode="down")
    kernel = manager.kernel("narrator")
    chat = kernel.get_service(type=AzureChatCompletion)
    with pytest.raises(ServiceResponseException) as of_service:
        await chat.get_chat_message_content(history("Hello?"), AzureChatPromptExecutionSettings())
    with pytest.raises(KernelInvokeException) as of_kernel:
        await kernel.invoke_prompt("Hello?")
    for caught in (of_service, of_kernel):
        told = smalt.explain(caught.value)
        assert told is not None
        assert (told.code, told.retryable) == ("no_upstream_available", True)


async def test_req_3_21_variables_of_the_framework_do_no_harm(
    azure: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads some by itself, and refuses endpoints without TLS; address and key are the fleet's."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://app.invalid")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "the-app's-own")
    async with KernelManager(settings(azure.config_text)) as manager:
        assert str(await manager.kernel("narrator").invoke_prompt("Hello?"))
    assert "the-app's-own" not in str(azure.log())


@pytest.mark.parametrize("client_class", [openai.AsyncAzureOpenAI, smalt.AsyncAzureOpenAI])
async def test_req_3_19_an_application_runs_unmodified(client_class: Any, azure: Handle) -> None:
    """Chat, stream, functions and embeddings of semantic-kernel: the client is all that is exchanged."""
    async with client_class(
        azure_endpoint=azure.url("east"), api_key=azure.key("east"), api_version="2024-10-21"
    ) as client:
        await play(
            AzureChatCompletion(deployment_name="gpt-4o-prod", async_client=client),
            AzureTextEmbedding(deployment_name="text-embedding-3-small-prod", async_client=client),
        )
    assert {entry["status"] for entry in azure.log("east")} == {200}


def test_the_page_about_frameworks_is_right(
    azure: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it shows runs, and two agents answer."""
    monkeypatch.chdir(tmp_path)
    Path("smalt.yaml").write_text(azure.config_text + AGENTS)
    runpy.run_path(str(Path(__file__).with_name("agents.py")), run_name="__main__")
    assert len(asked(azure)) == 5
