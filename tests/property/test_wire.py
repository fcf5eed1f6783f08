"""Whatever bytes come in: what must stay true of the wire."""

import itertools
import json
from functools import partial
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smalt.errors import InvalidRequest
from smalt.types import Facts, FailureKind, Operation, Usage
from smalt.wire import paths, rewrite
from smalt.wire.classify import LONGEST_TEXT, classify, classify_event
from smalt.wire.facts import MOST_TOKENS, read_facts
from smalt.wire.hints import read_hints
from smalt.wire.paths import Asked, Surface
from smalt.wire.sse import StreamWatch
from smalt.wire.usage import read_usage

texts = st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=5,
)
NAMES = ["model", "stream", "stream_options", "include_usage", "max_tokens", "max_completion_tokens", "n"]
NAMES += ["usage", "prompt_tokens", "choices", "finish_reason", "error", "code", "message", "innererror"]
NAMES += ["messages", "input", "prompt", "instructions", "prompt_cache_key", "tools", "store", "background"]
NAMES += [
    "best_of",
    "max_output_tokens",
    "input_tokens",
    "output_tokens",
    "status",
    "type",
    "delta",
    "response",
]
known = st.sampled_from(NAMES)
objects = st.dictionaries(known | texts, values | st.dictionaries(known, values, max_size=3), max_size=6)
surfaces = st.builds(
    Asked, st.sampled_from(Surface), st.sampled_from(Operation), st.none() | st.text(min_size=1, max_size=9)
)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
USAGE_CHUNK = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}'


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def chunk(text: str) -> bytes:
    return b"data: " + dumped(
        {"choices": [{"delta": {"content": text}, "finish_reason": None}], "usage": None}
    )


shown_events = st.one_of(
    texts.map(chunk),
    st.sampled_from(['data: [DONE]"', '{"usage":{"prompt_tokens":1}}', "data: \r\n\r\ndata: x"]).map(chunk),
    st.sampled_from(
        [
            b": keep-alive",
            b"data: [DONE]",
            b"data:[DONE]",
            b'data: {"error":{"message":"x"}}',
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}',
            b'data: {"choices":[{"index":0,"finish_reason":null,"content_filter_results":{}}],"usage":null}',
            b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
            b'data: {"choices":[],"prompt_filter_results":[]}',
            b'event: x\nid: 1\ndata: {"a":\ndata: 1}',
        ]
    ),
)


def fed(watch: StreamWatch, stream: bytes, cuts: list[int]) -> bytes:
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    parts = [stream[start:end] for start, end in itertools.pairwise(ends)]
    return b"".join([watch.feed(part) for part in parts]) + watch.rest()


cut_places = st.lists(st.integers(0, 2_000), max_size=40)


def typed(kind: str, **members: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dumped({"type": kind, **members})


response_events = st.one_of(
    texts.map(lambda text: typed("response.output_text.delta", delta=text)),
    texts.map(lambda text: typed("response.function_call_arguments.delta", delta=text)),
    st.sampled_from(
        [
            typed("response.created", response={"status": "in_progress"}),
            typed("response.completed", response={"usage": {"input_tokens": 9, "output_tokens": 3}}),
            typed("response.failed", response={"error": None}),
            typed("response.failed", response={"error": {"code": "rate_limit_exceeded"}}),
            typed("error", error={"type": "invalid_request_error", "message": "nested"}),
            typed("error", code="server_error", message="flat"),
            b'data: {"type":"response.output_text.delta",\ndata: "delta":"in two lines"}',
            b'data: {"choices":[{"index":0,"text":"legacy"}]}',
            b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}',
            b"data: unreadable",
        ]
    ),
)


def seen(watch: StreamWatch, forwarded: bytes) -> tuple[Any, ...]:
    answer = (watch.usage, watch.ended, watch.content_seen, watch.error)
    return forwarded, *answer, watch.text, watch.output_tokens_estimate


