"""Rows of the requirements that concern a request on its way, through the gateway and the library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import SURFACES, Surface, sdk_client
from tests.contract.gateways import KEY, GatewayProcess, Stage, gateway_process
from tests.integration.gateway.raw import ask, body, request

import smalt
from smalt import AzureOpenAI, Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

ROOT = Path(__file__).parents[3]
HELLO: Any = [{"role": "user", "content": "hello"}]


def say(client: openai.OpenAI, model: str) -> str | None:
    return client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content


@pytest.fixture
def client(stage: Stage) -> Iterator[openai.OpenAI]:
    with sdk_client(stage.url, "openai") as client:
        yield client


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-4", "gpt-35-turbo"])
def test_req_2_1_models_through_the_gateway(
    stage: Stage, azure: Handle, surface: Surface, model: str
) -> None:
    """Each of the five models is reached by its name on every surface."""
    with sdk_client(stage.url, surface) as client:
        answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.model.startswith(model)
    assert azure.log()[0]["deployment"] == f"{model}-prod"


def test_req_2_3_the_documents_request(azure: Handle, tmp_path: Path) -> None:
    """POST /v1/chat/completions with X-API-Key: gw_... is answered by the process that serves."""
    with gateway_process(tmp_path, world.written(azure)) as process:
        assert _status(process, f"X-API-Key: {KEY}") == 200
        assert _status(process, "X-API-Key: gw_unknown") == 401
        assert _status(process, "X-Other: 1") == 401


def _status(process: GatewayProcess, header: str) -> int:
    return ask(process.url, request(header, key=None)).status


@pytest.mark.parametrize(
    ("model", "fault", "status", "code", "hint"),
    [
        ("gpt-4o", {"error": "invalid_api_key"}, 502, "upstream_auth_failed", "Keys and Endpoint"),
        ("gpt-4o", {"error": "deployment_not_found"}, 404, "DeploymentNotFound", "need not be its model's"),
        (
            "gpt-4o",
            {"error": "rate_limit_tokens_classic"},
            429,
            "rate_limit_exceeded",
            "Wait for retry-after",
        ),
        ("gpt-9", None, 404, "model_not_found", "GET /v1/models"),
    ],
)
def test_req_2_14_errors_say_what_to_do(
    stage: Stage, azure: Handle, model: str, fault: dict[str, str] | None, status: int, code: str, hint: str
) -> None:
    """A refused credential, a missing deployment, a spent quota, an unknown model: the body carries a hint,
    and a link to the heading of its code."""
    if fault is not None:
        azure.fault(kind="error", **fault)
    answer = ask(stage.url, request(content=body(model=model)))
    assert (answer.status, answer.error["code"]) == (status, code)
    assert hint in str(answer.error["resolution"])
    page, _, heading = answer.error["doc_url"].partition("#")
    assert f"# {heading}\n" in (ROOT / page).read_text().lower().replace("`", "")


def test_req_1_1_http_to_another_host_sends_nothing(azure: Handle) -> None:
    """The refusal comes before any call."""
    with pytest.raises(smalt.InvalidEndpoint):
        AzureOpenAI(azure_endpoint="http://contoso.example", api_key="k")
    assert azure.log() == []


def test_req_1_2_deployments_are_case_sensitive(stage: Stage, azure: Handle) -> None:
    """`Cased` and `cased` are different deployments; a third spelling is none."""
    settings = world.settings(azure)
    stage.play(settings.model_copy(update={"resources": {"default": settings.resources["east"]}}))
    with sdk_client(stage.url, "classic") as gateway, _library(azure) as library:
        for client in (gateway, library):
            for name in ("Cased", "cased"):
                assert say(client, name)
                assert azure.log()[-1]["deployment"] == name
            with pytest.raises(openai.NotFoundError) as caught:
                say(client, "CASED")
            assert caught.value.code == "DeploymentNotFound"
            assert azure.log()[-1]["path"] == "/openai/deployments/CASED/chat/completions"


def _library(azure: Handle) -> AzureOpenAI:
    return AzureOpenAI(azure_endpoint=azure.url("east"), api_key=azure.key("east"))


def test_req_1_4_the_default_version_is_seen(stage: Stage, client: openai.OpenAI, azure: Handle) -> None:
    """Without a setting Azure sees 2024-10-21, whatever version the caller names."""
    say(client, "gpt-4o")
    with openai.AzureOpenAI(
        azure_endpoint=stage.url, api_key=KEY, api_version="2023-05-15", max_retries=0
    ) as old:
        say(old, "gpt-4o")
    with _library(azure) as library:
        say(library, "gpt-4o-prod")
    assert [entry["query"] for entry in azure.log()] == ["api-version=2024-10-21"] * 3


@pytest.mark.parametrize("version", ["2024-06-01", "2025-04-01-preview"])
def test_req_0_14_a_version_that_is_set_is_seen(stage: Stage, azure: Handle, version: str) -> None:
    """A setting overrides the default, through the gateway and through the library."""
    told = world.written(azure)
    for resource in told["resources"].values():
        resource["api_version"] = version
    settings = smalt.Settings.model_validate(told)
    stage.play(settings)
    with sdk_client(stage.url, "openai") as gateway, Fleet(settings).openai() as library:
        for client in (gateway, library):
            say(client, "gpt-4o")
            with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
                assert list(stream)
    assert {entry["query"] for entry in azure.log()} == {f"api-version={version}"}
    assert len(azure.log()) == 4


@pytest.mark.parametrize("surface", SURFACES)
def test_req_1_12_an_odd_deployment_name_through_the_gateway(
    stage: Stage, azure: Handle, surface: Surface
) -> None:
    """`a b/ü` stays one segment of the path, percent-encoded once; asked for by model or by name."""
    with sdk_client(stage.url, surface) as client:
        say(client, "spaced")
        say(client, "azure/a b/ü" if surface != "classic" else "spaced")
    assert {entry["path"] for entry in azure.log()} == {"/openai/deployments/a%20b%2F%C3%BC/chat/completions"}


def test_req_1_12_an_odd_deployment_name_by_its_own_path(stage: Stage, azure: Handle) -> None:
    """The classic surface takes the encoded name and passes it on."""
    target = "/openai/deployments/a%20b%2F%C3%BC/chat/completions?api-version=2024-10-21"
    answer = ask(stage.url, request(target=target))
    assert answer.status == 200
    assert answer.headers["x-smalt-upstream"].endswith("/a b/%C3%BC")
    assert azure.log()[0]["path"] == "/openai/deployments/a%20b%2F%C3%BC/chat/completions"


def test_req_1_12_an_odd_deployment_name_through_the_library(azure: Handle) -> None:
    """The official SDK's own encoding leads to the same path; openai 2.x leaves the slash as it is."""
    with _library(azure) as client:
        say(client, "a b/ü")
    assert {entry["path"] for entry in azure.log()} == {"/openai/deployments/a%20b%2F%C3%BC/chat/completions"}


def test_req_1_12_an_odd_deployment_name_in_a_fleet(azure: Handle) -> None:
    """Asked for by model or by name, the path is the same."""
    with Fleet(world.settings(azure)).openai() as client:
        say(client, "spaced")
        say(client, "azure/a b/ü")
    assert {entry["path"] for entry in azure.log()} == {"/openai/deployments/a%20b%2F%C3%BC/chat/completions"}


def test_req_2_7_tools_arrive_unchanged(client: openai.OpenAI, azure: Handle) -> None:
    """What the caller sent is what Azure got; a tool's answer makes the round trip."""
    tools: Any = [
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    ]
    first = client.chat.completions.create(
        model="gpt-4o", messages=HELLO, tools=tools, tool_choice="required"
    )
    assert azure.log()[0]["body"]["tools"] == tools
    call = first.choices[0].message.tool_calls
    assert call
    turn: Any = [
        *HELLO,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call[0].id, "content": "noon"},
    ]
    second = client.chat.completions.create(model="gpt-4o", messages=turn, tools=tools)
    assert second.choices[0].message.content
