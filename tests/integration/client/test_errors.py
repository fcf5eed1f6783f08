"""Errors that explain themselves: through the SDK's own exceptions, and through `smalt.explain`."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import sdk_client
from tests.contract.gateways import Stage, running_gateway
from tests.contract.scenarios import IMPATIENT, ONLY_EAST

import smalt
from smalt import AzureOpenAI, Fleet
from smalt.client.explain import Explanation
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
BOTH = ("east", "sweden")


def explained(error: BaseException) -> Explanation:
    told = smalt.explain(error)
    assert told is not None
    return told


def refused(fleet: Fleet, **asked: Any) -> Any:
    """The exception that a call ends with; of a stream when it is read."""
    with fleet.openai() as client:

        def ask() -> None:
            answer = client.chat.completions.create(**{"model": "gpt-4o", "messages": HELLO, **asked})
            list(answer)

        with pytest.raises(openai.APIError) as caught:
            ask()
    return caught.value


def failing(azure: Handle, error: str) -> None:
    for name in BOTH:
        azure.set(name, "error", error=error)


# error of the emulator: the SDK's class, smalt's code, HTTP status, gRPC name, retryable
OF_A_CALL = {
    "invalid_api_key": (openai.AuthenticationError, "unauthorized", 401, "UNAUTHENTICATED", False),
    "deployment_not_found": (openai.NotFoundError, "DeploymentNotFound", 404, "NOT_FOUND", False),
    "rate_limit_tokens_classic": (
        openai.RateLimitError,
        "rate_limit_exceeded",
        429,
        "RESOURCE_EXHAUSTED",
        True,
    ),
    "server_error": (openai.InternalServerError, "service_unavailable", 503, "UNAVAILABLE", True),
    "service_unavailable": (openai.InternalServerError, "service_unavailable", 503, "UNAVAILABLE", True),
    # sent, and perhaps billed: for the caller to repeat
    "request_timeout": (openai.InternalServerError, "timeout", 504, "DEADLINE_EXCEEDED", False),
    "unrecognized_argument": (
        openai.BadRequestError,
        "invalid_request_error",
        400,
        "INVALID_ARGUMENT",
        False,
    ),
}


@pytest.mark.parametrize("fault", OF_A_CALL)
def test_req_1_21_codes_of_a_call(azure: Handle, fleet: Fleet, fault: str) -> None:
    """The exception is the SDK's, and says code, status, whether to try again and what to do; so does
    `explain`."""
    kind, *promised = OF_A_CALL[fault]
    failing(azure, fault)
    error = refused(fleet)
    told = explained(error)
    for source in (error, told):
        assert [source.code, source.http_status, source.status, source.retryable] == promised
        assert source.resolution
        assert source.cause.endswith(".")
    assert error.status_code == error.http_status
    assert type(error) is kind


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ({"api_key": "k"}, "invalid_endpoint", "endpoint is required"),
        ({"azure_endpoint": "foo", "api_key": "k"}, "invalid_endpoint", "expected an https URL"),
        (
            {"azure_endpoint": "https://contoso.openai.azure.com"},
            "missing_auth",
            "either APIKey or EntraToken must be provided",
        ),
    ],
)
def test_req_1_21_codes_before_any_call(
    arguments: dict[str, Any], code: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that is missing or wrong, found when the client is made."""
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(smalt.ConfigurationError, match=text) as caught:
        AzureOpenAI(**arguments)
    _check_before_any_call(caught.value, code)


def test_req_1_21_a_deployment_without_a_name(azure: Handle) -> None:
    """The third code that concerns no call."""
    told = world.written(azure)
    told["resources"]["east"]["deployments"] = {"": {"model": "gpt-4o"}}
    with pytest.raises(smalt.InvalidDeployment, match="deployment ID is required") as caught:
        Fleet(smalt.Settings.model_validate(told))
    _check_before_any_call(caught.value, "invalid_deployment")


def _check_before_any_call(error: smalt.ConfigurationError, code: str) -> None:
    for source in (error, explained(error)):
        assert (source.code, source.http_status, source.status) == (code, None, "INVALID_ARGUMENT")
        assert source.retryable is False
        assert source.resolution


