import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from smalt.redact import HIDDEN
from smalt.types import Failure, FailureKind
from smalt.wire.classify import LONGEST_TEXT, classify, classify_event

CATALOGUE = Path(__file__).parents[3] / "src/smalt/emulator/errors.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["name"]: entry for entry in json.loads(CATALOGUE.read_text("utf-8"))
}
K = FailureKind

# Every error of the catalogue that comes as an HTTP answer: its kind, and the wait it asks for.
EXPECTED: dict[str, tuple[FailureKind, float | None]] = {
    "invalid_api_key": (K.CREDENTIAL, None),
    "missing_or_bad_token": (K.CREDENTIAL, None),
    "permission_denied_no_role": (K.ACCESS, None),  # 401, but another token of this caller has no role either
    "permission_denied_data_action": (K.ACCESS, None),
    "wrong_tenant": (K.ACCESS, None),  # 400, but another resource may be of the token's tenant
    "local_auth_disabled": (K.ACCESS, None),
    "firewall_denied": (K.ACCESS, None),
    "public_access_disabled": (K.ACCESS, None),
    "vnet_wrong_endpoint_unwrapped": (K.ACCESS, None),
    "resource_blocked": (K.ACCESS, None),
    "deployment_not_found": (K.DEPLOYMENT_NOT_FOUND, None),
    "resource_not_found": (K.REQUEST, None),  # 404 of the path, not of the deployment
    "model_not_found_v1": (K.DEPLOYMENT_NOT_FOUND, None),
    "response_not_found": (K.REQUEST, None),  # the id is wrong, or routed wrong: no other deployment has it
    "content_filter_prompt": (K.CONTENT_FILTER, None),
    "content_filter_jailbreak": (K.CONTENT_FILTER, None),
    "content_policy_image": (K.CONTENT_FILTER, None),
    "unsupported_parameter_max_tokens": (K.REQUEST, None),
    "unsupported_parameter_temperature": (K.REQUEST, None),
    "unsupported_value_temperature": (K.REQUEST, None),
    "unknown_parameter": (K.REQUEST, None),
    "unrecognized_argument": (K.REQUEST, None),
    "context_length_exceeded": (K.CONTEXT, None),
    "string_above_max_length": (K.REQUEST, None),  # a field's limit, the same for every window
    "operation_not_supported": (K.REQUEST, None),
    "tools_with_reasoning_need_responses": (K.REQUEST, None),
    "flex_unsupported": (K.REQUEST, None),
    "api_version_not_supported": (K.REQUEST, None),
    "previous_response_not_found": (K.REQUEST, None),
    "invalid_encrypted_content": (K.REQUEST, None),
    "on_your_data_validation": (K.REQUEST, None),
    "embeddings_dimensions_unsupported": (K.REQUEST, None),
    "embeddings_too_many_inputs": (K.REQUEST, None),
    "request_timeout": (K.TIMEOUT, None),
    "conflict": (K.SERVER, None),  # 409 may be repeated on the same upstream, as a server's error may
    "unsupported_media_type": (K.REQUEST, None),
    "too_many_headers": (K.REQUEST, None),
    "rate_limit_tokens_classic": (K.QUOTA, 6.85),
    "rate_limit_requests_classic": (K.QUOTA, 2.4),
    "rate_limit_tokens_new_text": (K.QUOTA, 60),
    "rate_limit_short_text": (K.QUOTA, 2),
    "rate_limit_free_trial": (K.QUOTA, 86_400),
    "capacity_high_demand": (K.CAPACITY, 20),
    "ptu_full": (K.QUOTA, 0.12),  # the SKU, which an answer does not tell, makes the difference
    "ptu_spillover_failed": (K.QUOTA, 0.9),
    "flex_capacity": (K.CAPACITY, 15),
    "server_error": (K.SERVER, None),
    "internal_server_error": (K.SERVER, None),
    "bad_gateway_html": (K.SERVER, None),
    "model_overloaded": (K.CAPACITY, 5),
    "service_unavailable": (K.CAPACITY, None),
    "no_healthy_upstream": (K.CAPACITY, None),
    "gateway_timeout": (K.SERVER, None),
}
# What else the catalogue holds is no error answer: good answers with a peculiarity, streams (their errors are
# those of tests/unit/wire/test_sse_catalogue.py), and messages of a WebSocket.
OTHERS = {
    "ratelimit_headers_untracked": "answer",
    "spillover_served": "answer",
    "filter_unavailable": "answer",
    "stream_error_after_content": "stream",
    "stream_overloaded_first_event": "stream",
    "stream_filtered_default": "stream",
    "stream_filtered_no_done": "stream",
    "stream_async_filter_ok": "stream",
    "stream_async_filter_late_block": "stream",
    "stream_cut": "stream",
    "responses_stream_filtered": "stream",
    "responses_stream_error_flat": "stream",
    "responses_incomplete_filter": "stream",
    "ws_connection_limit": "websocket",
    "ws_previous_response_not_found": "websocket",
}


