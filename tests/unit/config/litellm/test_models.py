"""`model_list`: from entries to resources, and who serves which name."""

from typing import Any

import pytest

from smalt.config.document import Document
from smalt.config.litellm.models import Member, Models, filled
from smalt.config.litellm.report import Report

EAST = "https://contoso-east.openai.azure.com"


def entry(model: str = "azure/prod", name: str = "gpt-4o", **params: Any) -> dict[str, Any]:
    given = {"api_base": EAST, "api_key": "os.environ/EAST_KEY"} | params
    return {"model_name": name, "litellm_params": {"model": model} | {k: v for k, v in given.items() if v}}


def read(*entries: dict[str, Any], entra: bool = False) -> tuple[Models, dict[str, str]]:
    """The models, and what was not taken over, with the reason."""
    document = Document("config.yaml", data={"model_list": list(entries)})
    models = Models(report := Report(document), entra=entra)
    for index, one in enumerate(entries):
        models.add(("model_list", index), one)
    left = {path: text for path, (taken, text) in report._told.items() if not taken}
    return models, {str(path[-1]): text for path, text in left.items()}


def resources(*entries: dict[str, Any], entra: bool = False) -> dict[str, Any]:
    models, left = read(*entries, entra=entra)
    assert not left
    return models.finished()


def test_one_entry() -> None:
    """A resource with its key, a deployment that serves the name callers ask for."""
    assert resources(entry(tpm="1000", rpm="6", weight="2", region_name="eastus")) == {
        "contoso-east": {
            "endpoint": EAST,
            "region": "eastus",
            "api_keys": ["${EAST_KEY}"],
            "deployments": {"prod": {"model": "gpt-4o", "quota_tpm": 1000, "quota_rpm": 6, "weight": 2}},
        }
    }


def test_entries_of_one_endpoint_are_one_resource() -> None:
    """However it is pasted; with both keys, and no third."""
    models, left = read(
        entry("azure/a", name="a"),
        entry("azure/b", name="b", api_base=f"{EAST}/openai/", api_key="os.environ/EAST_KEY_2"),
        entry("azure/c", name="c", api_base=f"{EAST}/", api_key="os.environ/EAST_KEY_3"),
    )
    (resource,) = models.finished().values()
    assert resource["api_keys"] == ["${EAST_KEY}", "${EAST_KEY_2}"]
    assert list(resource["deployments"]) == ["a", "b", "c"]
    assert left == {"api_key": "a resource has two keys at most"}


def test_versions_that_differ_stand_at_the_deployments() -> None:
    """The first is the resource's."""
    (resource,) = resources(
        entry("azure/a", name="a", api_version="2024-10-21"),
        entry("azure/b", name="b", api_version="2025-04-01-preview"),
        entry("azure/c", name="c", api_version="2024-10-21"),
    ).values()
    assert resource["api_version"] == "2024-10-21"
    assert resource["deployments"]["b"] == {"model": "b", "api_version": "2025-04-01-preview"}
    assert resource["deployments"]["c"] == {"model": "c"}


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "contoso-east"),
        ({"api_base": "https://default.openai.azure.com"}, "default-2"),
        ({"api_base": "os.environ/AZURE_OPENAI_SWEDEN_ENDPOINT"}, "sweden"),
        ({"api_base": "os.environ/AZURE_API_BASE"}, "azure"),
        ({"api_base": None}, "azure"),
        ({"model": "openai/gpt-4o", "api_base": None}, "openai"),
        ({"model": "openai/x", "api_base": "http://10.0.0.1:8000/v1"}, "server"),
        ({"model": "litellm_proxy/x", "api_base": "https://llm.example.com"}, "llm"),
    ],
)
def test_resources_have_names_that_people_know(params: dict[str, Any], name: str) -> None:
    """Of the host or the variable; `default` means something here and is no such name."""
    assert list(resources(entry(**params))) == [name]


def test_two_hosts_of_one_name_stay_apart() -> None:
    """By a number."""
    found = resources(
        entry("azure/a", name="a", api_base="https://x.openai.azure.com"),
        entry("azure/a", name="a", api_base="https://x.openai.azure.us"),
    )
    assert list(found) == ["x", "x-2"]


def test_servers_of_openais_kind() -> None:
    """The path stays; http beyond this machine is allowed as it was; a dummy key stays."""
    models, _ = read(
        entry("hosted_vllm/meta/llama", name="llama", api_base="http://vllm:8000/v1", api_key="none"),
        entry("gpt-4o", name="gpt-4o", api_base=None, api_key=None),
    )
    assert models.finished() == {
        "vllm": {
            "kind": "openai",
            "endpoint": "http://vllm:8000/v1",
            "allow_http": True,
            "api_keys": ["none"],
            "deployments": {"meta/llama": {"model": "llama"}},
        },
        "openai": {
            "kind": "openai",
            "endpoint": "https://api.openai.com/v1",
            "api_keys": ["${OPENAI_API_KEY}"],
            "deployments": {"gpt-4o": {"model": "gpt-4o"}},
        },
    }
    assert models.groups["llama"] == [Member("vllm/meta/llama", 0, True)]


