"""What may arrive at the socket, and what must come back: the same by the hot protocol and by plain ASGI."""

import json
import re
import time
from typing import Any
from urllib.parse import unquote

import pytest
from tests.contract import world
from tests.contract.gateways import KEY, NARROW_KEY, Adapter, Stage
from tests.integration.gateway.raw import CHAT, ask, body, calling, head, request

from smalt.config import Settings
from smalt.emulator.testing import Handle

CLASSIC = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
SHAPE = {"message", "type", "param", "code", "retryable", "resolution", "grpc_status", "doc_url"}


@pytest.mark.parametrize("header", [f"Authorization: Bearer {KEY}", f"api-key: {KEY}", f"X-API-Key: {KEY}"])
def test_a_key_in_any_of_three_headers(stage: Stage, header: str) -> None:
    """OpenAI's, Azure's and the documents' own header carry a gateway key."""
    assert ask(stage.url, request(header, key=None)).status == 200


@pytest.mark.parametrize(
    "header",
    ["x: y", "api-key: gw_wrong", "X-API-Key: gw_wrong", "authorization: Basic Z3c6Z3c=", "api-key:"],
)
def test_req_2_3_no_key_or_a_wrong_one(stage: Stage, azure: Handle, header: str) -> None:
    """Both are 401 in OpenAI's shape, and no upstream hears of it."""
    answer = ask(stage.url, request(header, key=None))
    assert answer.status == 401
    assert answer.error.keys() == SHAPE
    assert answer.error["code"] == "invalid_gateway_key"
    assert answer.headers["x-should-retry"] == "false"
    assert "gw_wrong" not in answer.body.decode()
    assert azure.log() == []


def test_a_key_for_some_models(stage: Stage) -> None:
    """A key that may use one model gets it, is refused another, and sees only its own in the list."""
    narrow: dict[str, Any] = {"key": NARROW_KEY}
    assert ask(stage.url, request(**narrow)).status == 200
    refused = ask(stage.url, request(content=body(model="gpt-4"), **narrow))
    assert (refused.status, refused.error["code"]) == (403, "permission_denied")
    hidden = ask(stage.url, request(content=body(model="azure/gpt-4o-prod"), **narrow))
    assert hidden.status == 403
    listed = ask(stage.url, head(target="/v1/models", method="GET", **narrow))
    assert [row["id"] for row in json.loads(listed.body)["data"]] == ["gpt-4o"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b'{"model": "gpt-4o",}', "cannot be read"),
        (b"[1, 2]", "cannot be read"),
        (b'"gpt-4o"', "cannot be read"),
        (b"\xff\xfe{}", "cannot be read"),
        (b'{"model": "\xff"}', "cannot be read"),
        (b'{"model": 3}', "model"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"messages": []}', "names no model"),
        (b'{"model": ""}', "names no model"),
        (b'{"model": null}', "names no model"),
    ],
)
def test_a_body_that_cannot_be_read(stage: Stage, azure: Handle, content: bytes, says: str) -> None:
    """400 in OpenAI's shape with the reason; the connection goes on; no upstream hears of it."""
    with calling(stage.url) as caller:
        caller.send(request(content=content))
        answer = caller.answer()
        assert (answer.status, answer.error["code"]) == (400, "invalid_request_error")
        assert answer.error.keys() == SHAPE
        assert says in answer.error["message"]
        caller.send(request())
        assert caller.answer().status == 200
    assert len(azure.log()) == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", CHAT),
        ("PUT", CHAT),
        ("POST", "/v1/models"),
        ("POST", "/v1/audio/speech"),
        ("GET", f"{CHAT}/"),
        ("HEAD", "/v1/embeddings"),
        ("OPTIONS", CHAT),
        ("DELETE", "/v1/models/gpt-4o"),
        ("POST", "/v1"),
        ("POST", "/openai/deployments//chat/completions"),
        ("POST", "/openai/deployments/a/b/unknown"),
        ("POST", "/openai/deployments/gpt-4o"),
        ("POST", "/openai/deployments/a%0D%0A/b/unknown"),
    ],
)
def test_an_operation_that_is_not_served(stage: Stage, method: str, target: str) -> None:
    """400 in OpenAI's shape, with what is served on that surface."""
    answer = ask(stage.url, request(method=method, target=target), method=method)
    assert answer.status == 400
    if method == "HEAD":
        assert answer.body == b""
        return
    assert answer.error.keys() == SHAPE
    assert answer.error["code"] == "unsupported_operation"
    surface = "/openai/" if target.startswith("/openai") else "/v1/"
    assert re.search(rf"POST {surface}.*(completions|embeddings)", answer.error["resolution"][0])