@given(
    st.lists(shown_events | response_events | st.just(USAGE_CHUNK), max_size=8),
    line_ends,
    cut_places,
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_splitting_is_seen_alike(
    events: list[bytes], line_end: bytes, cuts: list[int], hide_usage: bool, whole: bool
) -> None:
    """However a stream is cut into pieces, the same is forwarded and the same is known of it."""
    stream = b"".join([event.replace(b"\n", line_end) + 2 * line_end for event in events])
    if not whole:
        stream = stream.removesuffix(2 * line_end)
    at_once, in_pieces = StreamWatch(hide_usage=hide_usage), StreamWatch(hide_usage=hide_usage)
    expected = seen(at_once, at_once.feed(stream) + at_once.rest())
    assert seen(in_pieces, fed(in_pieces, stream, cuts)) == expected
    assert hide_usage or expected[0] == stream


@given(
    st.lists(shown_events, max_size=6),
    st.lists(shown_events, max_size=3),
    line_ends,
    cut_places,
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_only_the_usage_chunk_is_left_out(
    before: list[bytes], after: list[bytes], line_end: bytes, cuts: list[int], whole: bool
) -> None:
    """However a stream is cut into pieces, what is forwarded lacks exactly the usage chunk."""

    def joined(events: list[bytes]) -> bytes:
        return b"".join([event.replace(b"\n", line_end) + 2 * line_end for event in events])

    stream = joined([*before, USAGE_CHUNK, *after])
    expected = joined([*before, *after])
    if not whole and not after:
        stream = stream.removesuffix(2 * line_end)
    watch = StreamWatch(hide_usage=True)
    assert fed(watch, stream, cuts) == expected
    if not any(b'"usage":{' in event for event in after):
        assert watch.usage == Usage(9, 3)


tokens = [
    b"\n",
    b"\r",
    b"\n\n",
    b"\r\n",
    b"data:",
    b" ",
    b"[DONE]",
    b"[",
    b"{",
    b"\xff",
    b"\xef\xbb\xbf",
    USAGE_CHUNK,
]
tokens += [b'{"usage":{"prompt_tokens":1},"choices":[]}', b'"usage":{', b'"error"', b'"finish_reason":"']
pieces = st.lists(st.sampled_from(tokens) | st.binary(max_size=8), max_size=40)


@given(pieces.map(b"".join), cut_places)
@settings(max_examples=100, deadline=None)
def test_any_bytes_pass_a_watch(stream: bytes, cuts: list[int]) -> None:
    """Whatever an upstream streams, every byte is forwarded, and nothing breaks."""
    assert fed(StreamWatch(), stream, cuts) == stream


@given(pieces.map(b"".join), cut_places)
@settings(max_examples=100, deadline=None)
def test_hiding_leaves_out_nothing_without_usage(stream: bytes, cuts: list[int]) -> None:
    """A watch that found no usage has left out nothing."""
    watch = StreamWatch(hide_usage=True)
    forwarded = fed(watch, stream, cuts)
    assert len(forwarded) <= len(stream)
    if watch.usage is None:
        assert forwarded == stream


def spoilt(body: bytes, at: int, by: bytes) -> bytes:
    return body[:at] + by + body[at + 1 :]


spoilt_bodies = st.builds(spoilt, objects.map(dumped), st.integers(0, 60), st.binary(max_size=3))
bodies = st.binary(max_size=40) | objects.map(dumped) | values.map(dumped) | spoilt_bodies


@given(surfaces, bodies)
@settings(max_examples=100, deadline=None)
@example(Asked(Surface.V1, Operation.CHAT), b'{"model":"m","max_tokens":' + b"9" * 400 + b"}")
@example(Asked(Surface.V1, Operation.CHAT), b'{"model":"m","a":' + b"[" * 100_000)
def test_facts_or_a_clear_refusal(asked: Asked, body: bytes) -> None:
    """Any body gives facts or InvalidRequest, and what has facts can be rewritten or is refused."""
    try:
        facts = read_facts(asked, body)
    except InvalidRequest:
        return
    assert isinstance(facts, Facts)
    assert facts.model
    assert facts.max_tokens is None or 0 < facts.max_tokens <= MOST_TOKENS
    assert 0 <= facts.prompt_bytes <= len(body)
    assert facts.needs <= {"tools", "vision"}
    assert facts.affinity is None or 0 <= facts.affinity < 1 << 32
    for change in (partial(rewrite.set_model, model="m"), rewrite.ask_for_usage):
        try:
            read_facts(asked, change(body))
        except InvalidRequest as error:
            assert "cannot be read" in error.message  # noqa: PT017  only for what a reader of facts may skip


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "x"]), st.text(max_size=12)),
    bodies | objects.map(lambda error: dumped({"error": error})),
)
@settings(max_examples=100, deadline=None)
def test_every_answer_is_classified(status: int, headers: dict[str, str], body: bytes) -> None:
    """Any status, header and body gives a failure with words for a single line."""
    failure = classify(status, headers, body)
    assert failure.kind is not FailureKind.CALLER_LEFT
    assert 0 < len(failure.text) <= LONGEST_TEXT
    assert "\n" not in failure.text
    assert failure.wait_s is None or failure.wait_s > 0
    failure.text.encode()


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=100, deadline=None)
@example("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT")
@example("Wed, 99 Oct 2026 99:99:99 GMT", "Wed, 21 Oct 2026 07:27:00 GMT")
def test_any_wait_is_positive_or_unknown(retry_after: str, date: str) -> None:
    """Whatever stands in the headers of time, a wait is a time to come."""
    wait_s = classify(429, {"retry-after": retry_after, "date": date}, b"").wait_s
    assert wait_s is None or wait_s > 0


