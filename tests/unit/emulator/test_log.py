import pytest

from smalt.emulator import log
from smalt.emulator.log import Log
from smalt.emulator.server import Request


def request(body: bytes = b"{}") -> Request:
    return Request("POST", "/p", "q=1", (("api-key", "k"),), body)


def test_an_entry_tells_the_request_as_it_came() -> None:
    """Path, query, headers and body are there, the body as data where it is JSON."""
    entry = Log().open("east", request(b'{"a": [1]}'), 1.5).report()
    assert (entry["path"], entry["query"], entry["headers"]) == ("/p", "q=1", (("api-key", "k"),))
    assert (entry["body"], entry["arrived_s"], entry["outcome"]) == ({"a": [1]}, 1.5, "waiting")


def test_a_body_that_is_no_json_is_told_as_text() -> None:
    """Broken bodies can be read too."""
    assert Log().open("east", request(b"{\xff"), 0).report()["body"] == "{\ufffd"


def test_the_newest_entries_of_a_resource_are_told() -> None:
    """Resource and limit narrow the report, oldest first."""
    kept = Log()
    for number, resource in enumerate(["east", "west", "east", "east"]):
        kept.open(resource, request(), number)
    assert [entry["arrived_s"] for entry in kept.report(resource="east", limit=2)] == [2, 3]
    assert len(kept.report(limit=10)) == 4
    assert kept.report(limit=0) == []


def test_the_oldest_entries_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the number of entries nor their bodies grow without end."""
    monkeypatch.setattr(log, "ENTRIES", 2)
    monkeypatch.setattr(log, "BODY_BYTES", 10)
    kept = Log()
    for number in range(3):
        kept.open("east", request(b"1234"), number)
    assert [entry.arrived_s for entry in kept] == [1, 2]
    kept.open("east", request(b"123456789"), 3)
    assert [entry.arrived_s for entry in kept] == [3]
