from collections.abc import Mapping
from typing import Any

import pytest

from smalt.emulator.answers import Event
from smalt.emulator.refusals import Refusal
from smalt.emulator.responses import desk
from smalt.emulator.responses.store import Job, Record, Store


def store(**response: Any) -> Store:
    kept = Store()
    items = [{"id": f"msg_{n}", "type": "message"} for n in range(3)]
    kept.add(Record({"id": "r", "status": "completed", "output": [], **response}, items), [])
    return kept


def items(query: Mapping[str, str]) -> tuple[list[str], bool]:
    body = desk.answer("input_items", "r", query, store()).body
    assert body
    return [item["id"] for item in body["data"]], body["has_more"]


def test_items_come_in_order_and_pages() -> None:
    """The newest first unless asked otherwise."""
    assert items({}) == (["msg_2", "msg_1", "msg_0"], False)
    assert items({"order": "asc", "limit": "2"}) == (["msg_0", "msg_1"], True)
    assert items({"order": "asc", "limit": "2", "after": "msg_1"}) == (["msg_2"], False)


@pytest.mark.parametrize(
    "query", [{"order": "up"}, {"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"after": "msg_9"}]
)
def test_a_faulty_page_is_refused(query: dict[str, str]) -> None:
    """By the parameter's name."""
    with pytest.raises(Refusal) as caught:
        items(query)
    assert caught.value.canned.body["error"]["param"] == next(iter(query))


@pytest.mark.parametrize("action", ["retrieve", "input_items", "cancel", "delete"])
def test_what_is_not_there_is_not_found(action: str) -> None:
    """Whatever is asked of it."""
    with pytest.raises(Refusal) as caught:
        desk.answer(action, "other", {}, store())
    assert caught.value.canned.status == 404
    assert "'other'" in caught.value.canned.body["error"]["message"]


def test_a_stream_goes_on_where_it_is_told() -> None:
    """After a number that must be one."""
    kept = store()
    record = kept.get("r")
    assert record
    record.job = Job(streams=True)
    record.job.frames = [b"0", b"1", b"2"]
    record.job.end()
    events = desk.answer("retrieve", "r", {"stream": "true", "starting_after": "1"}, kept).events
    assert [event.data for event in events if isinstance(event, Event)] == [b"2"]
    with pytest.raises(Refusal, match="starting_after"):
        desk.answer("retrieve", "r", {"stream": "true", "starting_after": "-1"}, kept)


def test_what_has_ended_is_not_cancelled() -> None:
    """It stays what it is."""
    kept = store()
    record = kept.get("r")
    assert record
    record.job = Job(streams=True)
    answer = desk.answer("cancel", "r", {}, kept)
    assert answer.body
    assert answer.body["status"] == "completed"
