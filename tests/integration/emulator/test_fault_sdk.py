"""What the official client makes of each fault, on streams and on whole answers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from smalt.emulator.faults.registry import KINDS
from smalt.emulator.fleet import load_fleet
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello there"}]
SDK = f"openai{openai.__version__.partition('.')[0]}"


def either(openai2: str, openai3: str) -> str:
    return {"openai2": openai2, "openai3": openai3}[SDK]


@pytest.fixture
def client(emulator: Handle) -> Iterator[openai.OpenAI]:
    base_url = f"{emulator.url('east')}/openai/v1/"
    key = emulator.key("east")
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=5) as made:
        yield made


@dataclass
class Heard:
    """What a caller was given. `late`: choices that came without delta."""

    text: str = ""
    reasons: list[str] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)
    usage: int | None = None


def whole(client: openai.OpenAI) -> Heard:
    answer = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    (choice,) = answer.choices
    assert answer.usage
    return Heard(choice.message.content or "", [choice.finish_reason], usage=answer.usage.completion_tokens)


def streamed(client: openai.OpenAI, heard: Heard | None = None) -> Heard:
    """`heard`: filled in as it comes, to be looked at after an error."""
    heard = heard or Heard()
    for chunk in client.chat.completions.create(
        model="gpt-4o-prod", messages=HELLO, stream=True, stream_options={"include_usage": True}
    ):
        heard.usage = chunk.usage.completion_tokens if chunk.usage else heard.usage
        for choice in chunk.choices:
            delta: Any = choice.delta  # the client's own types do not know that it may be missing
            heard.text += (delta.content or "") if delta else ""
            heard.reasons += [choice.finish_reason] if choice.finish_reason else []
            heard.late += [] if delta else [choice]
    return heard


HARMLESS: list[tuple[str, dict[str, object]]] = [
    ("comments", {}),
    ("content_type", {}),
    ("crlf", {}),
    ("delay", {"before_head_ms": 5, "between_chunks_ms": 1}),
    ("filter_down", {}),
    ("gzip", {}),
    ("http_1_0", {}),
    ("no_done", {}),
    ("slow_read", {"bytes_per_s": 5_000}),
    ("split", {"every_bytes": 1}),
    ("split", {"every_bytes": 100}),
]


@pytest.mark.parametrize(("kind", "fields"), HARMLESS)
def test_what_does_no_harm(
    emulator: Handle, client: openai.OpenAI, kind: str, fields: dict[str, Any]
) -> None:
    """The client gives the same words, finish reason and usage as without the fault."""
    plain, plain_stream = whole(client), streamed(client)
    number = emulator.fault(kind, **fields)
    assert (whole(client), streamed(client)) == (plain, plain_stream)
    (fault,) = emulator.faults()
    only_streams = kind in {"comments", "crlf", "no_done"}
    assert (fault["id"], fault["hits"]) == (number, 1 if only_streams else 2)


def test_a_clean_cut_is_not_noticed(emulator: Handle, client: openai.OpenAI) -> None:
    """The client ends as if all was well: only the missing finish reason and usage tell."""
    plain = streamed(client)
    emulator.fault("clean_cut", after=3)
    heard = streamed(client)
    assert heard.text != plain.text
    assert plain.text.startswith(heard.text)
    assert (heard.reasons, heard.usage) == ([], None)
    assert emulator.bill()["entries"][-1]["output_tokens"] == 3
    emulator.fault("clean_cut", after=0)
    assert streamed(client) == Heard()


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_in_the_stream_is_raised_without_status(
    emulator: Handle, client: openai.OpenAI, after: int
) -> None:
    """As first event or after content: an `APIError` with the message, after what was said."""
    emulator.fault("stream_error", after=after, message="That model is currently overloaded.")
    heard = Heard()
    with pytest.raises(openai.APIError, match="currently overloaded") as caught:
        streamed(client, heard)
    assert type(caught.value) is openai.APIError
    assert bool(heard.text) is bool(after)
    assert [line["output_tokens"] for line in emulator.bill()["entries"]] == [after] * bool(after)


@pytest.mark.parametrize("ask", [whole, streamed])
def test_blocked_output_is_a_finish_reason(emulator: Handle, client: openai.OpenAI, ask: Any) -> None:
    """The beginning, then `content_filter`; usage and bill agree."""
    plain = ask(client)
    emulator.fault("filtered", after=3)
    heard = ask(client)
    assert plain.text.startswith(heard.text)
    assert (heard.reasons, heard.usage) == (["content_filter"], 3)
    line = emulator.bill()["entries"][-1]
    assert (line["output_tokens"], line["complete"]) == (3, True)


def test_late_verdicts_come_without_delta(emulator: Handle, client: openai.OpenAI) -> None:
    """Under the asynchronous filter a caller that trusts `choice.delta` breaks."""
    emulator.fault("async_filter")
    heard = streamed(client)
    assert (heard.reasons, heard.text) == (["stop"], whole(client).text)
    assert heard.late
    assert all(choice.delta is None for choice in heard.late)
    emulator.fault("filtered", after=5)
    heard = streamed(client)
    assert (heard.late[-1].finish_reason, heard.reasons) == ("content_filter", ["content_filter"])


LOST = "APIConnectionError"
BROKEN: list[tuple[str, str, str, str]] = [
    ("close", "before_head", LOST, LOST),
    ("close", "in_head", LOST, LOST),
    ("close", "after_head", LOST, either("httpx.RemoteProtocolError", LOST)),
    ("close", "in_body", LOST, either("httpx.RemoteProtocolError", LOST)),
    ("reset", "before_head", LOST, LOST),
    ("reset", "in_head", LOST, LOST),
    ("reset", "after_head", LOST, either("httpx.ReadError", LOST)),
    ("reset", "in_body", LOST, either("httpx.ReadError", LOST)),
    ("hang", "before_head", "APITimeoutError", "APITimeoutError"),
    ("hang", "after_head", "APITimeoutError", either("httpx.ReadTimeout", "APITimeoutError")),
    ("hang", "in_body", "APITimeoutError", either("httpx.ReadTimeout", "APITimeoutError")),
]


def raised(ask: Any, client: openai.OpenAI) -> str:
    """Its class; of openai's own without the package."""
    try:
        ask(client)
    except Exception as error:  # noqa: BLE001  # whatever it is, its class is compared
        return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("openai.")
    return "nothing"


