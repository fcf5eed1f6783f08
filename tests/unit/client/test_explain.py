from collections.abc import Mapping
from typing import Any

import msgspec
import openai
import pytest

from smalt import explain
from smalt.client import transports
from smalt.client.explain import Explanation, annotated
from smalt.client.receipts import RECEIPTS, REQUEST_ID
from smalt.errors import InvalidEndpoint, NoUpstreamAvailable, RateLimited, SmaltError, StreamInterrupted
from smalt.types import AttemptRecord, CallRecord, Failure, FailureKind, Fate, Operation
from smalt.wire.error_body import error_body, error_headers

pytestmark = pytest.mark.sdk

HTTP = transports.transport_classes(transports.library_of_the_sdk()).http
REQUEST = HTTP.Request("POST", "https://smalt.invalid/v1/chat/completions")
CAUSES = ("attempt 1/5 on east/a (eastus): 429 Rate limit is exceeded.", "west/a is full")
AZURES_ID = "6c1f0f0e-3c4b-4f6f-9a55-0d6c0c8f7a11"


def status_error(
    status: int, body: object, headers: Mapping[str, str] | None = None, stream: Any = None
) -> openai.APIStatusError:
    """As the SDK makes it of an answer."""
    content = msgspec.json.encode(body) if stream is None else None
    answer = HTTP.Response(status, headers=headers or {}, request=REQUEST, content=content, stream=stream)
    inner = body.get("error", body) if isinstance(body, dict) else body
    return openai.APIStatusError("Error code", response=answer, body=inner)


def in_band(body: object, request: Any = REQUEST) -> openai.APIError:
    """As the SDK makes it of an event of a stream."""
    return openai.APIError("An error occurred during streaming", request, body=body)


def ours(error: SmaltError, request_id: str = "id-1") -> openai.APIStatusError:
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    body = msgspec.json.decode(error_body(error))
    headers |= {"x-smalt-request-id": request_id, "x-request-id": request_id}
    return status_error(error.http_status or 500, body, headers)


def told(error: BaseException) -> Explanation:
    explained = explain(error)
    assert explained is not None
    return explained


def test_the_text_for_a_terminal() -> None:
    """What happened, each attempt, what to do, when to come back, whom to ask."""
    message = "no upstream of 'gpt-4o' answered: " + "; ".join(CAUSES)
    error = RateLimited(message, causes=CAUSES, retry_after_s=6.2, resolution=["Wait.", "Ask for less."])
    assert str(told(ours(error))) == (
        "rate_limit_exceeded (rate_limit_error, HTTP 429, RESOURCE_EXHAUSTED): "
        "Every upstream of the model is out of quota.\n"
        "no upstream of 'gpt-4o' answered\n"
        "\n"
        "  attempt 1/5 on east/a (eastus): 429 Rate limit is exceeded.\n"
        "  west/a is full\n"
        "\n"
        "  1. Wait.\n"
        "  2. Ask for less.\n"
        "\n"
        "The same call may succeed in 7 s.\n"
        "request id-1"
    )


def test_the_text_of_azures_own_answer() -> None:
    """Its words, its finer code and its id."""
    body = {"error": {"message": "Unknown parameter: 'x'.", "type": None, "code": "unknown_parameter"}}
    lines = str(told(status_error(400, body, {"apim-request-id": AZURES_ID}))).splitlines()
    assert lines[0].startswith("invalid_request_error (invalid_request_error, HTTP 400, INVALID_ARGUMENT): ")
    assert lines[1] == "Unknown parameter: 'x'. (code: unknown_parameter)"
    assert lines[-2:] == ["Do not repeat the call as it is.", f"Azure's apim-request-id {AZURES_ID}"]


def test_the_text_of_a_setting() -> None:
    """Nothing is said of attempts and ids where no call was made."""
    assert str(told(InvalidEndpoint("endpoint is required"))) == (
        "invalid_endpoint (invalid_request_error, INVALID_ARGUMENT): "
        "The endpoint is missing or not a usable URL.\n"
        "endpoint is required\n"
        "\n"
        f"  1. {InvalidEndpoint.resolution[0]}\n"
        f"  2. {InvalidEndpoint.resolution[1]}\n"
        "\n"
        "Do not repeat the call as it is."
    )


def test_errors_of_smalt_are_told_as_they_are() -> None:
    """Causes and the time to come back included."""
    error = NoUpstreamAvailable("nobody", causes=CAUSES, retry_after_s=1.5, resolution=["Wait."])
    explained = told(error)
    assert (explained.code, explained.message, explained.status) == (error.code, "nobody", error.status)
    assert (explained.causes, explained.retry_after_s, explained.resolution) == (CAUSES, 1.5, ("Wait.",))
    broken = told(StreamInterrupted("cut", partial="Hel"))
    assert (broken.code, broken.status, broken.retryable) == ("stream_interrupted", "ABORTED", False)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), ExceptionGroup("x", [OSError()])])