def sort_of(entry: dict[str, Any]) -> str:
    if entry["status"] is None:
        return "websocket"
    return "stream" if "stream" in entry else "error" if entry["status"] >= 400 else "answer"


def classified(entry: dict[str, Any]) -> Failure:
    body = entry["body"]
    text = body if isinstance(body, str) else json.dumps(body)
    return classify(entry["status"], entry["headers"], b"" if body is None else text.encode())


def failure(status: int, *, headers: dict[str, str] | None = None, **error: Any) -> Failure:
    return classify(status, headers or {}, json.dumps({"error": error}).encode())


NOON = "Wed, 21 Oct 2026 12:00:00 GMT"


def test_the_table_is_complete() -> None:
    """Every entry of the catalogue has its line, and no line is left over."""
    assert dict.fromkeys(EXPECTED, "error") | OTHERS == {name: sort_of(ENTRIES[name]) for name in ENTRIES}


@pytest.mark.parametrize("name", EXPECTED)
def test_kind_and_wait(name: str) -> None:
    """Every catalogued error is understood, with the wait it asks for."""
    result = classified(ENTRIES[name])
    assert (result.kind, result.wait_s) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_status_and_words_are_kept(name: str) -> None:
    """The failure tells the status and the upstream's own words, or that there were none."""
    entry = ENTRIES[name]
    result = classified(entry)
    body = entry["body"]
    error = body.get("error", body) if isinstance(body, dict) else {}
    assert result.status == entry["status"]
    assert result.text == error.get("message", f"HTTP {entry['status']} without a readable body")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, K.SERVER),
        (307, K.SERVER),
        (399, K.SERVER),
        (400, K.REQUEST),
        (403, K.ACCESS),
        (405, K.REQUEST),
        (408, K.TIMEOUT),
        (409, K.SERVER),
        (410, K.DEPLOYMENT_NOT_FOUND),
        (413, K.REQUEST),
        (422, K.REQUEST),
        (499, K.REQUEST),
        (424, K.SERVER),
        (500, K.SERVER),
        (502, K.SERVER),
        (529, K.SERVER),
    ],
)
def test_a_status_alone(status: int, expected: FailureKind) -> None:
    """Without a readable body the status decides."""
    assert classify(status, {}, b"").kind is expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"text"',
        b'{"error":',
        b'{"error":[1]}',
        b'{"error":{"message":{"a":1}}}',
        b'{"error":{"message":"\\ud800"}}',
        b'{"error":{"message":NaN}}',
        b'\xff\xfe{"error":1}',
        b'{"error":{"message":"\xff"}}',
        b"[" * 100_000,
        b'{"error":{"message":' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"error":{"code":' + b"9" * 5_000 + b"}}",
    ],
)
def test_an_unreadable_body_is_survived(body: bytes) -> None:
    """Whatever an upstream sends, the failure says that it could not be read."""
    assert classify(500, {}, body) == Failure(K.SERVER, "HTTP 500 without a readable body", 500)


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (500, "PermissionDenied", "", K.SERVER),
        (500, "DeploymentNotFound", "", K.SERVER),
        (400, "model_not_found", "", K.REQUEST),
        (500, "too_many_requests", "", K.SERVER),
        (500, "", "That model is currently overloaded.", K.SERVER),
        (404, "no_capacity", "The system is experiencing high demand.", K.REQUEST),
        (500, "content_filter", "", K.SERVER),
        (429, "content_filter", "", K.QUOTA),
    ],
)
def test_the_status_comes_first(status: int, code: str, message: str, expected: FailureKind) -> None:
    """A code or a text counts only under the status it belongs to."""
    assert failure(status, code=code, message=message).kind is expected


