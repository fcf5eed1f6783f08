import json
from pathlib import Path
from typing import Any

import pytest

from smalt.types import Failure, FailureKind
from smalt.wire.classify import LONGEST_TEXT, classify

CATALOGUE = Path(__file__).parents[3] / "src/smalt/emulator/errors.json"
K = FailureKind

# Every error of the catalogue that comes as an HTTP answer: its kind, and the wait it asks for.
EXPECTED: dict[str, tuple[FailureKind, float | None]] = {
    "invalid_api_key": (K.CREDENTIAL, None),
    "missing_or_bad_token": (K.CREDENTIAL, None),
    "permission_denied_no_role": (K.ACCESS, None),
    "permission_denied_data_action": (K.ACCESS, None),
    "wrong_tenant": (K.ACCESS, None),
    "local_auth_disabled": (K.ACCESS, None),
    "firewall_denied": (K.ACCESS, None),
    "public_access_disabled": (K.ACCESS, None),
    "vnet_wrong_endpoint_unwrapped": (K.ACCESS, None),
    "resource_blocked": (K.ACCESS, None),
    "deployment_not_found": (K.DEPLOYMENT_NOT_FOUND, None),
    "resource_not_found": (K.REQUEST, None),
    "model_not_found_v1": (K.DEPLOYMENT_NOT_FOUND, None),
    "response_not_found": (K.REQUEST, None),
    "content_filter_prompt": (K.CONTENT_FILTER, None),
    "content_filter_jailbreak": (K.CONTENT_FILTER, None),
    "content_policy_image": (K.CONTENT_FILTER, None),
    "unsupported_parameter_max_tokens": (K.REQUEST, None),
    "unsupported_parameter_temperature": (K.REQUEST, None),
    "unsupported_value_temperature": (K.REQUEST, None),
    "unknown_parameter": (K.REQUEST, None),
    "unrecognized_argument": (K.REQUEST, None),
    "context_length_exceeded": (K.REQUEST, None),
    "string_above_max_length": (K.REQUEST, None),
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
    "conflict": (K.REQUEST, None),
    "unsupported_media_type": (K.REQUEST, None),
    "too_many_headers": (K.REQUEST, None),
    "rate_limit_tokens_classic": (K.QUOTA, 6.85),
    "rate_limit_requests_classic": (K.QUOTA, 2.4),
    "rate_limit_tokens_new_text": (K.QUOTA, 60),
    "rate_limit_short_text": (K.QUOTA, 2),
    "rate_limit_free_trial": (K.QUOTA, 86_400),
    "capacity_high_demand": (K.CAPACITY, 20),
    "ptu_full": (K.QUOTA, 0.12),
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


def http_errors() -> dict[str, dict[str, Any]]:
    entries = json.loads(CATALOGUE.read_text("utf-8"))
    return {entry["name"]: entry for entry in entries if (entry["status"] or 0) >= 400}


def classified(entry: dict[str, Any]) -> Failure:
    body = entry["body"]
    text = body if isinstance(body, str) else json.dumps(body)
    return classify(entry["status"], entry["headers"], b"" if body is None else text.encode())


def failure(status: int, *, headers: dict[str, str] | None = None, **error: Any) -> Failure:
    return classify(status, headers or {}, json.dumps({"error": error}).encode())


def test_the_table_is_complete() -> None:
    """Every HTTP error of the catalogue has its line, and no line is left over."""
    assert set(EXPECTED) == set(http_errors())


@pytest.mark.parametrize("name", EXPECTED)
def test_kind_and_wait(name: str) -> None:
    """Every catalogued error is understood, with the wait it asks for."""
    result = classified(http_errors()[name])
    assert (result.kind, result.wait_s) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_status_and_words_are_kept(name: str) -> None:
    """The failure tells the status and the upstream's own words, or that there were none."""
    entry = http_errors()[name]
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
        (400, K.REQUEST),
        (403, K.ACCESS),
        (405, K.REQUEST),
        (410, K.DEPLOYMENT_NOT_FOUND),
        (413, K.REQUEST),
        (422, K.REQUEST),
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


def test_an_error_that_is_a_text() -> None:
    """A body whose `error` is a plain text is understood."""
    assert classify(500, {}, b'{"error":"boom"}').text == "boom"


def test_words_are_shown_on_one_line() -> None:
    """Line breaks in an upstream's words do not reach logs."""
    assert failure(500, message="a\r\n b\tc ").text == "a b c"


def test_long_words_are_cut() -> None:
    """An upstream cannot fill logs and errors."""
    assert failure(500, message="x" * 10_000).text == "x" * LONGEST_TEXT


def test_foreign_letters_are_kept() -> None:
    """Azure's typographic apostrophe stays what it is."""
    assert failure(400, message="can\u2019t").text == "can\u2019t"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "Incorrect API key provided: sk-proj-ab*12. See docs.",
            "Incorrect API key provided: [removed] See docs.",
        ),
        ("bad key 0123456789abcdef0123456789abcdef!", "bad key [removed]!"),
        ("token eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9 refused", "token [removed] refused"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_secret_is_not_repeated(status: int, message: str, shown: str) -> None:
    """A server that repeats the key it refuses does not make us tell it to the caller."""
    assert failure(status, message=message).text == shown


def test_ids_are_no_secrets() -> None:
    """The id of a principal stays readable, because people need it to mend the role."""
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
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_the_wait_in_headers(headers: dict[str, str], expected: float | None) -> None:
    """Milliseconds come first; what is no plain positive number says nothing."""
    assert classify(429, headers, b"").wait_s == expected


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
