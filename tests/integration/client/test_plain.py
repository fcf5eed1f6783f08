"""The plain client: how it is made, what it asks, what it gives."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.integration.client.test_requests import IN_LISBON, TOOLS, credentials, prepared_azure
from tests.integration.client.test_tokens import entra, token

import smalt
from smalt import AsyncClient, Client, Fleet
from smalt.client.answers import Chunk, Response, TokenUsage, ToolCall, tool_call
from smalt.client.explain import raised
from smalt.emulator.testing import Handle
from smalt.errors import ContentFiltered, InvalidRequest, StreamInterrupted
from smalt.wire.models import model_data

__all__ = ["entra", "prepared_azure", "token"]

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
Make = Callable[..., Any]
Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(azure: Handle, kind: str) -> Make:
    """A client of a deployment in the first region."""

    def made(deployment: str = "gpt-4o-prod", **told: Any) -> Any:
        return (Client if kind == "sync" else AsyncClient)(
            azure.url("east"), deployment, **{"api_key": azure.key("east"), **told}
        )

    return made


@pytest.fixture
def chat(make: Make) -> Ask:
    """Ask a new client once; `of` it: what it is made with."""

    def asked(*messages: Any, of: dict[str, Any] | None = None, **parameters: Any) -> Response:
        client = make(**(of or {}))
        if isinstance(client, Client):
            with client:
                return client.chat(*messages or [HELLO], **parameters)

        async def ask() -> Response:
            async with client:
                answer: Response = await client.chat(*messages or [HELLO], **parameters)
                return answer

        return asyncio.run(ask())

    return asked


@pytest.fixture
def stream(make: Make) -> Ask:
    """The chunks of one answer, of a new client; `most`: stop reading after so many."""

    def asked(most: int = 10_000, **parameters: Any) -> list[Chunk]:
        client, chunks = make(), []
        if isinstance(client, Client):
            with client:
                source: Any = client.stream_chat(HELLO, **parameters)
                for chunk in source:
                    chunks.append(chunk)
                    if len(chunks) == most:
                        break
                source.close()
                assert not any(status.in_flight for status in client.fleet.status())
            return chunks

        async def ask() -> list[Chunk]:
            async with client:
                source = await client.stream_chat(HELLO, **parameters)
                async for chunk in source:
                    chunks.append(chunk)
                    if len(chunks) == most:
                        break
                await source.aclose()
                assert not any(status.in_flight for status in client.fleet.status())
            return chunks

        return asyncio.run(ask())

    return asked


def body(azure: Handle) -> Any:
    return azure.log()[-1]["body"]


@pytest.mark.parametrize(
    ("told", "kind_of_error", "says"),
    [
        ({}, smalt.InvalidEndpoint, "endpoint is required"),
        ({"endpoint": "https://a.example"}, smalt.InvalidDeployment, "deployment ID is required"),
        (
            {"endpoint": "https://a.example", "deployment": "d"},
            smalt.MissingAuth,
            "either APIKey or EntraToken must be provided",
        ),
        (
            {"endpoint": "http://a.example", "deployment": "d", "api_key": "k"},
            smalt.InvalidEndpoint,
            "endpoint: http would send the key in the clear; use https, or set allow_http: true",
        ),
    ],
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_req_1_3_what_is_required(
    client: Callable[..., object], told: dict[str, Any], kind_of_error: type[smalt.SmaltError], says: str
) -> None:
    """Each thing in turn, in the documented words and with its code."""
    with pytest.raises(kind_of_error) as caught:
        client(**told)
    assert str(caught.value) == says
    assert caught.value.code in {"invalid_endpoint", "invalid_deployment", "missing_auth"}
    assert caught.value.resolution


def test_req_1_3_the_key_wins(azure: Handle, chat: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning."""
    chat(of={"entra_token": "t"})
    assert credentials(azure) == [{"api-key": azure.key("east")}]
    assert "api_key and entra_token are both given: the key is used" in caplog.text


@pytest.mark.parametrize("written", ["{}", "Bearer {}"])
def test_req_1_9_a_token_of_ones_own(entra: Handle, token: str, written: str) -> None:
    """It is the only credential, and its word is not doubled."""
    asked = len(entra.log())
    with Client(entra.url("east"), "gpt-4o-prod", entra_token=written.format(token)) as client:
        assert client.chat(HELLO).message
    assert credentials(entra)[asked:] == [{"authorization": f"Bearer {token}"}]