def test_an_error_that_is_a_text() -> None:
    """A body whose `error` is a plain text is understood."""
    assert classify(500, {}, b'{"error":"boom"}').text == "boom"


def test_words_are_shown_on_one_line() -> None:
    """Line breaks in an upstream's words do not reach logs."""
    assert failure(500, message="a\r\n b\tc ").text == "a b c"


def test_long_words_are_cut() -> None:
    """An upstream cannot fill logs and errors."""
    assert failure(500, message="x" * 10_000).text == "x" * LONGEST_TEXT


def test_a_cut_leaves_no_half_secret() -> None:
    """Only the beginning is looked through, and its last word may be a part of a token."""
    token = f"eyJ{'h' * 200}.{'p' * 200}.s"
    text = failure(500, message=f"password={'a' * 4000} token {token} is bad").text
    assert text == f"password={HIDDEN} token"


def test_foreign_letters_are_kept() -> None:
    """Azure's typographic apostrophe stays what it is."""
    assert failure(400, message="can\u2019t").text == "can\u2019t"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "Incorrect API key provided: sk-proj-ab*12. See docs.",
            "Incorrect API key provided: ********** See docs.",
        ),
        ("bad key 0123456789abcdef0123456789abcdef!", "bad key **********!"),
        ("token eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9 refused", "token ********** refused"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_secret_is_not_repeated(status: int, message: str, shown: str) -> None:
    """A server that repeats the key it refuses does not make us tell it to the caller."""
    assert failure(status, message=message).text == shown


def test_ids_are_no_secrets() -> None:
    """The id of a principal stays readable, because people need it to mend the role; so does that of a
    request, which support asks for."""
    told = "Try again. (Request ID 0123456789abcdef0123456789abcdef)"
    assert failure(500, message=told).text == told
    message = "The principal `01234567-89ab-cdef-0123-456789abcdef` lacks the required data action"
    assert failure(401, code="PermissionDenied", message=message).text == message


def test_a_callers_words_do_not_accuse_the_resource() -> None:
    """A refusal that repeats what the caller wrote is never taken for a refusal of the resource."""
    echoed = "Invalid value: 'Token tenant does not match resource tenant'. Supported values are: 'low'."
    assert failure(400, code="invalid_value", message=echoed).kind is K.REQUEST


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Tenant provided in token does not match resource token", "Forbidden"),
        ("BadRequest", "Token tenant does not match resource tenant."),
    ],
)
def test_a_wrong_tenant_by_either_field(code: str, message: str) -> None:
    """One of the two sentences is enough."""
    assert failure(400, code=code, message=message).kind is K.ACCESS


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("context_length_exceeded", "Too long."),
        (None, "This model's maximum context length is 8192 tokens, however you requested 9000 tokens."),
        ("invalid_request_error", "Your input exceeds the context window of this model. Please adjust it."),
    ],
)
def test_a_prompt_too_long_by_code_or_words(code: str | None, message: str) -> None:
    """The code tells it, and where there is none, either published sentence."""
    assert failure(400, code=code, message=message) == Failure(K.CONTEXT, message, 400)


@pytest.mark.parametrize("status", [413, 422, 500])
def test_a_prompt_too_long_is_a_bad_request(status: int) -> None:
    """Under another status the words mean what that status means."""
    assert failure(status, code="context_length_exceeded").kind is not K.CONTEXT


def test_a_callers_words_do_not_lengthen_the_prompt() -> None:
    """A refusal that repeats a sentence about the context length is an ordinary refusal."""
    echoed = "Invalid value: 'This model's maximum context length is 1'. Supported values are: 'low'."
    assert failure(400, code="invalid_value", message=echoed).kind is K.REQUEST


@pytest.mark.parametrize("inner", ["innererror", "inner_error"])
def test_a_filter_by_its_inner_code(inner: str) -> None:
    """The inner code tells a filtered prompt when the outer one does not."""
    result = failure(400, code=None, **{inner: {"code": "ResponsibleAIPolicyViolation"}})
    assert result.kind is K.CONTENT_FILTER


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation", "contentFilter"])
def test_a_filter_by_its_code(code: str) -> None:
    """Each published code of a filtered prompt is known."""
    assert failure(400, code=code).kind is K.CONTENT_FILTER


def test_a_strange_inner_error_is_survived() -> None:
    """An inner error that is no object says nothing."""
    assert failure(400, innererror="ResponsibleAIPolicyViolation").kind is K.REQUEST


