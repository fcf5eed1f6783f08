"""What clients do that no specification asked for, and what must come of it: an answer as if they had not."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import KEY, Adapter, Stage
from tests.integration.gateway.raw import CHAT, HELLO, Answer, ask, body, calling, head, request

from smalt.emulator.testing import Handle

CLASSIC = "/openai/deployments/gpt-4o/chat/completions"
EMBEDDINGS = "/openai/deployments/text-embedding-3-small/embeddings"
JSON = "content-type: application/json"
STAINLESS = [
    f"x-stainless-{name}: {value}"
    for name, value in [("lang", "js"), ("arch", "x64"), ("retry-count", "0"), ("made-up-tomorrow", "7 ü")]
]


@dataclass(frozen=True, slots=True)
class Oddity:
    """A request that must be answered. `upstream`: members that its body must have there."""

    name: str
    content: bytes = field(default_factory=body)
    target: str = CHAT
    lines: tuple[str, ...] = ()
    upstream: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)

    def sent(self) -> bytes:
        return request(*self.lines, content=self.content, target=self.target, **self.start)


def told(**members: object) -> bytes:
    return json.dumps(members).encode()


def embeddings(given: object, target: str = "/v1/embeddings", **members: object) -> dict[str, Any]:
    content = told(model="text-embedding-3-small", input=given, dimensions=8, **members)
    return {"content": content, "target": target, "upstream": {"input": given}}


def completions(prompt: object) -> dict[str, Any]:
    return {
        "content": told(model="gpt-35-turbo-instruct", prompt=prompt, max_tokens=3),
        "target": "/v1/completions",
        "upstream": {"prompt": prompt},
    }


ODDITIES = (
    Oddity("both credentials at once", lines=(f"api-key: {KEY}",)),
    Oddity("a placeholder in the other credential", lines=("api-key: sk-none",)),
    Oddity(
        "the key in the other header, a token in this", lines=(f"api-key: {KEY}",), start={"key": "eyJ.e"}
    ),
    Oddity("bearer in lower case", lines=(f"authorization: bearer   {KEY}",), start={"key": None}),
    Oddity("null for a model", told(model=None, messages=HELLO), CLASSIC, upstream={"messages": HELLO}),
    Oddity("no model", told(messages=HELLO), CLASSIC),
    Oddity("a foreign model", body(model="gpt-3.5-turbo"), CLASSIC),
    Oddity("a foreign model for embeddings", **embeddings(["a"], EMBEDDINGS)),
    Oddity("a token-id array", **embeddings([1, 2, 3])),
    Oddity("several token-id arrays", **embeddings([[1, 2], [3]])),
    Oddity("base64", **embeddings("a", encoding_format="base64")),
    Oddity("token ids for completions", **completions([1, 2, 3])),
    Oddity("several prompts of token ids", **completions([[1, 2], [3]])),
    *(
        Oddity(f"the version {query or 'missing'}", target=CLASSIC + query)
        for query in (
            "",
            "?api-version=preview",
            "?api-version=latest",
            "?api-version=2099-01-01",
            "?api-version=",
            "?api-version=2024-06-01&api-version=x",
            "?",
        )
    ),
    Oddity("a version where none belongs", target=f"{CHAT}?api-version=preview"),
    Oddity("unknown x-stainless headers", lines=tuple(STAINLESS)),
    Oddity("an organisation and a beta", lines=("openai-organization: org", "openai-beta: assistants=v2")),
    Oddity("a slash at the end", target=f"{CHAT}/"),
    Oddity("doubled slashes", target="//v1//chat/completions"),
    Oddity("doubled slashes around a deployment", target="/openai//deployments//gpt-4o//chat/completions/"),
    Oddity("an encoded name", target="/openai/deployments/gpt%2D4o/chat/completions"),
    Oddity("a name with slash and umlaut", target="/openai/deployments/a%20b%2F%C3%BC/chat/completions"),
    Oddity("the same without encoding its slash", target="/openai/deployments/a%20b/%C3%BC/chat/completions"),
    Oddity("a fragment and a question mark", target=f"{CHAT}?a=b?c"),
    Oddity("space and line breaks around JSON", b"\r\n\t " + body() + b"\n\n"),
    Oddity("escaped names of members", body().replace(b'"model"', b'"mod\\u0065l"')),
    Oddity(
        "unknown members",
        body(made_up={"a": [1, {"b": None}]}),
        upstream={"made_up": {"a": [1, {"b": None}]}},
    ),
    Oddity("HTTP/1.0", start={"version": "1.0"}),
    Oddity("HTTP/1.0 that stays", lines=("connection: keep-alive",), start={"version": "1.0"}),
    Oddity("connection: close", lines=("connection: close",)),
    Oddity("a proxy's header", lines=("proxy-connection: keep-alive", "via: 1.1 squid")),
    Oddity("te: trailers", lines=("te: trailers",)),
)


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name)
def test_an_odd_request_is_answered(stage: Stage, azure: Handle, oddity: Oddity) -> None:
    """By one attempt, and what it says arrives."""
    answer = ask(stage.url, oddity.sent())
    if b'"made_up"' in oddity.content:  # Azure's own word on it, as it was sent
        assert answer.error["message"] == "Unrecognized request argument supplied: made_up"
    else:
        assert answer.status == 200, answer.body
    (entry,) = azure.log()
    assert oddity.upstream.items() <= entry["body"].items()
    assert KEY not in str(entry)


@pytest.mark.parametrize("content_type", [(), ("content-type: text/plain",), ("content-type: ;;",)])
def test_any_content_type(stage: Stage, azure: Handle, content_type: tuple[str, ...]) -> None:
    """Or none: the path says what the body is; upstream it is JSON."""
    assert ask(stage.url, head(*content_type, f"content-length: {len(body())}") + body()).status == 200
    assert dict(azure.log()[0]["headers"])["content-type"] == "application/json"


def chunked(content: bytes, size: int, extension: bytes = b"") -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n"


@pytest.mark.parametrize(
    "coded",
    [
        chunked(body(seed=7), 1) + b"\r\n",
        chunked(body(seed=7), 10, b";name=value") + b"\r\n",
        chunked(body(seed=7), 10_000) + b"x-checksum: 1\r\nauthorization: Bearer gw_other\r\n\r\n",
    ],
    ids=["by the byte", "with extensions", "with trailers"],
)
def test_chunks_of_any_kind(stage: Stage, azure: Handle, coded: bytes) -> None:
    """What they carry arrives as one body, twice on one connection; trailers are no headers."""
    sent = head(JSON, "transfer-encoding: chunked") + coded
    with calling(stage.url) as caller:
        caller.send(sent, sent)
        assert [caller.answer().status for _ in range(2)] == [200, 200]
    assert [entry["body"]["seed"] for entry in azure.log()] == [7, 7]


Squeeze = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("encoding", "squeeze"),
    [("gzip", gzip.compress), ("GZIP", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)],
)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_compressed_body(
    stage: Stage, azure: Handle, encoding: str, squeeze: Squeeze, framing: str
) -> None:
    """Azure gets it plain; so do the decisions, which need its model."""
    content, lines = squeeze(body(seed=7)), (JSON, f"content-encoding: {encoding}")
    if framing == "length":
        sent = request(*lines[1:], content=content)
    else:
        sent = head(*lines, "transfer-encoding: chunked") + chunked(content, 20) + b"\r\n"
    assert ask(stage.url, sent).status == 200
    (entry,) = azure.log()
    assert entry["body"]["seed"] == 7
    assert "content-encoding" not in dict(entry["headers"])


def test_a_body_that_only_says_it_is_compressed(stage: Stage) -> None:
    """Some proxies inflate and leave the header."""
    assert ask(stage.url, request("content-encoding: gzip")).status == 200
    assert ask(stage.url, request("content-encoding: identity", content=b" " + body())).status == 200


OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQBAAAA")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("pieces", [1, 2, 50])
def test_an_offer_of_http_2(stages: dict[Adapter, Stage], azure: Handle, version: str, pieces: int) -> None:
    """Java's client makes it with the first request of a connection, whose body must not be lost."""
    stage = stages["hot"]  # under plain ASGI this is the server's business
    stage.play(world.settings(azure))
    sent = request(*OFFER, content=body(max_tokens=3), version=version)
    step = -(-len(sent) // pieces)
    with calling(stage.url) as caller:
        for start in range(0, len(sent), step):
            caller.send(sent[start : start + step])
        assert completion_tokens(caller.answer()) == 3
        if version == "1.1":
            caller.send(request())
            assert caller.answer().status == 200


@pytest.mark.parametrize(
    "offer", [OFFER, ("Connection: Upgrade", "Upgrade: websocket"), ("Upgrade: TLS/1.0",)]
)
def test_an_offer_with_a_body_in_chunks(
    stages: dict[Adapter, Stage], azure: Handle, offer: tuple[str, ...]
) -> None:
    """Of any protocol, streamed and with the permission to send it asked for."""
    stage = stages["hot"]
    stage.play(world.settings(azure))
    with calling(stage.url) as caller:
        caller.send(head(JSON, "transfer-encoding: chunked", "expect: 100-continue", *offer))
        assert caller.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.send(chunked(body(stream=True, max_tokens=2), 30) + b"\r\n")
        assert caller.answer().body.endswith(b"data: [DONE]\n\n")
    offered = head(*offer, target="/v1/models", method="GET")
    assert json.loads(ask(stage.url, offered).body)["object"] == "list"


def completion_tokens(answer: Answer) -> int:
    tokens: int = json.loads(answer.body)["usage"]["completion_tokens"]
    return tokens


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "something-else"])
def test_what_a_caller_expects(stage: Stage, expect: str) -> None:
    """A caller that waits for permission gets it; any other expectation is passed over."""
    with calling(stage.url) as caller:
        caller.send(head(JSON, f"content-length: {len(body())}", f"expect: {expect}"))
        if expect.lower() == "100-continue":
            assert caller.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.send(body())
        assert caller.answer().status == 200


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/v1/models", 200),
        ("HEAD", "/health/live", 200),
        ("HEAD", CHAT, 400),
        ("OPTIONS", CHAT, 400),
        ("OPTIONS", "*", 404),
        ("GET", "/", 404),
    ],
)
def test_methods_of_probes(stage: Stage, method: str, target: str, status: int) -> None:
    """Answered, without a body where none may come, and the connection goes on."""
    with calling(stage.url) as caller:
        caller.send(head(method=method, target=target), request())
        assert caller.answer(method).status == status
        assert caller.answer().status == 200


def test_many_requests_at_once_on_one_connection(stage: Stage) -> None:
    """Answered in their order, streams among them."""
    sent = [request(content=body(max_tokens=number, stream=number % 2 == 0)) for number in range(1, 9)]
    with calling(stage.url) as caller:
        caller.send(b"".join(sent))
        answers = [caller.answer() for _ in sent]
    assert [completion_tokens(answer) for answer in answers[::2]] == [1, 3, 5, 7]
    assert all(answer.body.endswith(b"data: [DONE]\n\n") for answer in answers[1::2])