@pytest.mark.parametrize(
    ("deployment", "told", "model"),
    [
        ("gpt-4o-deployment", {}, "gpt-4o"),
        ("gpt-4o-prod", {}, "gpt-4o"),
        ("my-gpt4-turbo", {}, "gpt-4-turbo"),
        ("prod-gpt-35-turbo", {}, "gpt-35-turbo"),
        ("gpt-4o-2024-11-20-prod", {}, "gpt-4o"),
        ("custom-name", {}, None),
        ("custom-name", {"model_name": "gpt-4o"}, "gpt-4o"),
        ("gpt-4o-prod", {"model_name": "gpt-4-turbo"}, "gpt-4-turbo"),
    ],
)
def test_req_1_5_the_model(
    deployment: str, told: dict[str, Any], model: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What the name tells, unless it is said; where neither does there is a warning."""
    client = Client("https://contoso.openai.azure.com", deployment, api_key="k", **told)
    assert client.model_name == model
    warned = "no model is known behind 'custom-name', so no cost: give model_name" in caplog.text
    assert warned == (model is None)


def test_req_1_5_the_cost_follows_the_model(chat: Ask) -> None:
    """An unknown one has none; never a guess."""
    assert chat(of={"deployment": "Cased"}).cost_usd is None
    told = chat(of={"deployment": "Cased", "model_name": "gpt-4-turbo"})
    used = told.tokens_used
    assert told.cost_usd == Decimal(10 * used.input + 30 * used.output) / 1_000_000


def test_req_1_6_max_tokens(azure: Handle, make: Make, chat: Ask) -> None:
    """4,096 unless said, in the constructor or for a call; what is out of range never leaves."""
    chat()
    assert body(azure)["max_tokens"] == 4_096
    chat(of={"max_tokens": 128_000}, max_tokens=7)
    assert body(azure)["max_tokens"] == 7
    chat(max_completion_tokens=8)
    assert (body(azure)["max_completion_tokens"], "max_tokens" in body(azure)) == (8, False)
    for value in (0, 128_001, None, "9"):
        with pytest.raises(InvalidRequest, match=r"'max_tokens' must be between 1 and 128000, not "):
            make(max_tokens=value)
        with pytest.raises(InvalidRequest, match=r"'max_tokens' must be between 1 and 128000, not "):
            chat(max_tokens=value)
    assert len(azure.log()) == 3


def test_req_1_7_temperature(azure: Handle, make: Make, chat: Ask) -> None:
    """1.0 unless said; 0 stays 0; what is out of range never leaves."""
    chat()
    assert body(azure)["temperature"] == 1.0
    chat(of={"temperature": 0})
    assert body(azure)["temperature"] == 0
    chat(temperature=2)
    assert body(azure)["temperature"] == 2
    for value in (-0.1, 2.1, float("nan")):
        for use in (make, chat):
            with pytest.raises(InvalidRequest, match=r"'temperature' must be between 0 and 2") as caught:
                use(temperature=value)
            assert caught.value.code == "invalid_request_error"
    assert len(azure.log()) == 3


def test_req_1_8_timeout(azure: Handle, make: Make, chat: Ask) -> None:
    """60 s unless said, from 1 s to 10 min; when it is over, the error says so and nothing is repeated."""
    azure.set("east", "up", latency_ms=2_000)
    started_s = time.monotonic()
    with pytest.raises(smalt.SmaltError) as caught:
        chat(of={"timeout_s": 1})
    assert 1.0 <= time.monotonic() - started_s < 1.3 + 0.5  # what a busy machine adds
    assert (caught.value.code, caught.value.status) == ("timeout", "DEADLINE_EXCEEDED")
    assert len(azure.log()) == 1
    for value in (0.9, 601):
        with pytest.raises(InvalidRequest, match=r"'timeout_s' must be between 1 and 600"):
            make(timeout_s=value)
    assert make()._sdk.timeout == 60


def test_req_1_11_everything_said(azure: Handle) -> None:
    """The documented full configuration, and the answer it gives."""
    client = Client(
        endpoint=azure.url("east"),
        deployment="gpt-4o-prod",
        api_key=azure.key("east"),
        api_version="2024-06-01",
        model_name="gpt-4o",
        max_tokens=4096,
        temperature=0.7,
        timeout_s=60,
    )
    with client:
        response = client.chat([{"role": "system", "content": "You are a SQL expert."}, *HELLO])
    used = response.tokens_used
    assert response.message
    assert used.total == used.input + used.output
    assert response.cost_usd == Decimal(250 * used.input + 1_000 * used.output) / 10**8
    (entry,) = azure.log()
    assert entry["query"] == "api-version=2024-06-01"
    assert (entry["body"]["temperature"], entry["body"]["max_tokens"]) == (0.7, 4096)
    assert client.fleet.usage()["azure/gpt-4o-prod"].calls == 1
    assert azure.key("east") not in repr(client)


@pytest.fixture
def told(prepared_azure: Handle) -> Iterator[Client]:
    """A client of an emulator that answers as it is told."""
    with Client(prepared_azure.url("east"), "gpt-4o-prod", api_key=prepared_azure.key("east")) as client:
        yield client


def test_req_1_14_tools(told: Client) -> None:
    """A call comes with its arguments decoded, streamed or not, and can be answered."""
    weather = [{"role": "user", "content": "How is the weather in Lisbon?"}]
    response = told.chat(weather, TOOLS)
    (call,) = response.tool_calls
    assert (response.message, call.name, call.arguments) == ("", "forecast", IN_LISBON)
    (last,) = told.stream_chat(weather, TOOLS)
    assert last.response is not None
    assert [(again.name, again.arguments) for again in last.response.tool_calls] == [("forecast", IN_LISBON)]
    said = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "{}"}}
    asked = {"role": "assistant", "tool_calls": [said]}
    answered = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 24 degrees."}
    assert told.chat([*weather, asked, answered], TOOLS, tool_choice="none").message


def test_req_1_15_usage_and_cost(told: Client) -> None:
    """28 tokens in and 156 out are 184, and cost 0.00163 USD with gpt-4o; streamed, too."""
    story = [{"role": "user", "content": "Tell a story " + " ".join(["blue"] * 18)}]
    *_, last = told.stream_chat(story)
    for response in (told.chat(story), last.response):
        assert response is not None
        assert response.tokens_used == TokenUsage(28, 156)
        assert response.tokens_used.total == 184
        assert response.cost_usd == Decimal("0.00163")


def test_arguments_that_are_no_json() -> None:
    """Models err; the text is kept as it is."""
    assert tool_call("1", "f", '{"a": 1}') == ToolCall("1", "f", {"a": 1})
    assert tool_call("1", "f", '{"a": ') == ToolCall("1", "f", '{"a": ')


def test_req_1_19_a_stream(stream: Ask, chat: Ask) -> None:
    """Pieces of text, and last the whole: the same as of an answer that was not streamed."""
    *pieces, last = stream(seed=1)
    assert len(pieces) > 3
    assert all(piece.delta and piece.error is None and piece.response is None for piece in pieces)
    assert (last.delta, last.error) == ("", None)
    assert last.response == chat(seed=1)
    assert "".join(piece.delta for piece in pieces) == last.response.message


def test_req_1_19_a_cut_stream(stream: Ask, azure: Handle) -> None:
    """The last chunk carries the error; the text so far is kept with it."""
    azure.fault("clean_cut", after=4)
    *pieces, last = stream()
    text = "".join(piece.delta for piece in pieces)
    assert text
    assert isinstance(last.error, StreamInterrupted)
    assert (last.error.code, last.error.partial) == ("stream_interrupted", text)
    assert (last.delta, last.response) == ("", None)


def test_a_stream_that_is_left(stream: Ask) -> None:
    """Closed early it ends the call."""
    assert len(stream(most=2)) == 2


@pytest.mark.parametrize("way", ["closed", "dropped"])
def test_a_stream_that_is_never_read(make: Make, way: str) -> None:
    """Closed or dropped it ends the call all the same."""
    client = make()

    async def leave() -> None:
        async with client:
            chunks = await client.stream_chat(HELLO)
            if way == "closed":
                await chunks.aclose()
            del chunks
            await asyncio.sleep(0)  # the event loop closes what was dropped
            await asyncio.sleep(0)
            assert [status.in_flight for status in client.fleet.status()] == [0]

    if isinstance(client, AsyncClient):
        asyncio.run(leave())
    else:
        with client:
            chunks = client.stream_chat(HELLO)
            if way == "closed":
                chunks.close()
            del chunks
            assert [status.in_flight for status in client.fleet.status()] == [0]
    assert client.fleet.usage()["azure/gpt-4o-prod"].calls == 1


def test_an_error_before_the_stream(stream: Ask, azure: Handle) -> None:
    """It is raised, as without streaming."""
    azure.set("east", "error", error="content_filter_prompt")
    with pytest.raises(ContentFiltered):
        stream()


@pytest.mark.parametrize(
    ("error", "code", "http_status", "status"),
    [
        ("invalid_api_key", "unauthorized", 401, "UNAUTHENTICATED"),
        ("deployment_not_found", "DeploymentNotFound", 404, "NOT_FOUND"),
        ("rate_limit_tokens_classic", "rate_limit_exceeded", 429, "RESOURCE_EXHAUSTED"),
        ("server_error", "service_unavailable", 503, "UNAVAILABLE"),
        ("unrecognized_argument", "invalid_request_error", 400, "INVALID_ARGUMENT"),
    ],
)
def test_req_1_21_errors_of_a_call(
    azure: Handle, chat: Ask, error: str, code: str, http_status: int, status: str
) -> None:
    """They are smalt's own: one class to catch, one code to look at; Azure's words stay."""
    azure.set("east", "error", error=error)
    with pytest.raises(smalt.SmaltError) as caught:
        chat(of={"timeout_s": 1})
    told = caught.value
    assert (told.code, told.http_status, told.status) == (code, http_status, status)
    assert told.resolution
    assert azure.key("east") not in f"{told} {told.resolution}"
    if hasattr(told, "causes"):
        assert told.causes


def test_req_1_23_waits_are_told(azure: Handle, chat: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """429 twice, then an answer: no loop around the call, and a line before each wait."""
    azure.fault("error", error="ptu_full", times=2)
    assert chat().message
    told = [record.getMessage() for record in caplog.records if "retrying in" in record.getMessage()]
    for number, line in enumerate(told, 1):
        assert line.startswith(f"retrying in 0.1 s: attempt {number}/5 on azure/gpt-4o-prod: 429 ")
    assert len(told) == 2


def test_req_1_22_azures_words(azure: Handle, chat: Ask) -> None:
    """Message as Azure wrote it, to the typographic apostrophe."""
    with pytest.raises(InvalidRequest) as caught:
        chat(extra_body={"it’s": 1})  # noqa: RUF001  that is the point
    assert caught.value.message == "Unrecognized request argument supplied: it’s"  # noqa: RUF001


def test_an_exception_that_no_call_is_behind() -> None:
    """Of the SDK itself: its words, as smalt's error."""
    told = raised(openai.OpenAIError("the SDK's own"))
    assert (type(told), told.message) == (smalt.SmaltError, "the SDK's own")


def test_values_are_plain() -> None:
    """They compare and print as what they hold."""
    assert TokenUsage(28, 156).total == 184
    assert Response("hi", TokenUsage(1, 2), None) == Response("hi", TokenUsage(1, 2), None, ())


def test_req_1_30_a_deployment_for_each_environment(azure: Handle, tmp_path: Path) -> None:
    """The name of a deployment in smalt.yaml, and where a route names it, may hold the environment's."""
    resource = {
        "endpoint": azure.url("east"),
        "api_keys": [azure.key("east")],
        "deployments": {"gpt-4o-${ENV}": {"model": "gpt-4o"}},
    }
    told = {"resources": {"east": resource}, "models": {"gpt-4o": {"route": ["east/gpt-4o-${ENV}"]}}}
    (tmp_path / "smalt.yaml").write_text(json.dumps(told))  # JSON is YAML
    with Fleet.load(tmp_path / "smalt.yaml", env={"ENV": "prod"}) as fleet, fleet.openai() as client:
        assert client.chat.completions.create(model="gpt-4o", messages=HELLO).id
    assert azure.log()[0]["deployment"] == "gpt-4o-prod"


@pytest.mark.parametrize(
    ("deployment", "model", "input_usd"),
    [("gpt-4o-2024-11-20-prod", "gpt-4o", "2.50"), ("gpt-4o-2024-05-13-prod", "gpt-4o-2024-05-13", "5.00")],
)
def test_req_1_30_a_version_in_the_name(
    deployment: str, model: str, input_usd: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is part of what the name tells: a version with a price of its own has that price."""
    client = Client("https://contoso.openai.azure.com", deployment, api_key="k")
    known = model_data(client.fleet.status()[0].model)
    assert known is not None
    assert known.list_price is not None
    assert (known.name, known.list_price.input_usd) == (model, Decimal(input_usd))
    assert not caplog.records