@pytest.mark.parametrize("code", ["no_capacity", "NoCapacity", "too_many_requests", "resource_unavailable"])
def test_capacity_by_its_code(code: str) -> None:
    """A 429 for lack of capacity is not the deployment's quota."""
    assert failure(429, code=code).kind is K.CAPACITY


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after-ms": "6850", "retry-after": "7"}, 6.85),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "3"}, 3),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "\u0663"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "999999999"}, 999_999_999),
        ({"retry-after": NOON}, None),
        ({"retry-after": NOON, "date": "Wed, 21 Oct 2026 11:59:30 GMT"}, 30),
        ({"retry-after": NOON, "date": "Tue, 20 Oct 2026 12:00:00 GMT"}, 86_400),
        ({"retry-after": "Fri, 01 Jan 2027 00:00:01 GMT", "date": "Thu, 31 Dec 2026 23:59:59 GMT"}, 2),
        ({"retry-after": NOON, "date": NOON}, None),
        ({"retry-after": NOON, "date": "Wed, 21 Oct 2026 12:00:01 GMT"}, None),
        ({"retry-after": NOON, "date": "now"}, None),
        ({"retry-after-ms": "250", "retry-after": NOON, "date": "Wed, 21 Oct 2026 11:59:30 GMT"}, 0.25),
        ({"retry-after": "7", "date": NOON}, 7),
    ],
)
def test_the_wait_in_headers(headers: dict[str, str], expected: float | None) -> None:
    """Milliseconds come first; what is no plain positive number says nothing."""
    assert classify(429, headers, b"").wait_s == expected


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_is_known(month: int) -> None:
    """A date of any month is understood, whatever language the machine speaks."""
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, month, 2, 3, 4, 5, tzinfo=UTC)
    headers = {"date": format_datetime(early, usegmt=True), "retry-after": format_datetime(late, usegmt=True)}
    assert classify(429, headers, b"").wait_s == (late - early).total_seconds()


@pytest.mark.parametrize(
    "value",
    [
        "Wed, 21 Oct 2026 12:00:00",
        "Wed, 21 Oct 2026 12:00:00 UTC",
        "Wed, 21 Okt 2026 12:00:00 GMT",
        "Wed, 31 Feb 2026 12:00:00 GMT",
        "Wed, 21 Oct 2026 24:00:00 GMT",
        "Wed, 21 Oct 2026 12:60:00 GMT",
        "Wed, 21 Oct 0000 12:00:00 GMT",
        "Wednesday, 21-Oct-26 12:00:00 GMT",
        "Wed Oct 21 12:00:00 2026",
        "Wed, 21 Oct 2026 12:00:0\u0660 GMT",
        f" {NOON}",
        f"{NOON}\n",
    ],
)
def test_what_is_no_date_says_nothing(value: str) -> None:
    """Only the one form of date that servers may send is understood, in either header."""
    early, late = "Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 2027 00:00:00 GMT"
    assert classify(429, {"retry-after": value, "date": early}, b"").wait_s is None
    assert classify(429, {"retry-after": late, "date": value}, b"").wait_s is None


def test_a_date_that_is_over_leaves_the_word_to_the_text() -> None:
    """A date in the past says nothing, so the seconds in the text count."""
    headers = {"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT", "date": NOON}
    assert failure(429, headers=headers, message="Please retry after 3 seconds.").wait_s == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please retry after 7 seconds.", 7),
        ("Try again in 1 second", 1),
        ("TRY AGAIN IN 2.5 SECONDS", 2.5),
        ("Please retry after 0 seconds.", None),
        ("Please retry after 120 milliseconds.", None),
        ("Please try later.", None),
        (f"retry after {'9' * 400} seconds", float("inf")),
    ],
)
def test_the_wait_in_words(text: str, expected: float | None) -> None:
    """Without a header the seconds named in the text count."""
    assert failure(429, message=text).wait_s == expected


def test_headers_beat_words() -> None:
    """The exact header wins over the rounded text."""
    result = failure(429, headers={"retry-after-ms": "1500"}, message="Please retry after 2 seconds.")
    assert result.wait_s == 1.5