@given(values | objects)
@settings(max_examples=100, deadline=None)
def test_every_error_in_a_stream_is_classified(error: Any) -> None:
    """Any JSON in the place of an error gives a failure with words for a single line."""
    failure = classify_event(error)
    assert isinstance(failure.kind, FailureKind)
    assert failure.status == 200
    assert 0 < len(failure.text) <= LONGEST_TEXT
    assert "\n" not in failure.text


RATE_LIMIT = b"x-ratelimit-"
header_names = st.sampled_from(
    [
        RATE_LIMIT + b"limit-tokens",
        RATE_LIMIT + b"remaining-tokens",
        RATE_LIMIT + b"limit-requests",
        RATE_LIMIT + b"remaining-requests",
        b"azure-openai-deployment-utilization",
    ]
)
header_values = st.integers().map(lambda count: str(count).encode()) | st.floats().map(
    lambda share: b"%f%%" % share
)


@given(st.lists(st.tuples(header_names | st.binary(), header_values | st.binary()), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_headers_give_hints_or_none(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever headers come, what is told is above zero, and something is told or nothing."""
    hints = read_hints(headers)
    if hints is not None:
        told = [value for value in msgspec.structs.astuple(hints) if value is not None]
        assert told
        assert all(value > 0 for value in told)


@given(bodies)
@settings(max_examples=100, deadline=None)
def test_usage_or_a_clear_refusal(body: bytes) -> None:
    """Any answer gives its usage, none, or ValueError."""
    try:
        usage = read_usage(body)
    except ValueError:
        return
    assert usage is None or isinstance(usage, Usage)


@given(
    st.sampled_from(Operation),
    st.sampled_from(["chat", "x/chat", "responses", "/"])
    | texts.filter(lambda name: name not in {"", ".", ".."}),
    texts,
)
@settings(max_examples=100, deadline=None)
def test_a_deployment_survives_its_path(operation: Operation, deployment: str, api_version: str) -> None:
    """A name that is put into a path is read from it unchanged."""
    path, _, query = paths.classic_path(operation, deployment, api_version).partition("?")
    named = deployment if paths.path_names_deployment(Surface.CLASSIC, operation) else None
    assert paths.parse(path) == Asked(Surface.CLASSIC, operation, named)
    assert "?" not in query
    assert "&" not in query


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_any_path_is_parsed(path: str) -> None:
    """Any path asks for something or for nothing."""
    for prefix in ("", "/v1/", "/openai/v1/", "/openai/deployments/"):
        paths.parse(prefix + path)
        paths.parse(prefix + path + "/chat/completions")


def members(pairs: list[tuple[str, bytes]]) -> bytes:
    return b"{" + b" , ".join(dumped(key) + b" :\t" + value for key, value in pairs) + b"}"


raw_values = st.one_of(
    values.map(dumped),
    values.map(lambda value: json.dumps(value, indent=1).encode()),
    st.sampled_from(
        [b"1.0", b"1e5", b"-0", b"1E+2", b"9" * 60, b'"\\u00fc\\/"', b'"\xff"', b"[ 1 ,2 ]", b"{ }"]
    ),
)
raw_members = st.dictionaries(texts, raw_values, max_size=6).map(lambda pairs: list(pairs.items()))


@given(raw_members, texts)
@settings(max_examples=100, deadline=None)
def test_a_rewrite_keeps_every_other_value(pairs: list[tuple[str, bytes]], model: str) -> None:
    """After a rewrite every value but the one named has the bytes it had, in the same order."""
    others = [(key, value) for key, value in pairs if key != "model"]
    kept = [(key, value) for key, value in _raw(rewrite.set_model(members(pairs), model)) if key != "model"]
    assert kept == others
    assert json.loads(dict(_raw(rewrite.set_model(members(pairs), model)))["model"]) == model


@given(raw_members, st.none() | st.dictionaries(texts, raw_values, max_size=3))
@settings(max_examples=100, deadline=None)
def test_asking_for_usage_keeps_the_rest(
    pairs: list[tuple[str, bytes]], options: dict[str, bytes] | None
) -> None:
    """Asking for usage changes one option and keeps the bytes of all others."""
    others = [(key, value) for key, value in pairs if key != "stream_options"]
    given_options = [] if options is None else [("stream_options", members(list(options.items())))]
    asked = _raw(rewrite.ask_for_usage(members(others + given_options)))
    assert asked[:-1] == others
    wanted = {**(options or {}), "include_usage": b"true"}
    assert asked[-1][0] == "stream_options"
    assert _raw(asked[-1][1]) == list(wanted.items())


def _raw(body: bytes) -> list[tuple[str, bytes]]:
    return [(key, bytes(value)) for key, value in rewrite._decoder.decode(body).items()]
