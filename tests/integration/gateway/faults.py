"""What can befall a call with one healthy upstream left, and what its caller must see.

Written from what Azure's errors are about and cost (`scope` and `billed` of `errors.json`), and from what
HTTP lets a caller know; nothing here asks the code that is tested.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import resources
from typing import Any, Literal

from tests.contract.doors import Surface

Operation = Literal["chat", "responses", "embeddings"]

SAID = "Say hello to a lost region."
PREVIEW = "2025-04-01-preview"  # the first dated one with responses is older


@dataclass(frozen=True, slots=True)
class Cell:
    """A way to call. `stored`: the service keeps the answer, so what may have arrived is not sent again."""

    operation: Operation
    streamed: bool = False
    stored: bool = False

    def __str__(self) -> str:
        words = [self.operation, "streamed" if self.streamed else "", "stored" if self.stored else ""]
        return " ".join(word for word in words if word)

    @property
    def model(self) -> str:
        return "text-embedding-3-small" if self.operation == "embeddings" else "gpt-4o"

    @property
    def content(self) -> bytes:
        body: dict[str, Any] = {"model": self.model}
        if self.operation == "chat":
            body["messages"] = [{"role": "user", "content": SAID}]
        else:
            body["input"] = SAID
        if self.operation == "responses":
            body["store"] = self.stored
        if self.streamed:
            body["stream"] = True
        return json.dumps(body).encode()

    def target(self, surface: Surface) -> str:
        path = "chat/completions" if self.operation == "chat" else self.operation
        if surface == "classic" and self.operation == "responses":
            return f"/openai/responses?api-version={PREVIEW}"
        if surface == "classic":
            return f"/openai/deployments/{self.model}/{path}?api-version=2024-10-21"
        return f"/openai/v1/{path}" if surface == "v1" else f"/v1/{path}"


CELLS = (
    Cell("chat"),
    Cell("chat", streamed=True),
    Cell("responses"),
    Cell("responses", streamed=True),
    Cell("responses", stored=True),
    Cell("responses", streamed=True, stored=True),
    Cell("embeddings"),
)


class See(Enum):
    """What the caller sees. `ELSEWHERE`: the healthy upstream's answer, as if nothing had been."""

    ANSWER = "the first one's answer"
    ELSEWHERE = "the other one's answer"
    REFUSAL = "the first one's refusal, byte for byte"
    BREAK = "the beginning of the answer, and an error as its last event"
    TIMEOUT = "504, for nobody knows what became of it"
    LOST = "503: it may have been done, so it is not done again"


@dataclass(frozen=True, slots=True)
class Fault:
    """`switches` of a resource, or a `fault` set up there. `whole`, `streamed`: what callers see, None where
    it has no meaning. `unanswered`: surely nothing was done, so even what is stored goes elsewhere.
    `operations`: those it has a meaning for. `fates`: the failed attempt's, one of them."""

    name: str
    whole: See | None
    streamed: See | None
    switches: Mapping[str, Any] = field(default_factory=dict)
    fault: Mapping[str, Any] = field(default_factory=dict)
    unanswered: bool = False
    operations: Sequence[Operation] = ("chat", "responses", "embeddings")
    fates: frozenset[str] = frozenset({"unknown", "billed"})

    def __str__(self) -> str:
        return self.name

    @property
    def lasts(self) -> bool:
        """Nothing happens until somebody loses patience."""
        return "hang" in self.name

    def seen_in(self, cell: Cell) -> See | None:
        if cell.operation not in self.operations:
            return None
        see = self.streamed if cell.streamed else self.whole
        if see is See.ELSEWHERE and cell.stored and not self.unanswered:
            return See.LOST
        return see


ENTRIES: Sequence[Mapping[str, Any]] = json.loads(
    resources.files("smalt.emulator").joinpath("errors.json").read_bytes()
)
LEFT_OUT = {
    "ws_connection_limit": "a message of a WebSocket, which the gateway does not speak",
    "ws_previous_response_not_found": "the same",
}
_ELSEWHERE = {"credential", "resource", "deployment", "region"}  # scopes: another resource would not fail
# By name, where scope and status do not tell.
_SEEN: Mapping[str, See] = {
    "request_timeout": See.TIMEOUT,  # repeated only with `retry.after_timeout`
    "conflict": See.ELSEWHERE,  # of one request, but the same request may succeed
    "flex_capacity": See.ELSEWHERE,  # another region may have some
    "stream_error_after_content": See.BREAK,
    "stream_cut": See.BREAK,
    "responses_stream_filtered": See.BREAK,  # the refusal is the last event
}
_ONLY_CHAT: Sequence[Operation] = ("chat",)
_ONLY_RESPONSES: Sequence[Operation] = ("responses",)


def of_catalogue() -> Iterator[Fault]:
    for entry in ENTRIES:
        if entry["name"] not in LEFT_OUT:
            yield _of_entry(entry)


