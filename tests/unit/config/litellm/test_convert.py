"""A whole config.yaml: routes, fallbacks, numbers; the result is a valid smalt.yaml."""

import re
from pathlib import Path

import pytest

from smalt.config import load
from smalt.config.litellm import Converted, convert
from smalt.config.read import parse
from smalt.config.yaml_text import yaml_text

SECRET = "sk-1234secret"
MODELS = """\
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/a, api_base: "https://east.openai.azure.com", api_key: os.environ/EAST}
  - model_name: gpt-4o
    litellm_params: {model: azure/b, api_base: os.environ/WEST_URL, api_key: os.environ/WEST}
  - model_name: mini
    litellm_params: {model: azure/mini, api_base: "https://east.openai.azure.com", api_key: os.environ/EAST}
  - model_name: llama
    litellm_params: {model: openai/llama, api_base: "http://vllm:8000/v1", api_key: none}
"""


def converted(text: str) -> Converted:
    return convert(parse(text, "config.yaml"))


def remarks(text: str) -> dict[str, str]:
    return {remark.key: remark.text for remark in converted(text).remarks}


def test_routes_are_written_where_the_default_is_not_the_same() -> None:
    """One pool of Azure needs none; servers of OpenAI's kind serve where they are named."""
    assert converted(MODELS).data["models"] == {"llama": {"route": ["vllm/llama"]}}


def test_orders_become_tiers() -> None:
    """Lower first; equals share the load."""
    text = MODELS.replace("model: azure/a,", "model: azure/a, order: 2,").replace("mini\n", "gpt-4o\n")
    assert converted(text).data["models"]["gpt-4o"] == {"route": [["west/b", "east/mini"], "east/a"]}


@pytest.mark.parametrize(
    ("strategy", "weights", "ours"),
    [
        ("latency-based-routing", False, "least_latency"),
        ("usage-based-routing-v2", True, None),
        ("simple-shuffle", True, "weighted"),
        ("simple-shuffle", False, None),
        ("cost-based-routing", False, None),
        (None, True, "weighted"),
        (None, False, None),
    ],
)
def test_strategies(strategy: str | None, weights: bool, ours: str | None) -> None:
    """Only where several upstreams share the load."""
    text = MODELS.replace("azure/a,", "azure/a, weight: 3,") if weights else MODELS
    if strategy:
        text += f"router_settings: {{routing_strategy: {strategy}}}\n"
    models = converted(text).data["models"]
    assert models.get("gpt-4o", {}).get("strategy") == ours
    assert "mini" not in models


def test_fallbacks() -> None:
    """Of both sections and kinds, in order; those for long prompts serve otherwise, too."""
    text = MODELS + (
        "router_settings: {fallbacks: [{gpt-4o: [mini]}]}\n"
        "litellm_settings: {context_window_fallbacks: [{gpt-4o: [mini, llama]}]}\n"
    )
    assert converted(text).data["models"]["gpt-4o"]["fallbacks"] == ["mini", "llama"]
    told = remarks(text)
    assert told["router_settings.fallbacks[0].gpt-4o"] == "models.gpt-4o.fallbacks"
    assert told["litellm_settings.context_window_fallbacks[0].gpt-4o"] == (
        "models.gpt-4o.fallbacks, used whenever no upstream of the model itself can serve"
    )


def test_fallbacks_that_lead_nowhere_or_back() -> None:
    """They are left out, and said: smalt refuses circles."""
    text = MODELS + (
        "litellm_settings: {fallbacks: [{gpt-4o: [mini, claude]}, {mini: [llama]}, {llama: [gpt-4o]}, "
        "{claude: [mini]}, {mini: mini}]}\n"
    )
    models = converted(text).data["models"]
    assert {name: served.get("fallbacks") for name, served in models.items()} == {
        "gpt-4o": ["mini"],
        "mini": ["llama"],
        "llama": None,
    }
    told = remarks(text)
    assert told["litellm_settings.fallbacks[0].gpt-4o"] == (
        "models.gpt-4o.fallbacks; without claude: not taken over, or it falls back to gpt-4o itself"
    )
    assert told["litellm_settings.fallbacks[2].llama"] == (
        "gpt-4o: not taken over, or it falls back to llama itself"
    )
    assert told["litellm_settings.fallbacks[3].claude"] == (
        "claude is not among the models that were taken over"
    )


def test_numbers() -> None:
    """Retries are not attempts; the router's come first."""
    text = MODELS + (
        "router_settings: {num_retries: 2, timeout: 30, stream_timeout: 2.5, cooldown_time: 60, "
        "allowed_fails: 3}\n"
        "litellm_settings: {num_retries: 9, request_timeout: 600}\n"
    )
    data = converted(text).data
    assert data["retry"] == {"max_attempts": 3}
    assert data["timeouts"] == {"total_s": 30, "stream_first_byte_s": 2.5}
    assert data["breaker"] == {"open_s": 60, "failures": 4}
    assert remarks(text)["litellm_settings.num_retries"] == (
        "retry.max_attempts is set already, by router_settings or a key above"
    )
    assert "retry" not in converted(f"{MODELS}litellm_settings: {{num_retries: many}}\n").data


