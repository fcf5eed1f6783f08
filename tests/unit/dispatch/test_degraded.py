import json

import pytest
from tests.unit.dispatch.fakes import Office, make_engine, make_facts

from smalt.core.call import Fail
from smalt.core.degraded import Degraded, DegradedAnswers
from smalt.dispatch.degraded import StandIn, stand_in
from smalt.dispatch.dispatcher import Dispatcher
from smalt.errors import BudgetExceeded, NoUpstreamAvailable, QueueFull, SmaltError
from smalt.types import CallRecord, Facts, Failure, FailureKind, Operation

OUTAGE = NoUpstreamAvailable("no upstream answered", causes=["east is down"], retry_after_s=2.5)
REST = Degraded(503, "The assistant rests.")
SPOKEN = Degraded(200, "The assistant rests.")
REQUEST_ID = "0a1b-2c"


def told(degraded: Degraded, facts: Facts | None = None, error: SmaltError = OUTAGE) -> StandIn | None:
    dispatcher = Dispatcher(make_engine(), degraded=DegradedAnswers({"*": degraded}))
    return stand_in(dispatcher, facts or make_facts(), error, REQUEST_ID)


def headers(answer: StandIn | None) -> dict[str, str]:
    assert answer is not None
    return {name.decode(): value.decode() for name, value in answer.headers}


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_of_ones_own(stream: bool) -> None:
    """Its status and words, the code of an outage, the time that is known, and no invitation to retry."""
    answer = told(Degraded(529, "The assistant rests."), make_facts(stream=stream))
    assert answer is not None
    assert answer.status == 529
    error = json.loads(answer.body)["error"]
    assert (error["message"], error["code"]) == ("The assistant rests.", "service_unavailable")
    assert "causes" not in error
    assert headers(answer) == {
        "content-type": "application/json",
        "x-should-retry": "false",
        "retry-after-ms": "2500",
        "retry-after": "3",
        "x-smalt-degraded": "true",
        "x-smalt-request-id": REQUEST_ID,
        "x-request-id": REQUEST_ID,
    }


def test_when_to_come_back_is_always_told() -> None:
    """A guess where nobody knows."""
    assert headers(told(REST, error=QueueFull("1,000 calls wait")))["retry-after"] == "10"


def test_without_words_of_ones_own() -> None:
    """Those of the error are told."""
    answer = told(Degraded(503))
    assert answer is not None
    assert json.loads(answer.body)["error"]["message"] == "no upstream answered"


@pytest.mark.parametrize(("stream", "media"), [(True, "text/event-stream"), (False, "application/json")])
def test_an_answer_of_ones_own(stream: bool, media: str) -> None:
    """As if the model had said it, but marked and free of charge."""
    answer = told(SPOKEN, make_facts(stream=stream))
    assert answer is not None
    assert answer.status == 200
    assert b"The assistant rests." in answer.body
    assert b"chatcmpl-0a1b2c" in answer.body
    assert headers(answer) == {
        "content-type": media,
        "x-smalt-cost-usd": "0",
        "x-smalt-degraded": "true",
        "x-smalt-request-id": REQUEST_ID,
        "x-request-id": REQUEST_ID,
    }


def test_embeddings_always_get_an_error() -> None:
    """There is nothing to embed a message as."""
    answer = told(SPOKEN, Facts(Operation.EMBEDDINGS, "text-embedding-3-small"))
    assert answer is not None
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["message"] == "The assistant rests."


def test_what_is_no_outage_is_told_as_it_is() -> None:
    """And so is what came before the request was read."""
    assert told(REST, error=BudgetExceeded("spent")) is None
    dispatcher = Dispatcher(make_engine(), degraded=DegradedAnswers({"*": REST}))
    assert stand_in(dispatcher, None, OUTAGE, REQUEST_ID) is None
    assert stand_in(Office().dispatcher, make_facts(), OUTAGE, REQUEST_ID) is None


@pytest.mark.parametrize(("names", "degraded"), [(["gpt-4o"], True), (["gpt-4"], False)])
def test_the_record_tells_the_error_and_that_another_answer_was_given(
    names: list[str], degraded: bool
) -> None:
    """The caller's words are no news; what happened is."""
    records: list[CallRecord] = []
    answers = DegradedAnswers(dict.fromkeys(names, SPOKEN))
    dispatcher = Dispatcher(make_engine("east/a"), [records.append], degraded=answers)
    call = dispatcher.open(make_facts(), REQUEST_ID, total_s=0)
    while not isinstance(call.next(), Fail):
        call.record(Failure(FailureKind.CONNECT, "connection refused"))
    dispatcher.open(make_facts(), REQUEST_ID, total_s=600).abandon()
    assert [(record.error, record.degraded) for record in records] == [
        ("no_upstream_available", degraded),
        ("abandoned", False),
    ]
