"""What the records of calls say of their caller and of each attempt, through gateway and library."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import openai
import pytest
from tests.contract import world
from tests.contract.doors import sdk_client
from tests.contract.gateways import ADAPTERS, Adapter, Stage, eventually
from tests.contract.scenarios import EAST_FIRST, HELLO

import smalt
from smalt.config import Settings
from smalt.dispatch.dispatcher import Dispatcher
from smalt.emulator.testing import Handle
from smalt.types import CallRecord, Fate, TraceParent

pytestmark = pytest.mark.sdk

TRACE = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
TRACEPARENT = {"traceparent": f"00-{TRACE.trace_id}-{TRACE.parent_id}-01"}


@contextmanager
def told(
    stages: dict[Adapter, Stage], door: str, settings: Settings
) -> Iterator[tuple[Any, list[CallRecord]]]:
    """A client whose calls say tags, session and trace, and where their records go."""
    records: list[CallRecord] = []
    if door == "library":
        with (
            smalt.Fleet(settings) as fleet,
            fleet.openai(timeout=5) as client,
            smalt.tag("search", "web"),
            smalt.session("chat-7"),
        ):
            listen(fleet._assembly.dispatcher, records)
            yield client.with_options(default_headers=TRACEPARENT), records
        return
    stage = stages["hot" if door == "hot" else "asgi"]
    stage.play(settings)
    listen(stage.assembly.dispatcher, records)
    headers = {"x-smalt-tags": "search, web", "x-smalt-session": "chat-7", **TRACEPARENT}
    with sdk_client(stage.url, "openai") as client:
        yield client.with_options(default_headers=headers), records


def listen(dispatcher: Dispatcher, records: list[CallRecord]) -> None:
    dispatcher._sinks += (records.append,)


@pytest.mark.parametrize("door", [*ADAPTERS, "library"])
@pytest.mark.parametrize("fault", ["server_error", "stream_overloaded_first_event"])
def test_who_called_and_what_azure_called_each_attempt(
    stages: dict[Adapter, Stage], azure: Handle, door: str, fault: str
) -> None:
    """Of the failed attempt as well: support asks for its id. Times are relative to the call."""
    azure.set("east", "error", error=fault)
    before = datetime.now(UTC)
    with told(stages, door, world.settings(azure, **EAST_FIRST)) as (client, records):
        for _ in client.chat.completions.create(model="gpt-4o", stream=True, **HELLO):
            pass
        eventually(lambda: bool(records))
    (record,) = records
    assert record.principal == (None if door == "library" else "tests")
    assert (record.tags, record.session, record.trace) == (("search", "web"), "chat-7", TRACE)
    assert record.started_at is not None
    assert before <= record.started_at <= before + timedelta(seconds=5)
    failed, answered = record.attempts
    assert (failed.upstream, answered.upstream) == ("east/gpt-4o-prod", "sweden/gpt-4o-prod")
    assert answered.fate is Fate.BILLED
    assert 0 <= failed.started_s <= failed.started_s + failed.duration_s <= answered.started_s
    assert answered.started_s + answered.duration_s <= record.duration_s
    assert failed.upstream_ids["apim-request-id"] != answered.upstream_ids["apim-request-id"]
    assert record.upstream_ids == answered.upstream_ids


@pytest.mark.parametrize("door", [*ADAPTERS, "library"])
def test_an_attempt_without_an_answer_has_no_ids(
    stages: dict[Adapter, Stage], azure: Handle, door: str
) -> None:
    """Those of the attempt before are not its own."""
    azure.set("east", "error", error="server_error")
    azure.set("sweden", "down")
    with told(stages, door, world.settings(azure, **EAST_FIRST, retry={"max_attempts": 2})) as (
        client,
        records,
    ):
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="gpt-4o", **HELLO)
        eventually(lambda: bool(records))
    (record,) = records
    assert [set(attempt.upstream_ids) for attempt in record.attempts] == [
        {"apim-request-id", "x-request-id"},
        set(),
    ]
    assert record.upstream_ids == {}
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301  our own
    assert msgspec.json.decode(msgspec.json.encode(record), type=CallRecord).request_id == record.request_id


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_budget_for_a_tag_holds_at_the_gateway(
    stages: dict[Adapter, Stage], azure: Handle, adapter: Adapter
) -> None:
    """Calls with the tag are refused once it is spent; calls without it are not."""
    written = {**world.written(azure), "budgets": [{"tokens": 200, "tag": "web"}]}
    with told(stages, adapter, Settings.model_validate(written)) as (client, _):
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="gpt-4o", max_tokens=500, **HELLO)
        assert caught.value.code == "budget_exceeded"
        untagged = client.with_options(default_headers={"x-smalt-tags": "search"})
        assert untagged.chat.completions.create(model="gpt-4o", max_tokens=500, **HELLO).choices
    assert len(azure.log()) == 1


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_tags_that_cannot_be_taken_are_refused(
    stages: dict[Adapter, Stage], azure: Handle, adapter: Adapter
) -> None:
    """Before anything is sent, with what to do."""
    with told(stages, adapter, world.settings(azure)) as (client, records):
        broken = client.with_options(default_headers={"x-smalt-tags": "x" * 200})
        with pytest.raises(openai.BadRequestError, match="a tag in x-smalt-tags cannot be taken") as caught:
            broken.chat.completions.create(model="gpt-4o", **HELLO)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["resolution"] == ["Send printable text of up to 128 characters, in UTF-8."]
    assert (azure.log(), records) == ([], [])