# error of the emulator that Azure answers itself: the SDK's code, smalt's code, gRPC name
RELAYED = {
    "content_filter_prompt": ("content_filter", "content_filter", "INVALID_ARGUMENT"),
    "context_length_exceeded": ("context_length_exceeded", "context_length_exceeded", "INVALID_ARGUMENT"),
    "string_above_max_length": ("string_above_max_length", "invalid_request_error", "INVALID_ARGUMENT"),
    "resource_not_found": ("404", "not_found", "NOT_FOUND"),
    "unsupported_media_type": ("415", "invalid_request_error", "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("fault", RELAYED)
def test_azures_own_answer_is_explained(azure: Handle, fleet: Fleet, fault: str) -> None:
    """Its body stays as it is, the SDK's code with it; smalt's words are beside it."""
    failing(azure, fault)
    with AzureOpenAI(fleet=fleet) as client, _direct(azure) as direct:
        errors = []
        for each in (client, direct):
            with pytest.raises(openai.APIStatusError) as caught:
                each.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
            errors.append(caught.value)
    error, azures = errors
    assert error.response.content == azures.response.content
    told = explained(error)
    assert (error.code, told.code, told.status) == RELAYED[fault]
    assert (error.code, error.message) == (azures.code, azures.message)
    assert told.upstream_code == error.code
    assert told.message in error.message
    assert (told.http_status, told.retryable) == (error.status_code, False)
    assert told.resolution


def _direct(azure: Handle) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=azure.url("east"),
        api_key=azure.key("east"),
        api_version="2024-10-21",
        max_retries=0,
    )


@pytest.mark.parametrize("fault", ["invalid_api_key", "firewall_denied", "rate_limit_short_text"])
def test_an_exception_that_never_went_through_smalt(azure: Handle, fault: str) -> None:
    """Explained as far as the answer goes, with Azure's id for its support."""
    failing(azure, fault)
    with _direct(azure) as direct, pytest.raises(openai.APIStatusError) as caught:
        direct.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    told = explained(caught.value)
    headers = caught.value.response.headers
    codes = {401: "unauthorized", 403: "permission_denied", 429: "rate_limit_exceeded"}
    assert (told.code, told.http_status) == (codes[caught.value.status_code], caught.value.status_code)
    assert (told.request_id, told.attempts, told.causes) == (None, (), ())
    assert told.upstream_ids["apim-request-id"] == headers["apim-request-id"]
    assert told.retry_after_s == (2 if fault == "rate_limit_short_text" else None)
    assert not hasattr(caught.value, "retryable")


def test_nobody_at_the_address(azure: Handle) -> None:
    """The SDK's own exceptions without an answer: of a connection, and of a timeout."""
    with _direct(azure) as direct:
        azure.set("east", "hang")
        with pytest.raises(openai.APITimeoutError) as late:
            direct.with_options(timeout=0.1).chat.completions.create(model="gpt-4o-prod", messages=HELLO)
        azure.set("east", "down")
        with pytest.raises(openai.APIConnectionError) as lost:
            direct.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    assert (explained(late.value).code, explained(late.value).http_status) == ("timeout", None)
    assert (explained(lost.value).code, explained(lost.value).http_status) == ("no_upstream_available", None)


def test_attempts_and_ids(azure: Handle, fleet: Fleet) -> None:
    """A line for each attempt, smalt's id and Azure's own, the attempts as the receipt has them."""
    azure.set("east", "error", error="invalid_api_key")
    azure.set("sweden", "error", error="rate_limit_tokens_classic")
    error = refused(fleet)
    told, receipt = explained(error), smalt.receipt(error)
    assert receipt is not None
    assert told.causes[0].startswith("attempt 1/5 on east/gpt-4o-prod (eastus): 401 Access denied")
    assert told.causes[1].startswith("attempt 2/5 on sweden/gpt-4o-prod (swedencentral): 429 Requests to")
    assert told.attempts == error.attempts == tuple(receipt.attempts)
    assert told.request_id == error.smalt_request_id == receipt.request_id
    assert told.upstream_ids == error.upstream_ids == receipt.upstream_ids
    assert told.upstream_ids["apim-request-id"]


async def test_asynchronous_clients_say_the_same(azure: Handle, fleet: Fleet) -> None:
    """Of both kinds."""
    for client in (fleet.async_openai(), fleet.async_azure_openai()):
        failing(azure, "content_filter_prompt")
        async with client:
            with pytest.raises(openai.BadRequestError) as caught:
                await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        error: Any = caught.value
        assert (error.code, error.status, error.retryable) == ("content_filter", "INVALID_ARGUMENT", False)


@pytest.mark.parametrize("fault", ["stream_cut", "stream_error_after_content"])
def test_a_stream_that_broke(azure: Handle, fleet: Fleet, fault: str) -> None:
    """Its exception knows no answer and is explained all the same, by its receipt."""
    azure.set("east", "error", error=fault)
    error = refused(fleet, stream=True)
    told = explained(error)
    assert (told.code, told.status, told.http_status) == ("stream_interrupted", "ABORTED", None)
    assert told.retryable is False
    assert told.message == error.message
    assert told.request_id
    assert told.upstream_ids["apim-request-id"]
    assert told.causes == ("attempt 1/5 on east/gpt-4o-prod (eastus): answered",)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running_gateway("asgi") as stage:
        yield stage


def test_an_unmodified_client_before_a_gateway(azure: Handle, stage: Stage) -> None:
    """The gateway's answers carry what is needed to explain them in another process."""
    failing(azure, "rate_limit_tokens_classic")
    stage.play(world.settings(azure))
    with sdk_client(stage.url, "openai") as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    told = explained(caught.value)
    assert (told.code, told.status, told.retryable) == ("rate_limit_exceeded", "RESOURCE_EXHAUSTED", True)
    assert told.retry_after_s is not None
    assert 0 < told.retry_after_s <= 7
    assert [line.partition(": ")[0] for line in told.causes] == [
        "attempt 1/5 on east/gpt-4o-prod (eastus)",
        "attempt 2/5 on sweden/gpt-4o-prod (swedencentral)",
    ]
    assert told.request_id == caught.value.response.headers["x-smalt-request-id"]


# fault of the emulator: the SDK's class and smalt's code; what the one line of the log says
CLASSES: dict[str, tuple[type[openai.APIError], str, str]] = {
    "invalid_api_key": (openai.AuthenticationError, "unauthorized", "401 Access denied"),
    "deployment_not_found": (openai.NotFoundError, "DeploymentNotFound", "404 The API deployment"),
    "resource_not_found": (openai.NotFoundError, "not_found", "404 request"),
    "rate_limit_tokens_classic": (openai.RateLimitError, "rate_limit_exceeded", "429 Requests to"),
    "string_above_max_length": (openai.BadRequestError, "invalid_request_error", "400 request"),
    "content_filter_prompt": (openai.BadRequestError, "content_filter", "400 content_filter"),
    "context_length_exceeded": (openai.BadRequestError, "context_length_exceeded", "400 This model"),
    "server_error": (openai.InternalServerError, "service_unavailable", "500 The server had an error"),
    "request_timeout": (openai.InternalServerError, "timeout", "408 The operation was timeout"),
    "down": (openai.InternalServerError, "no_upstream_available", ""),
    "stream_cut": (openai.APIError, "stream_interrupted", "stream_interrupted"),
}


@pytest.mark.parametrize("fault", CLASSES)
def test_req_0_11_every_fault_has_its_error_and_its_line(
    azure: Handle, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """No two look alike to a program; the log has one line of the call, with deployment and request id."""
    kind, code, says = CLASSES[fault]
    assert len({(kind, code) for kind, code, _ in CLASSES.values()}) == len(CLASSES)
    if fault == "down":
        azure.set("east", "down")
    else:
        azure.set("east", "error", error=fault)
    fleet = Fleet(world.settings(azure, **ONLY_EAST, **IMPATIENT, retry={"max_attempts": 1}))
    caplog.set_level(logging.INFO, "smalt")
    error = refused(fleet, stream=fault.startswith("stream"))
    told = explained(error)
    assert (type(error), told.code) == (kind, code)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "smalt.calls"]
    assert line.startswith(f"{told.request_id} gpt-4o: ")
    assert "east/gpt-4o-prod" in line
    assert says in line


def test_req_1_22_azures_words_are_kept(azure: Handle, fleet: Fleet) -> None:
    """Message and type, to the typographic apostrophe."""
    text = "Unrecognized request argument supplied: it’s"  # noqa: RUF001  that is the point
    error = refused(fleet, extra_body={"it’s": 1})  # noqa: RUF001
    told = explained(error)
    assert error.body["message"] == told.message == text
    assert error.type == told.type == "invalid_request_error"
    for shown in (str(error), str(told), str(smalt.receipt(error))):
        assert text in shown
    assert "invalid_request_error" in str(told)


def test_no_key_is_told(azure: Handle, fleet: Fleet) -> None:
    """Neither in what is said nor in what the exception carries."""
    failing(azure, "invalid_api_key")
    error = refused(fleet)
    told = explained(error)
    for name in BOTH:
        assert azure.key(name) not in f"{told} {told!r} {vars(error)}"


def test_a_framework_around_the_sdk(azure: Handle, fleet: Fleet) -> None:
    """Its exception is explained by the one that caused it."""

    async def agent() -> None:
        async with fleet.async_openai() as client:
            try:
                await client.chat.completions.create(model="gpt-4o", messages=HELLO)
            except openai.RateLimitError as error:
                raise RuntimeError("the agent gave up") from error

    failing(azure, "rate_limit_tokens_classic")
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(agent())
    assert explained(caught.value).code == "rate_limit_exceeded"