def test_both_adapters_send_the_same_headers(stage: Stage) -> None:
    """Whole or streamed, the names of the headers do not depend on the adapter."""
    common = {
        "apim-request-id",
        "content-type",
        "date",
        "x-ms-client-request-id",
        "x-ms-deployment-name",
        "x-ms-region",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-request-id",
        "x-smalt-attempts",
        "x-smalt-region",
        "x-smalt-request-id",
        "x-smalt-upstream",
    }
    whole = ask(stage.url, request())
    assert whole.headers.keys() == common | {"content-length", "x-smalt-cost-usd"}
    assert whole.headers["x-ms-client-request-id"] == whole.headers["x-smalt-request-id"]
    stream = ask(stage.url, request(content=body(stream=True)))
    assert stream.headers.keys() == common | {"transfer-encoding", "x-accel-buffering", "x-smalt-rewrites"}
    assert stream.headers["x-smalt-rewrites"] == "stream_options"
    assert stream.headers["content-type"].startswith("text/event-stream")


def test_a_connection_is_used_again(stage: Stage) -> None:
    """Whole answers, streams, errors and pages follow each other on one connection."""
    with calling(stage.url) as caller:
        for sent, status in [
            (request(), 200),
            (request(content=body(stream=True)), 200),
            (request(content=b"{"), 400),
            (request(key="gw_wrong"), 401),
            (head(target="/v1/models", method="GET"), 200),
            (request(content=body(model="gpt-unheard-of")), 404),
            (request(), 200),
        ]:
            caller.send(sent)
            assert caller.answer().status == status


def test_pipelined_requests(stage: Stage) -> None:
    """Requests sent without waiting are answered one by one in their order, whatever they are."""
    mixed = [
        request(content=body(stream=True, max_tokens=5)),
        head(target="/v1/models", method="GET"),
        request(content=body(model="gpt-unheard-of")),
        head(target="/health/live", method="GET"),
        request(content=body(max_tokens=3)),
        request(content=body(max_tokens=4)),
    ]
    with calling(stage.url) as caller:
        caller.send(b"".join(mixed))
        answers = [caller.answer() for _ in mixed]
        caller.send(request())
        assert caller.answer().status == 200
    assert [answer.status for answer in answers] == [200, 200, 404, 200, 200, 200]
    assert answers[0].body.endswith(b"data: [DONE]\n\n")
    assert json.loads(answers[1].body)["object"] == "list"
    assert [json.loads(a.body)["usage"]["completion_tokens"] for a in answers[4:]] == [3, 4]


def test_a_request_in_many_pieces(stage: Stage) -> None:
    """Where the network cuts a request makes no difference."""
    sent = request(content=body(stream=True, max_tokens=2))
    with calling(stage.url) as caller:
        for start in range(0, len(sent), 7):
            caller.send(sent[start : start + 7])
        assert caller.answer().status == 200


def test_a_chunked_body(stage: Stage, azure: Handle) -> None:
    """A body of unknown length arrives whole; upstream it has a length."""
    content = body(seed=7)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (content[:9], content[9:]))
    sent = head("content-type: application/json", "transfer-encoding: chunked") + chunks + b"0\r\n\r\n"
    with calling(stage.url) as caller:
        caller.send(sent, sent)
        assert [caller.answer().status for _ in range(2)] == [200, 200]
    entry = azure.log()[0]
    assert entry["body"] == json.loads(content)
    assert "transfer-encoding" not in dict(entry["headers"])


def test_a_body_with_two_lengths_is_refused(stage: Stage, azure: Handle) -> None:
    """Both a length and chunks: the way requests are smuggled."""
    sent = request("transfer-encoding: chunked")
    with calling(stage.url) as caller:
        caller.send(sent)
        assert caller.until(b"\r\n").split()[1] == b"400"
    assert azure.log() == []


def test_http_1_0(stage: Stage) -> None:
    """Answered without chunks, and the connection ends with the answer."""
    with calling(stage.url) as caller:
        caller.send(request(version="1.0"))
        answer = caller.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert json.loads(answer.body)["usage"]
        assert caller.closed()
    with calling(stage.url) as caller:
        caller.send(request(version="1.0", content=body(stream=True)))
        answer = caller.answer()
        assert "transfer-encoding" not in answer.headers or answer.body.endswith(b"[DONE]\n\n")
        assert answer.body.endswith(b"data: [DONE]\n\n")


def test_connection_close(stage: Stage) -> None:
    """A caller that wants no other request gets its answer and the end."""
    for content in (body(), body(stream=True)):
        with calling(stage.url) as caller:
            caller.send(request("connection: close", content=content))
            assert caller.answer().status == 200
            assert caller.closed()


def test_an_absolute_url(stage: Stage, azure: Handle) -> None:
    """As proxies are asked: the path counts, the host does not."""
    assert ask(stage.url, request(target=f"http://elsewhere.example{CHAT}")).status == 200
    assert azure.log()[0]["path"] == "/openai/deployments/gpt-4o-prod/chat/completions"