@pytest.mark.parametrize("model", ["azure/o3", "azure/o_series/o3", "azure/responses/o3"])
def test_words_of_litellm_are_not_of_the_deployment(model: str) -> None:
    """Azure does not know them."""
    (resource,) = resources(entry(model)).values()
    assert list(resource["deployments"]) == ["o3"]


@pytest.mark.parametrize(
    ("params", "credentials"),
    [
        ({"api_key": None}, {"api_keys": ["${AZURE_API_KEY}"]}),
        ({"api_key": "s3cret"}, {"api_keys": ["${CONTOSO_EAST_API_KEY}"]}),
        (
            {"api_key": None, "azure_ad_token": "os.environ/TOKEN"},
            {"identity": {"kind": "token", "token": "${TOKEN}"}},
        ),
        (
            {"api_key": None, "tenant_id": "os.environ/T", "client_id": "c", "client_secret": "s3cret"},
            {
                "identity": {
                    "kind": "client_secret",
                    "tenant_id": "${T}",
                    "client_id": "c",
                    "client_secret": "${CONTOSO_EAST_CLIENT_SECRET}",
                }
            },
        ),
        (
            {"api_key": None, "tenant_id": "t", "client_id": "c"},
            {"identity": {"kind": "workload_identity", "tenant_id": "t", "client_id": "c"}},
        ),
    ],
)
def test_credentials(params: dict[str, Any], credentials: dict[str, Any]) -> None:
    """By the names of variables; a secret that stood in the file gets one."""
    (resource,) = resources(entry(**params)).values()
    assert {key: resource[key] for key in ("api_keys", "identity") if key in resource} == credentials


def test_entra_id_for_all_that_have_no_key() -> None:
    """Those with a key keep it."""
    (resource,) = resources(entry(api_key=None), entra=True).values()
    assert resource["identity"] == "default"
    (resource,) = resources(entry(), entra=True).values()
    assert "identity" not in resource


def test_secrets_of_the_file_have_a_variable_each() -> None:
    """The same one for the same secret; a number where a name would begin with a digit is no name."""
    found = resources(
        entry("azure/a", name="a", api_key="s3cret"),
        entry("azure/b", name="b", api_key="s3cret"),
        entry("azure/c", name="c", api_key="0ther"),
        entry("azure/d", name="d", api_base="https://3rd.openai.azure.com", api_key="s3cret"),
    )
    assert found["contoso-east"]["api_keys"] == ["${CONTOSO_EAST_API_KEY}", "${CONTOSO_EAST_API_KEY_2}"]
    assert found["3rd"]["api_keys"] == ["${AZURE_3RD_API_KEY}"]


@pytest.mark.parametrize(
    ("one", "why"),
    [
        ({"model_name": "a"}, "expected model_name, and litellm_params with a model"),
        ({"litellm_params": {"model": "azure/a"}}, "expected model_name, and litellm_params with a model"),
        ({"model_name": "a", "litellm_params": "x"}, "expected model_name, and litellm_params with a model"),
        (entry("bedrock/claude"), "bedrock is neither Azure OpenAI nor an OpenAI-compatible server"),
        (entry("azure/*", name="*"), "write a pattern under models: its route names the resources"),
    ],
)
def test_an_entry_that_is_left_out(one: dict[str, Any], why: str) -> None:
    """As a whole, with the reason."""
    models, left = read(one)
    assert left == {"0": why}
    assert not models.resources


def test_a_deployment_serves_one_name() -> None:
    """The first; another has to ask for that."""
    models, left = read(entry(), entry(), entry(name="alias"))
    assert list(models.groups) == ["gpt-4o"]
    where = "resources.contoso-east.deployments.prod"
    assert left == {"1": f"{where} is there already", "2": f"{where} serves gpt-4o already: ask for that"}


def test_limits_that_are_no_whole_numbers() -> None:
    """They are said, beside what is fine."""
    _, left = read(entry(tpm="1e3", rpm="0.5", weight="-1"))
    assert left == dict.fromkeys(("rpm", "weight"), "expected a whole number above 0")


def test_limits_may_stand_beside_the_parameters() -> None:
    """The router has them there."""
    (resource,) = resources(entry() | {"tpm": "7"}).values()
    assert resource["deployments"]["prod"]["quota_tpm"] == 7


def test_parameters_are_defaults_of_the_model() -> None:
    """The first counts, where upstreams of one model differ."""
    models, left = read(
        entry("azure/a", temperature="0.2", max_tokens="100"), entry("azure/b", temperature="0.3")
    )
    assert models.defaults == {"gpt-4o": {"temperature": "0.2", "max_tokens": "100"}}
    assert left == {"temperature": "another upstream of gpt-4o says 0.2"}


def test_groups_keep_their_order() -> None:
    """Lower first; without one it is the first."""
    models, _ = read(entry("azure/a", order="2"), entry("azure/b"))
    assert models.groups["gpt-4o"] == [
        Member("contoso-east/a", 2, False),
        Member("contoso-east/b", 0, False),
    ]


@pytest.mark.parametrize(
    ("text", "ours"), [("os.environ/KEY", "${KEY}"), ("plain", "plain"), ("a${B}$c", "a$${B}$$c")]
)
def test_variables_are_written_our_way(text: str, ours: str) -> None:
    """And a dollar sign stays one."""
    assert filled(text) == ours