AZURE_QUOTA = "Your requests to the deployment have exceeded rate limit."


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error"}, K.SERVER),
        ({"type": "server_error", "code": None}, K.SERVER),
        ({"code": "vector_store_timeout"}, K.SERVER),
        ({}, K.SERVER),
        ("boom", K.SERVER),
        (None, K.SERVER),
        ([1], K.SERVER),
        ({"code": ["rate_limit_exceeded"], "type": {"a": 1}, "status": [429]}, K.SERVER),
        ({"code": "rate_limit_exceeded", "type": "too_many_requests", "message": AZURE_QUOTA}, K.QUOTA),
        ({"type": "too_many_requests", "message": AZURE_QUOTA}, K.QUOTA),
        ({"type": "rate_limit_error"}, K.QUOTA),
        ({"code": "RateLimitReached"}, K.QUOTA),
        ({"code": None, "message": AZURE_QUOTA}, K.QUOTA),
        ({"message": "Rate limit is exceeded. Try again in 2 seconds."}, K.QUOTA),
        ({"message": "Rate limit reached for gpt-4o."}, K.QUOTA),
        ({"message": "Requests have exceeded token rate limit of your current tier."}, K.QUOTA),
        ({"code": "too_many_requests"}, K.CAPACITY),
        ({"type": "too_many_requests", "message": "The system is experiencing high demand."}, K.CAPACITY),
        ({"type": "server_error", "message": "That model is currently overloaded."}, K.CAPACITY),
        ({"message": "The service is temporarily unable to process it."}, K.CAPACITY),
        ({"message": "no healthy upstream"}, K.CAPACITY),
        ({"code": "content_filter"}, K.CONTENT_FILTER),
        ({"code": "content_policy_violation", "type": "invalid_request_error"}, K.CONTENT_FILTER),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, K.CONTEXT),
        ({"code": "context_length_exceeded"}, K.CONTEXT),
        ({"type": "invalid_request_error", "message": "currently overloaded with 'x'"}, K.REQUEST),
        ({"code": "invalid_prompt"}, K.REQUEST),
        ({"code": "invalid_image_url"}, K.REQUEST),
        ({"code": "image_too_large"}, K.REQUEST),
        ({"code": "failed_to_download_image"}, K.REQUEST),
        ({"code": "unsupported_image_media_type"}, K.REQUEST),
        ({"code": "bio_policy"}, K.REQUEST),
        ({"code": "DeploymentNotFound"}, K.DEPLOYMENT_NOT_FOUND),
        ({"code": "model_not_found", "type": "invalid_request_error"}, K.DEPLOYMENT_NOT_FOUND),
        ({"code": "Timeout"}, K.TIMEOUT),
        ({"code": "429"}, K.QUOTA),
        ({"code": 429}, K.QUOTA),
        ({"code": "503", "message": "x"}, K.CAPACITY),
        ({"code": "401"}, K.CREDENTIAL),
        ({"status": 401, "code": "PermissionDenied"}, K.ACCESS),
        ({"status": 403}, K.ACCESS),
        ({"status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}, K.CONTENT_FILTER),
        ({"status": 400, "code": "rate_limit_exceeded"}, K.REQUEST),
        ({"status": 200, "code": "429"}, K.QUOTA),
        ({"status": 1429, "code": "4290"}, K.SERVER),
    ],
)
def test_an_error_in_a_stream(error: object, kind: FailureKind) -> None:
    """By the status it names, else by its code, its type, its words; what tells nothing is the server's."""
    assert classify_event(error).kind is kind


def test_what_an_event_tells() -> None:
    """The head of the answer said 200; words and wait are those of the event."""
    error = {"code": "429", "message": "Rate limit is exceeded.\n Try again in 2 seconds."}
    expected = Failure(K.QUOTA, "Rate limit is exceeded. Try again in 2 seconds.", status=200, wait_s=2)
    assert classify_event(error) == expected


@pytest.mark.parametrize("error", [None, {}, {"message": None}, {"message": {"a": 1}}, {"message": " "}])
def test_an_event_without_words(error: object) -> None:
    """An error that cannot be read is still told."""
    assert classify_event(error) == Failure(K.SERVER, "an error in the stream without a readable text", 200)


def test_words_of_an_event_are_cut_and_cleaned() -> None:
    """An event cannot fill logs, nor repeat a key it refuses."""
    assert classify_event({"message": "x" * 10_000}).text == "x" * LONGEST_TEXT
    assert classify_event({"code": "401", "message": "bad key sk-proj-ab12"}).text == "bad key **********"
