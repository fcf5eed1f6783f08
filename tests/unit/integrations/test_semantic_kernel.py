"""What needs no semantic-kernel; with it, tests/interop/semantic_kernel."""

import sys
from typing import Any

import pytest

from smalt import Fleet
from smalt.config import Settings, from_data
from smalt.errors import ConfigurationError, MissingExtra
from smalt.integrations.semantic_kernel import KernelManager, Service, services

DEPLOYMENTS = {
    "gpt-4o-prod": {"model": "gpt-4o"},
    "gpt-4o-mini-prod": {"model": "gpt-4o-mini"},
    "embed-prod": {"model": "text-embedding-3-small"},
}
AGENTS = {"narrator": {"model": "gpt-4o"}, "rules": {"model": "gpt-4o-mini", "temperature": 0}}


def settings(deployments: dict[str, Any] | None = None, agents: dict[str, Any] | None = None) -> Settings:
    east = {
        "endpoint": "https://contoso.openai.azure.com",
        "api_keys": ["example"],
        "deployments": DEPLOYMENTS if deployments is None else deployments,
    }
    return from_data({"resources": {"east": east}, "agents": AGENTS if agents is None else agents})


def test_each_agent_has_a_chat_and_an_embedding_service() -> None:
    """The ids are made of the agent's name; chat asks for the agent, so that its parameters count."""
    assert services(settings()) == [
        Service("narrator", "agent/narrator", embeds=False),
        Service("narrator-embedding", "text-embedding-3-small", embeds=True),
        Service("rules", "agent/rules", embeds=False),
        Service("rules-embedding", "text-embedding-3-small", embeds=True),
    ]


def test_one_agent_can_be_taken_alone() -> None:
    """With its own services only."""
    assert [service.service_id for service in services(settings(), agent="rules")] == [
        "rules",
        "rules-embedding",
    ]


def test_an_agent_whose_model_embeds_is_an_embedding_service() -> None:
    """Then the sums by agent tell its embeddings, too."""
    told = services(settings(agents={"memory": {"model": "text-embedding-3-small"}}))
    assert told == [Service("memory", "agent/memory", embeds=True)]


def test_without_an_embedding_model_there_is_chat_alone() -> None:
    """Who embeds nothing need not deploy anything for it."""
    told = services(settings({"gpt-4o-prod": {"model": "gpt-4o"}}, {"narrator": {"model": "gpt-4o"}}))
    assert told == [Service("narrator", "agent/narrator", embeds=False)]


def test_the_name_of_the_deployment_tells_what_the_model_is() -> None:
    """Where the model has a name of one's own."""
    own = {"gpt-4o-prod": {"model": "gpt-4o"}, "text-embedding-3-large": {"model": "memory"}}
    told = services(settings(own, {"narrator": {"model": "gpt-4o"}}))
    assert told[1] == Service("narrator-embedding", "memory", embeds=True)


def test_of_several_embedding_models_one_is_chosen() -> None:
    """Guessing would mix vectors of two kinds."""
    several = settings({**DEPLOYMENTS, "embed-large": {"model": "text-embedding-3-large"}})
    with pytest.raises(ConfigurationError, match="several embedding models") as caught:
        services(several)
    assert "text-embedding-3-small, text-embedding-3-large" in str(caught.value)
    assert services(several, "text-embedding-3-large")[1].model == "text-embedding-3-large"


def test_the_default_resource_serves_any_embedding_model() -> None:
    """If it lists no deployments; but not where a model has to stay in a region."""
    key = {"endpoint": "https://contoso.openai.azure.com", "api_keys": ["example"]}
    deployments = {"gpt-4o-prod": {"model": "gpt-4o", "sku": "Standard"}}
    east = {**key, "region": "eastus", "deployments": deployments}
    told: dict[str, Any] = {
        "resources": {"east": east, "default": key},
        "agents": {"narrator": {"model": "gpt-4o"}},
    }
    assert services(from_data(told), "vectors")[1] == Service("narrator-embedding", "vectors", embeds=True)
    bound = {"models": {"gpt-4o": {"residency": "us"}}, "residency": {"us": ["eastus"]}}
    with pytest.raises(ConfigurationError, match="no deployment serves 'vectors'"):
        services(from_data({**told, **bound}), "vectors")


def test_req_3_21_what_is_wrong_is_named() -> None:
    """No agents, an unknown embedding model: a line each that says so."""
    with pytest.raises(ConfigurationError, match="no agents: name at least one"):
        services(settings(agents={}))
    with pytest.raises(
        ConfigurationError, match="no deployment serves 'text-embeding-3-small'; did you mean"
    ):
        services(settings(), "text-embeding-3-small")


def test_req_3_21_every_problem_of_the_settings_is_named(tmp_path: Any) -> None:
    """They are loaded and checked as everywhere: all at once, with their places in the file."""
    file = tmp_path / "smalt.yaml"
    file.write_text(
        "resources:\n"
        "  east:\n"
        "    endpoint: http://contoso.openai.azure.com\n"
        "    api_keys: [example]\n"
        "    deployments: {gpt-4o-prod: {model: gpt-4o}}\n"
        "agents:\n"
        "  narrator: {model: gpt-5o, temperature: 3}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        KernelManager.load(file)
    assert [problem.partition(" ")[2].partition(":")[0] for problem in caught.value.problems] == [
        "resources.east.endpoint",
        "agents.narrator.model",
        "agents.narrator.temperature",
    ]


def test_without_semantic_kernel_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with the settings would have been told before."""
    monkeypatch.setitem(sys.modules, "semantic_kernel", None)
    with pytest.raises(
        MissingExtra, match="KernelManager needs semantic-kernel: pip install semantic-kernel"
    ):
        KernelManager(Fleet(settings()))
    with pytest.raises(ConfigurationError, match="no agents"):
        KernelManager(settings(agents={}))