@pytest.mark.parametrize(("kind", "at", "of_whole", "of_stream"), BROKEN)
def test_broken_connections(
    emulator: Handle, client: openai.OpenAI, kind: str, at: str, of_whole: str, of_stream: str
) -> None:
    """An error of the client's own, but for streams of openai 2.x that break after their head."""
    emulator.fault(kind, at=at, chunks=4)
    quick = client.with_options(timeout=0.2 if kind == "hang" else 5)
    assert (raised(whole, quick), raised(streamed, quick)) == (of_whole, of_stream)
    assert {entry["outcome"] for entry in emulator.log()} <= {"cut", "cancelled", "waiting", "streaming"}


def test_a_stream_that_breaks_gave_what_it_had(emulator: Handle, client: openai.OpenAI) -> None:
    """Four chunks, of which two with text; they are billed."""
    emulator.fault("close", at="in_body", chunks=4)
    heard = Heard()
    assert raised(lambda made: streamed(made, heard), client) != "nothing"
    assert heard.text
    (line,) = emulator.bill()["entries"]
    assert (line["output_tokens"], line["complete"]) == (2, False)


def test_bad_answers(emulator: Handle, client: openai.OpenAI) -> None:
    """Truncated JSON is no error of the client's own; a head too large is; an HTML page has its status."""
    emulator.fault("truncated_json", times=1)
    with pytest.raises(json.JSONDecodeError):
        whole(client)
    emulator.fault("huge_head", kib=200, times=2)
    for ask in (whole, streamed):
        with pytest.raises(openai.APIConnectionError):
            ask(client)
    emulator.fault("error", error="bad_gateway_html", times=2)
    for ask in (whole, streamed):
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        assert caught.value.status_code == 502
        assert caught.value.response.headers["content-type"] == "text/html"


def test_a_bomb_goes_off_in_the_client(emulator: Handle, client: openai.OpenAI) -> None:
    """It unpacks all of it and finds an object without anything in it."""
    emulator.fault("gzip_bomb", mib=5)
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-prod", messages=HELLO)
    assert int(raw.headers["content-length"]) < 10_000
    assert len(raw.content) == 5 * 1024 * 1024 + 2
    assert raw.parse().choices is None
    assert emulator.bill()["entries"] == []