@pytest.mark.parametrize(
    "name", ["a%0d%0ax-evil:%201", "a%0D%0A%0D%0AHTTP%2F1.1%20200%20OK", "%00", "a%20HTTP%2f1.1"]
)
def test_line_breaks_in_a_deployment(stage: Stage, azure: Handle, name: str) -> None:
    """A name cannot reach into a header, of the request upstream or of the answer."""
    stage.play(_open_to_any(azure))
    answer = ask(stage.url, request(target=f"/openai/deployments/{name}/chat/completions"))
    assert (answer.status, answer.error["code"]) == (404, "DeploymentNotFound")
    assert "x-evil" not in answer.headers
    (entry,) = azure.log()
    assert unquote(entry["path"]) == unquote(f"/openai/deployments/{name}/chat/completions")
    assert "x-evil" not in dict(entry["headers"])


@pytest.mark.parametrize(
    "name", ["..%2f..", "..%2f..%2f..%2fadmin", "%2e%2e%2fx", "a%2f..%2f..", "..%5c..", "a%3fb%23c"]
)
def test_path_traversal_in_a_deployment(stage: Stage, azure: Handle, name: str) -> None:
    """A name stays one segment of the path upstream."""
    stage.play(_open_to_any(azure))
    answer = ask(stage.url, request(target=f"/openai/deployments/{name}/chat/completions?api-version=x"))
    assert answer.status == 404
    (entry,) = azure.log()
    segments = entry["path"].split("/")
    assert segments[:3] + segments[4:] == ["", "openai", "deployments", "chat", "completions"]
    assert entry["query"] == "api-version=2024-10-21"


@pytest.mark.parametrize("name", ["..", ".", "%2e%2e", "%2E"])
def test_dots_are_no_deployment(stage: Stage, azure: Handle, name: str) -> None:
    """Segments that a path swallows never leave."""
    stage.play(_open_to_any(azure))
    answer = ask(stage.url, request(target=f"/openai/deployments/{name}/chat/completions"))
    assert answer.status in {400, 404}
    assert azure.log() == []


def _open_to_any(azure: Handle) -> Settings:
    """Any deployment may be named: there is a default resource."""
    settings = world.settings(azure)
    return settings.model_copy(update={"resources": {"default": settings.resources["east"]}})


def test_callers_headers_stay_here(stage: Stage, azure: Handle) -> None:
    """Neither the gateway key nor any other header of the caller goes on."""
    extra = (
        "cookie: a=b",
        "x-forwarded-for: 10.0.0.1",
        "openai-organization: org",
        "x-custom: 1",
        f"api-key: {KEY}",
    )
    ask(stage.url, request(*extra))
    (entry,) = azure.log()
    assert KEY not in str(entry)
    assert {name for name, _ in entry["headers"]} == {
        "x-ms-client-request-id",
        "content-length",
        "host",
        "api-key",
        "content-type",
        "accept-encoding",
        "user-agent",
    }


def test_what_is_no_http(stage: Stage) -> None:
    """Noise is refused and the connection closed; the next caller is served."""
    for noise in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 3,
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
    ):
        with calling(stage.url) as caller:
            caller.send(noise)
            assert caller.until(b"\r\n").split()[1] == b"400"
    assert ask(stage.url, request()).status == 200


def test_a_declared_length_that_is_too_large(stage: Stage) -> None:
    """A caller that waits for permission is refused before it sends its body."""
    declared = ("content-type: application/json", f"content-length: {33 << 20}", "expect: 100-continue")
    answer = ask(stage.url, head(*declared))
    assert (answer.status, answer.error["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(stage: Stage, azure: Handle, *, chunked: bool) -> None:
    """413 reaches even a caller that sends all before it reads."""
    piece, count = b"x" * (1 << 20), 40
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(piece) * count}"
    with calling(stage.url) as caller:
        caller.send(head("content-type: application/json", framing))
        for _ in range(count):
            caller.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            caller.send(b"0\r\n\r\n")
        answer = caller.answer()
    assert (answer.status, answer.error["code"]) == (413, "payload_too_large")
    assert azure.log() == []
    assert ask(stage.url, request()).status == 200


def test_the_largest_body_that_is_taken(stage: Stage) -> None:
    """32 MB to the byte pass the gateway; the answer is the upstream's."""
    content = body(user="")
    content = content.replace(b'"user": ""', b'"user": "' + b"x" * ((32 << 20) - len(content)) + b'"')
    assert len(content) == 32 << 20
    answer = ask(stage.url, request(content=content))
    assert "x-smalt-upstream" in answer.headers


def test_an_endless_head_is_refused(stages: dict[Adapter, Stage]) -> None:
    """A caller cannot fill the memory with headers."""
    with calling(stages["hot"].url) as caller:
        caller.send(head()[:-2])
        for number in range(12):
            caller.send(f"x-{number}: {'y' * 8_000}\r\n".encode())
            time.sleep(0.002)  # each in a packet of its own
        answer = caller.answer()
        assert (answer.status, answer.error["code"]) == (431, "invalid_request_error")


def test_a_caller_that_leaves_during_its_body(stage: Stage, azure: Handle) -> None:
    """Half a request is nobody's request."""
    with calling(stage.url) as caller:
        caller.send(request()[:-10])
    time.sleep(0.05)
    assert ask(stage.url, request()).status == 200
    assert len(azure.log()) == 1