def _of_entry(entry: Mapping[str, Any]) -> Fault:
    name, status = entry["name"], entry["status"]
    streams = entry.get("stream") is not None
    see = _SEEN.get(name) or (See.ELSEWHERE if entry["scope"] in _ELSEWHERE else See.REFUSAL)
    if status == 200 and see is See.REFUSAL:
        see = See.ANSWER  # a filtered stream is an answer, too
    operations: Sequence[Operation] = ("chat", "responses", "embeddings")
    if status == 200:
        operations = _ONLY_RESPONSES if entry["surface"] == "v1" else _ONLY_CHAT
    return Fault(
        name,
        whole=None if streams else see,
        streamed=None if status == 200 and not streams else see,
        switches={"mode": "error", "error": name},
        unanswered=True,
        operations=operations,
        fates=frozenset({"free"} if entry["billed"] == "none" else {"billed"}),
    )


def _net(kind: str, whole: See | None, streamed: See | None, name: str = "", **more: Any) -> Fault:
    how = {key: more.pop(key) for key in ("unanswered", "operations", "fates") if key in more}
    told = " ".join([kind, *(f"{key}={value}" for key, value in more.items())])
    return Fault(name or told, whole, streamed, fault={"kind": kind, **more}, **how)


_A, _E, _B, _T = See.ANSWER, See.ELSEWHERE, See.BREAK, See.TIMEOUT
_NO_ANSWER = frozenset({"unknown"})
_FREE = frozenset({"free"})

NETWORK = (
    Fault("down", _E, _E, switches={"mode": "down"}, unanswered=True, fates=frozenset({"not_sent"})),
    Fault("hang for ever", _T, _T, switches={"mode": "hang"}, fates=_NO_ANSWER),
    *(
        fault
        for kind in ("reset", "close")
        for fault in (
            _net(kind, _E, _E, at="before_head", fates=_NO_ANSWER),
            _net(kind, _E, _E, at="in_head"),
            _net(kind, _E, _E, at="after_head"),
            _net(kind, _E, _E, at="in_body", chunks=1),
            _net(kind, _E, _B, at="in_body", chunks=6),
        )
    ),
    _net("hang", _T, _T, at="in_head", fates=_NO_ANSWER),
    _net("hang", _T, _T, at="after_head", fates=_NO_ANSWER),
    _net("hang", _T, _B, at="in_body", chunks=6),
    _net("clean_cut", None, _E, after=0),
    _net("clean_cut", None, _B, after=3),
    _net("stream_error", None, _E, after=0, unanswered=True, fates=_FREE),
    _net("stream_error", None, _B, after=3),
    _net("stream_error", None, _B, after=3, shape="flat"),
    _net("truncated_json", _E, None),
    _net("content_type", _A, _E),  # events under another name are not read as events
    _net("gzip", _A, _A),  # although identity was asked for
    _net("gzip_bomb", _E, _E),
    _net("huge_head", _E, _E),
    _net("redirect", _E, _E, to="sweden", unanswered=True, fates=_FREE),
    _net("async_filter", None, _A, operations=_ONLY_CHAT),
    _net("filter_down", _A, _A, operations=_ONLY_CHAT),
    _net("filtered", _A, _A, after=3, operations=("chat", "responses")),
    _net("comments", None, _A),
    _net("crlf", None, _A),
    _net("no_done", None, _A, operations=_ONLY_CHAT),
    _net("delay", _A, _A, before_head_ms=20, between_chunks_ms=1),
    _net("split", _A, _A, every_bytes=7),
    _net("http_1_0", _A, _A),
    _net("slow_read", _A, _A, bytes_per_s=5_000),
)
APART = {
    "error": "the catalogue is all of it",
    "close_idle": "strikes only a connection that served before",
}

FAULTS = (*of_catalogue(), *NETWORK)


CASES = [(fault, cell) for fault in FAULTS for cell in CELLS if fault.seen_in(cell) is not None]


@dataclass(frozen=True, slots=True)
class Final:
    """The error when every upstream failed alike. `waits`: it says when to try again."""

    status: int
    code: str
    retryable: bool
    waits: bool = False


_FULL = Final(429, "rate_limit_exceeded", retryable=True, waits=True)
_REFUSED_US = Final(502, "upstream_auth_failed", retryable=False)
_AWAY = Final(503, "service_unavailable", retryable=True, waits=True)
_BY_SCOPE = {"credential": _REFUSED_US, "resource": _REFUSED_US, "region": _AWAY}
_BY_STATUS = {404: Final(404, "DeploymentNotFound", retryable=False), 429: _FULL}


def of_all(entry: Mapping[str, Any]) -> Final | None:
    """None: another attempt would not be made."""
    if entry["name"] == "flex_capacity":
        return _AWAY
    see = _SEEN.get(entry["name"])
    if entry["status"] in {None, 200} or see not in {None, See.ELSEWHERE}:
        return None
    if entry["scope"] not in _ELSEWHERE and see is None:
        return None
    return _BY_SCOPE.get(entry["scope"]) or _BY_STATUS.get(entry["status"], _AWAY)


FINALS = [(entry["name"], final) for entry in ENTRIES if (final := of_all(entry)) is not None]