def test_redirects_are_followed_without_the_key(emulator: Handle, client: openai.OpenAI) -> None:
    """The other host is asked for the same, and refuses what comes without a credential."""
    emulator.fault("redirect", resource="east", to="japan")
    with pytest.raises(openai.AuthenticationError):
        whole(client)
    (entry,) = emulator.log("japan")
    names = {name.lower() for name, _ in entry["headers"]}
    assert entry["path"] == "/openai/v1/chat/completions"
    assert ["host", f"localhost:{emulator.url('japan').rpartition(':')[2]}"] in [
        [name.lower(), value] for name, value in entry["headers"]
    ]
    assert not names & {"authorization", "api-key"}


def test_an_idle_connection_that_closes_is_an_error(emulator: Handle, client: openai.OpenAI) -> None:
    """The second request on it is lost; the client does not repeat it by itself, and a third is fine."""
    emulator.fault("close_idle", times=1)
    assert [raised(whole, client) for _ in range(3)] == ["nothing", "APIConnectionError", "nothing"]
    assert len(emulator.log()) == 2


def events(client: openai.OpenAI) -> list[Any]:
    return list(client.responses.create(model="gpt-4o-prod", input="hello", stream=True))


def test_a_blocked_response_has_three_frames(emulator: Handle, client: openai.OpenAI) -> None:
    """The client raises at the third, which has the reason; the one before it has none."""
    emulator.fault("filtered", after=0, operation="responses")
    heard: list[str] = []
    with pytest.raises(openai.APIError, match="blocked by the content policy") as caught:
        heard.extend(
            event.type for event in client.responses.create(model="gpt-4o-prod", input="hello", stream=True)
        )
    assert heard == ["response.created", "response.failed"]
    assert caught.value.code == "content_policy_violation"
    (line,) = emulator.bill()["entries"]
    assert (line["input_tokens"] > 0, line["output_tokens"]) == (True, 0)


def test_a_response_blocked_part_way_is_incomplete(emulator: Handle, client: openai.OpenAI) -> None:
    """It ends regularly with what was said, streamed or not; usage and bill agree."""
    emulator.fault("filtered", after=4, operation="responses")
    last = events(client)[-1]
    answer: Any = client.responses.create(model="gpt-4o-prod", input="hello")
    assert last.type == "response.incomplete"
    for response in (last.response, answer):
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")
        assert response.usage.output_tokens == 4
    assert last.response.output_text == answer.output_text != ""
    assert [line["output_tokens"] for line in emulator.bill()["entries"]] == [4, 4]


def test_error_events_of_responses_come_in_two_shapes(emulator: Handle, client: openai.OpenAI) -> None:
    """The nested one is raised, the flat one is only given."""
    emulator.fault("stream_error", after=2, operation="responses", times=1)
    with pytest.raises(openai.APIError, match="had an error"):
        events(client)
    emulator.fault("stream_error", after=2, shape="flat", operation="responses", times=1)
    last = events(client)[-1]
    assert (last.type, last.code) == ("error", "server_error")
    assert events(client)[-1].type == "response.completed"


WIDE = """
control_port: 0
answers: [{contains: hello, text: "Blått glas kostar 5 €, 猫 🐈."}]
resources:
  east: {port: 0, region: eastus, keys: [k], deployments: {gpt-4o-prod: {model: gpt-4o, capacity: 100}}}
"""


@pytest.mark.parametrize("size", [1, 3])
def test_characters_may_be_cut_apart(tmp_path: Path, size: int) -> None:
    """Wherever the pieces of a stream end, the client puts the characters together again."""
    path = tmp_path / "fleet.yaml"
    path.write_text(WIDE, encoding="utf-8")
    with (
        running(load_fleet(path)) as handle,
        openai.OpenAI(base_url=f"{handle.url('east')}/openai/v1/", api_key="k", max_retries=0) as client,
    ):
        handle.fault("split", every_bytes=size)
        assert streamed(client).text == whole(client).text == "Blått glas kostar 5 €, 猫 🐈."


def test_every_kind_is_tried_here() -> None:
    """A new kind needs a test that says what the client makes of it."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in source] == []


def test_chance_follows_from_the_seed(emulator: Handle, client: openai.OpenAI) -> None:
    """After a reset the same requests fail again."""
    runs = []
    for _ in range(2):
        emulator.reset()
        emulator.fault("error", error="server_error", probability=0.5)
        runs.append([raised(whole, client) for _ in range(10)])  # more would exceed the quota
    assert runs[0] == runs[1]
    assert set(runs[0]) == {"nothing", "InternalServerError"}