@pytest.mark.parametrize(
    ("key", "variable"), [("os.environ/MASTER", "${MASTER}"), (SECRET, "${SMALT_ADMIN_KEY}")]
)
def test_the_master_key(key: str, variable: str) -> None:
    """By a variable, whatever it was."""
    text = f"{MODELS}general_settings: {{master_key: {key}}}\n"
    assert converted(text).data["gateway"] == {"admin_key": variable}
    assert SECRET not in repr(converted(text))


def test_entra_id_and_dropped_parameters() -> None:
    """Two switches that have their place here."""
    text = MODELS.replace(", api_key: os.environ/WEST}", "}") + (
        "litellm_settings: {enable_azure_ad_token_refresh: true, drop_params: true}\n"
    )
    assert converted(text).data["resources"]["west"]["identity"] == "default"
    assert all(remark.taken for remark in converted(text).remarks)


FULL = """\
# A gateway of two regions, with another provider beside them.
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://contoso-eu.openai.azure.com/
      api_key: "os.environ/AZURE_API_KEY_EU"
      api_version: "2024-08-01-preview"
      tpm: 100000
      rpm: 600
      order: 1
      timeout: 300
    model_info: {id: eu, base_model: azure/gpt-4o}
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-us
      api_base: os.environ/AZURE_API_BASE_US
      api_key: sk-1234secret
      api_version: os.environ/AZURE_API_VERSION
      order: 2
  - model_name: embeddings
    litellm_params: {model: azure/ada, api_base: "https://contoso-eu.openai.azure.com", api_key: none}
    model_info: {mode: embedding}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet, api_key: os.environ/ANTHROPIC_API_KEY}
  - model_name: "*"
    litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}
litellm_settings:
  drop_params: true
  set_verbose: false
  success_callback: [langfuse]
  cache: true
  cache_params: {type: redis, password: sk-1234secret}
  fallbacks: [{claude: [gpt-4o]}, {gpt-4o: [claude]}]
router_settings:
  routing_strategy: usage-based-routing-v2
  model_group_alias: {gpt-4: gpt-4o}
  num_retries: 2
general_settings:
  master_key: sk-1234secret
  database_url: "postgresql://user:sk-1234secret@db/litellm"
environment_variables: {LANGFUSE_SECRET_KEY: sk-1234secret}
"""
ENTRA = """\
model_list:
  - model_name: gpt-4.1
    litellm_params:
      model: azure/gpt-41
      api_base: https://contoso.openai.azure.com
      tenant_id: os.environ/AZURE_TENANT_ID
      client_id: os.environ/AZURE_CLIENT_ID
      client_secret: os.environ/AZURE_CLIENT_SECRET
  - model_name: proxy-model
    litellm_params: {model: litellm_proxy/gpt-4.1, api_base: "http://other:4000", api_key: os.environ/OTHER}
router_settings:
  fallbacks: [{gpt-4.1: [proxy-model]}]
"""


@pytest.mark.parametrize("text", [MODELS, FULL, ENTRA])
def test_the_result_is_valid(text: str, tmp_path: Path) -> None:
    """Once its variables are set; and holds no secret."""
    result = converted(text)
    written = yaml_text(result.data)
    assert SECRET not in written + repr(result.remarks)
    names = set(re.findall(r"\$\{(\w+)\}", written))
    env = {name: name.lower() for name in names} | {
        name: "https://c.openai.azure.com" for name in names if "BASE" in name or "URL" in name
    }
    env |= {"AZURE_API_VERSION": "2024-10-21"} if "AZURE_API_VERSION" in names else {}
    (tmp_path / "smalt.yaml").write_text(written)
    settings = load(env=env, cwd=tmp_path)
    assert {d.model for r in settings.resources.values() for d in r.deployments.values()} >= {
        name for name in ("gpt-4o", "gpt-4.1") if f"model_name: {name}\n" in text
    }


def test_every_key_of_a_file_has_its_remark() -> None:
    """With its line; nothing is dropped in silence."""
    told = converted(FULL).remarks
    left = {remark.key: remark.line for remark in told if not remark.taken}
    assert left == {
        "model_list[0].litellm_params.timeout": 12,
        "model_list[0].model_info.id": 13,
        "model_list[0].model_info.base_model": 13,
        "model_list[2].model_info.mode": 23,
        "model_list[3]": 24,
        "model_list[4]": 26,
        "litellm_settings.set_verbose": 30,
        "litellm_settings.success_callback": 31,
        "litellm_settings.cache": 32,
        "litellm_settings.cache_params.type": 33,
        "litellm_settings.cache_params.password": 33,
        "litellm_settings.fallbacks[0].claude": 34,
        "litellm_settings.fallbacks[1].gpt-4o": 34,
        "router_settings.model_group_alias.gpt-4": 37,
        "general_settings.database_url": 41,
        "environment_variables.LANGFUSE_SECRET_KEY": 42,
    }
    assert [remark.line for remark in told] == sorted(remark.line for remark in told)


@pytest.mark.parametrize(
    "text",
    [
        "model_list: x",
        "model_list: [1, [2], {litellm_params: []}]",
        "router_settings: []\nlitellm_settings: x",
        "router_settings: {fallbacks: [x, {a: {b: c}}], routing_strategy: {}, num_retries: []}",
        "model_list: [{model_name: [a], litellm_params: {model: {a: b}, api_key: [x]}}]",
    ],
)
def test_another_shape_does_no_harm(text: str) -> None:
    """It is left out."""
    result = converted(text)
    assert result.data == {"resources": {}}
    assert result.remarks
    assert not any(remark.taken for remark in result.remarks)