def test_what_is_of_no_call(error: BaseException) -> None:
    """There is nothing to explain."""
    assert explain(error) is None


def test_an_exception_is_explained_by_what_is_behind_it() -> None:
    """Its cause, else what was being handled; the outermost that can be explained counts."""
    outer, middle = RuntimeError("agent"), ValueError("framework")
    outer.__cause__, middle.__context__ = middle, ours(RateLimited("full"))
    assert told(outer).code == "rate_limit_exceeded"
    error = InvalidEndpoint("endpoint is required")
    error.__cause__ = outer
    assert told(error).code == "invalid_endpoint"


def test_a_circle_of_causes_ends() -> None:
    """However they came about."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert explain(one) is None


def test_an_error_of_a_newer_gateway() -> None:
    """A code this version does not know is told as the gateway tells it."""
    body = {
        "message": "no more money",
        "type": "budget",
        "code": "budget_of_tomorrow",
        "retryable": True,
        "resolution": ["Ask your team."],
        "grpc_status": "RESOURCE_EXHAUSTED",
    }
    explained = told(status_error(429, {"error": body}))
    assert {name: getattr(explained, name) for name in ("code", "type", "retryable", "message")} == {
        name: body[name] for name in ("code", "type", "retryable", "message")
    }
    assert (explained.status, explained.resolution) == ("RESOURCE_EXHAUSTED", ("Ask your team.",))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"error": {"message": ["no", "text"], "code": {"a": 1}, "type": 7}},
            "HTTP 500 without a readable body",
        ),
        ({"error": "busy"}, "busy"),
        ("<html>502</html>", "HTTP 500 without a readable body"),
        ({"error": {"grpc_status": "UNAVAILABLE", "message": "half of ours"}}, "half of ours"),
    ],
)
def test_strange_bodies_are_survived(body: object, message: str) -> None:
    """The status alone tells enough."""
    explained = told(status_error(500, body))
    assert (explained.code, explained.message) == ("service_unavailable", message)
    assert str(explained)


def test_an_answer_nobody_has_read() -> None:
    """As an event hook may see it."""
    unread = status_error(429, None, stream=HTTP.ByteStream(b'{"error": {"message": "slow down"}}'))
    assert told(unread).code == "rate_limit_exceeded"


def test_a_key_that_the_answer_repeats_is_left_out() -> None:
    """Some servers do so."""
    text = "Incorrect API key provided: sk-4f0c****9d2e."
    assert "sk-" not in str(told(status_error(401, {"error": {"message": text}})))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"message": "blocked", "code": "content_policy_violation", "type": "x"}, "content_filter"),
        ({"message": "The server had an error", "type": "server_error", "code": None}, "stream_interrupted"),
        ({"message": "Rate limit reached", "code": "429"}, "stream_interrupted"),
    ],
)
def test_an_error_as_an_event(body: object, code: str) -> None:
    """What a refusal says holds in a stream as well; all else broke it."""
    explained = told(in_band(body))
    assert (explained.code, explained.http_status, explained.retryable) == (code, None, False)


def test_an_event_has_its_receipt_by_the_request() -> None:
    """The SDK's exception knows nothing else of the call."""
    failure = Failure(FailureKind.SERVER, "no", 500)
    attempts = (AttemptRecord("east/a", None, 1, 5, Fate.FREE, failure, 0.1),)
    RECEIPTS(CallRecord("id-in-band", Operation.CHAT, "gpt-4o", attempts=attempts))
    request = HTTP.Request("POST", "https://smalt.invalid", extensions={REQUEST_ID: "id-in-band"})
    explained = told(in_band({"message": "The server had an error"}, request))
    assert (explained.request_id, explained.attempts) == ("id-in-band", attempts)
    assert explained.causes == ("attempt 1/5 on east/a: 500 no",)


def test_the_sdks_exception_gets_attributes() -> None:
    """Its own keep their meaning; a code is added only where the answer has none."""
    body = {"error": {"message": "Unknown", "type": "invalid_request_error", "code": "unknown_parameter"}}
    error: Any = annotated(status_error(400, body, {"x-request-id": AZURES_ID}))
    assert (error.code, error.type, error.request_id) == (
        "unknown_parameter",
        "invalid_request_error",
        AZURES_ID,
    )
    assert (error.http_status, error.status, error.retryable) == (400, "INVALID_ARGUMENT", False)
    assert error.smalt_request_id is None
    nameless: Any = annotated(status_error(500, {"error": {"message": "no", "code": None}}))
    assert (nameless.code, nameless.retryable) == ("service_unavailable", True)


def test_what_cannot_be_explained_stays_as_it_is() -> None:
    """Not even an attribute is added."""
    error = ValueError("x")
    assert annotated(error) is error
    assert vars(error) == {}
